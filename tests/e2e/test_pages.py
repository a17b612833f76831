# SPDX-License-Identifier: MIT
"""--pages: a directory of files, and no way out of it; and the client, which
every gateway has."""
import os
import re
import socket
import time

import pytest

import harness
import peer
import sse
from harness import BUILD, REPO, eventually, free_ports, http_get

CLIENT = "/client/redistribute-client.js"
OURS = (REPO / "gateway/client/redistribute-client.js").read_bytes()
SECRET = b"a secret that is nobody's business"


def get(port, path, *headers, method="GET"):
    """(status, {header: value}, body)."""
    status, head, body = sse.request(port, method, path, headers=headers)
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    return status, fields, body


def metric(site, name):
    body = site.http("/metrics")[1]
    return int(re.search(rf"^redistribute_gateway_{name} (\d+)$", body,
                         re.M)[1])


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A directory with a bit of everything, in one with a secret."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_bytes(SECRET)
    (outside / "more").mkdir()
    (outside / "more/secret.txt").write_bytes(SECRET)
    top = outside / "pages"
    (top / "docs/deep").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / ".git").mkdir()
    (top / ".git/config").write_bytes(SECRET)
    (top / ".env").write_bytes(SECRET)
    (top / "docs/.hidden").write_bytes(SECRET)
    (top / "index.html").write_text("<!DOCTYPE html><title>mine</title>")
    (top / "docs/index.html").write_text("<!DOCTYPE html><title>docs</title>")
    (top / "docs/deep/a b%.txt").write_text("blank and percent")
    (top / "app.js").write_text("export default 1\n")
    (top / "STYLE.CSS").write_text("p { color: red }\n")
    (top / "none").write_bytes(b"")
    (top / "räume.txt").write_text("umlaut")
    (top / "no-ending").write_bytes(b"\0\1\2")
    (top / "inside.js").symlink_to("app.js")
    (top / "inside").symlink_to("docs/deep")
    (top / "up.txt").symlink_to("../secret.txt")
    (top / "absolute.txt").symlink_to(outside / "secret.txt")
    (top / "absolute-inside.js").symlink_to(top / "app.js")
    (top / "away").symlink_to("../more")
    (top / "round").symlink_to("round")
    (top / "dangling").symlink_to("nowhere")
    (top / "environment").symlink_to("/proc/self/environ")
    os.mkfifo(top / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as s:
        cwd = os.getcwd()
        os.chdir(top)       # its path may be too long for an address
        s.bind("socket")
        os.chdir(cwd)
    return top


@pytest.fixture(scope="module")
def site(run_once, server, tree):
    return run_once.daemon("--pages", tree, redis=server)


# --- what is there -----------------------------------------------------------

def test_files_have_their_types(site):
    for path, kind, body in (
            ("/", "text/html; charset=utf-8", b"mine"),
            ("/index.html", "text/html; charset=utf-8", b"mine"),
            ("/docs/", "text/html; charset=utf-8", b"docs"),
            ("/app.js", "text/javascript; charset=utf-8", b"export"),
            ("/app.js?v=3", "text/javascript; charset=utf-8", b"export"),
            ("/STYLE.CSS", "text/css; charset=utf-8", b"color"),
            ("/docs/deep/a%20b%25.txt", "text/plain; charset=utf-8", b"blank"),
            ("/r%C3%A4ume.txt", "text/plain; charset=utf-8", b"umlaut"),
            ("/no-ending", "application/octet-stream", b"\0\1\2"),
            ("/none", "application/octet-stream", b""),
            ("/inside.js", "text/javascript; charset=utf-8", b"export"),
            ("/inside/a%20b%25.txt", "text/plain; charset=utf-8", b"blank")):
        status, fields, got = get(site.port, path)
        assert (status, fields["Content-Type"]) == (200, kind), path
        assert body in got and int(fields["Content-Length"]) == len(got), path
        assert fields["X-Content-Type-Options"] == "nosniff"
        assert fields["Referrer-Policy"] == "no-referrer"
        policy = fields["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_what_is_not_there(site):
    for path in ("/nothing", "/nothing.html", "/docs/nothing", "/app.js/",
                 "/app.js/x", "/empty/", "/empty", "/docs/deep/", "/dangling",
                 "/round", "/docs//", "//docs/", "/index.html/"):
        status, _, body = get(site.port, path)
        assert (status, body) == (404, b"There is no such page.\n"), path


def test_directory_leads_to_its_slash(site):
    status, fields, _ = get(site.port, "/docs")
    assert (status, fields["Location"]) == (301, "/docs/")
    assert get(site.port, "/docs?a=1&b=//x")[1]["Location"] == \
        "/docs/?a=1&b=//x"
    # What has two slashes would be another host.
    assert get(site.port, "//docs")[0] == 404


def test_head_has_no_body_and_other_methods_are_refused(site):
    for path in ("/", "/app.js", "/none", CLIENT):
        status, fields, body = get(site.port, path, method="HEAD")
        _, whole, content = get(site.port, path)
        assert (status, body) == (200, b"")
        assert fields == whole
        assert int(fields["Content-Length"]) == len(content)
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        status, fields, _ = get(site.port, "/app.js", method=method)
        assert (status, fields["Allow"]) == (405, "GET, HEAD"), method


def test_file_that_is_known_is_not_sent(site):
    for path in ("/app.js", CLIENT):
        tag = get(site.port, path)[1]["ETag"]
        assert re.fullmatch(r'"[\w.-]+"', tag)
        for known in (tag, "W/" + tag, f'"x", {tag}', "*",
                      f'"a,b",\tW/{tag}'):
            status, fields, body = get(site.port, path,
                                       f"If-None-Match: {known}")
            assert (status, body) == (304, b""), known
            assert fields["ETag"] == tag and "Content-Length" not in fields
            assert "Content-Security-Policy" in fields
        for other in ('"x"', tag[:-1], tag[1:-1], "", '"*"'):
            assert get(site.port, path,
                       f"If-None-Match: {other}")[0] == 200, other
        assert get(site.port, path, 'If-None-Match: "x"',
                   f"If-None-Match: {tag}")[0] == 304
    assert metric(site, "files_known_total") >= 10


def test_change_is_seen_at_once(site, tree):
    path = tree / "changing.txt"
    path.write_text("one")
    _, fields, body = get(site.port, "/changing.txt")
    assert body == b"one"
    fresh = tree / "fresh"
    fresh.write_text("two")
    fresh.rename(path)      # as large, perhaps as old
    status, after, body = get(site.port, "/changing.txt",
                              f"If-None-Match: {fields['ETag']}")
    assert (status, body) == (200, b"two")
    assert after["ETag"] != fields["ETag"]
    path.unlink()
    assert get(site.port, "/changing.txt")[0] == 404


def test_directory_may_be_a_link_that_is_exchanged(run, server, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name)
    link = tmp_path / "current"
    link.symlink_to("one")
    site = run.daemon("--pages", link, redis=server)
    assert get(site.port, "/")[2] == b"one"
    (tmp_path / "fresh").symlink_to("two")
    (tmp_path / "fresh").rename(link)
    assert get(site.port, "/")[2] == b"two"
    link.unlink()
    assert get(site.port, "/index.html")[0] == 404


# --- no way out --------------------------------------------------------------

WAYS_OUT = """
/../secret.txt
/%2e%2e/secret.txt
/.%2e/secret.txt
/%2E./secret.txt
/..%2fsecret.txt
/%2e%2e%2fsecret.txt
/..%5csecret.txt
/..\\secret.txt
/docs/../../secret.txt
/docs/..%2f..%2fsecret.txt
/docs/%2e%2e/%2e%2e/secret.txt
/inside/../../../secret.txt
/./../secret.txt
/.../secret.txt
/%252e%252e/secret.txt
/%c0%ae%c0%ae/secret.txt
/%c0%ae%c0%ae%c0%afsecret.txt
/%u002e%u002e/secret.txt
/..;/secret.txt
/..%00/secret.txt
/up.txt
/absolute.txt
/absolute-inside.js
/away/secret.txt
/away
/away/
/environment
/pipe.txt
/socket
/.env
/%2eenv
/.git/config
/.git%2fconfig
/%2egit/config
/docs/.hidden
/docs/%2Ehidden
/app.js%00
/app.js%00.html
/%00
/index.html%0a
/docs%2findex.html
/docs%5cindex.html
/app.js/../.env
/app.js/../app.js
//etc/passwd
///etc/passwd
/%2fetc/passwd
/%2f%2fetc%2fpasswd
/proc/self/environ
/etc/passwd
/%
/%2
/%zz
/file:///etc/passwd
http://x/../secret.txt
http://x/%2e%2e/secret.txt
http://x//etc/passwd
""".split()


def test_no_path_leads_out_of_the_directory(site):
    for path in WAYS_OUT:
        status, fields, body = get(site.port, path)
        assert status == 404, path
        assert body == b"There is no such page.\n", path
        assert "Location" not in fields, path


def test_every_depth_of_every_spelling(site):
    for step in ("..", "%2e%2e", ".%2e", "%2e.", "..%2f", "%2e%2e%2f", "..%5c",
                 "../.", ".", "%2e"):
        for depth in range(1, 12):
            path = "/" + "/".join([step] * depth)
            for end in ("/etc/passwd", "/secret.txt", "/app.js", ""):
                status, _, body = get(site.port, path + end)
                assert status == 404 and SECRET not in body, path + end


def test_bytes_that_are_no_path_are_a_bad_request(site):
    for target in (b"/app.js\0", b"/\xff\xfe", b"/app.js#x", b"../secret.txt",
                   b"secret.txt", b"*", b"", b"/a b", b"/a\tb"):
        with peer.connect(site.port) as s:
            s.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sse.answer(s)[0] == 400, target


def test_long_paths_are_nothing(site):
    for path in ("/" + "a" * 300, "/" + "a/" * 2000, "/" + "%61" * 2000,
                 "/" + "docs/../" * 500):
        assert get(site.port, path)[0] == 404


def test_link_that_is_moved_under_way_does_not_lead_out(run, server, tmp_path):
    """A directory that becomes a link to the outside, again and again."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_bytes(SECRET)
    top = tmp_path / "pages"
    (top / "real").mkdir(parents=True)
    (top / "real/a.txt").write_bytes(b"fine")
    (top / "link").symlink_to("../outside")
    site = run.daemon("--pages", top, redis=server)
    seen = set()
    for i in range(300):
        (top / "place").unlink(missing_ok=True)
        (top / "place").symlink_to("real" if i % 2 else "link")
        seen.add(get(site.port, "/place/a.txt")[2])
    assert seen == {b"fine", b"There is no such page.\n"}


# --- large files -------------------------------------------------------------

@pytest.fixture(scope="module")
def large(tree):
    data = bytes(range(256)) * 40000        # 10 MB
    (tree / "large.bin").write_bytes(data)
    return data


def slow_reader(site, path="/large.bin"):
    """It has asked, takes a little, and then nothing."""
    s = peer.connect(site.port, rcvbuf=4096)
    s.sendall(sse.ask("GET", path))
    assert s.recv(1000).startswith(b"HTTP/1.1 200 ")
    return s


def test_large_file_comes_whole(site, large):
    assert get(site.port, "/large.bin")[2] == large


def test_large_file_costs_little_memory(site, large):
    """Ten clients that do not read a file of 10 MB."""
    slow = [slow_reader(site) for _ in range(10)]
    assert metric(site, "output_bytes") < 10 * 200000
    assert get(site.port, "/app.js")[0] == 200      # and nobody else waits
    assert slow[0].recv(100) != b""
    for s in slow:
        s.close()


def test_slow_client_has_the_time_that_it_takes(site, large):
    """As long as it takes something: longer than the last bytes may last."""
    with slow_reader(site) as s:
        data = b""
        end = time.monotonic() + 4
        while time.monotonic() < end:       # its speed is the point
            data += s.recv(20000)
            time.sleep(0.02)
        assert len(data) < len(large)
        while got := s.recv(1 << 20):
            data += got
    assert len(data) > len(large) - 1000 and large.endswith(data[-5000:])


def test_client_that_takes_nothing_is_ended(site, large):
    before = metric(site, "files_cut_total")
    with slow_reader(site):
        eventually(lambda: metric(site, "files_cut_total") > before,
                   deadline=40)


def test_file_that_becomes_shorter_ends_its_connection(site, tree, large):
    (tree / "shrinking.bin").write_bytes(large)
    with slow_reader(site, "/shrinking.bin") as s:
        os.truncate(tree / "shrinking.bin", 100)
        data = b""
        while got := s.recv(65536):
            data += got
    assert len(data) < len(large)
    (tree / "shrinking.bin").unlink()
    assert get(site.port, "/app.js")[0] == 200


def test_large_files_at_once_are_limited(run, server, tree, large):
    site = run.daemon("--pages", tree, "--max-files", 2, redis=server)
    slow = [slow_reader(site) for _ in range(2)]
    status, fields, _ = get(site.port, "/large.bin")
    assert (status, fields["Retry-After"]) == (503, "1")
    assert metric(site, "files_refused_total") == 1
    for s in slow:
        s.close()
    eventually(lambda: get(site.port, "/large.bin")[0] == 200)


# --- the policy --------------------------------------------------------------

def test_policy_can_be_chosen(run, server, tree):
    policy = "default-src 'self' 'unsafe-inline'; frame-ancestors https://x.example"
    site = run.daemon("--pages", tree, "--pages-policy", policy, redis=server)
    assert get(site.port, "/")[1]["Content-Security-Policy"] == policy
    none = run.daemon("--pages", tree, "--pages-policy", "", redis=server)
    assert "Content-Security-Policy" not in get(none.port, "/")[1]


# --- the client --------------------------------------------------------------

def test_client_is_there_without_pages(run, server):
    site = run.daemon(redis=server)
    status, fields, body = get(site.port, CLIENT)
    assert (status, body) == (200, OURS)
    assert fields["Content-Type"] == "text/javascript; charset=utf-8"
    status, fields, body = get(site.port, "/")
    assert status == 200 and fields["Content-Type"].startswith("text/plain")
    for words in (b"Redistribute", b"/ws/", b"/sse/", CLIENT.encode()):
        assert words in body
    for path in ("/room1", "/index.html", "/client/", "/client"):
        assert get(site.port, path)[0] == 404


def test_client_of_the_directory_comes_first(run, server, tmp_path):
    site = run.daemon("--pages", tmp_path, redis=server)
    assert get(site.port, CLIENT)[2] == OURS
    assert b"This port is" in get(site.port, "/")[2]
    (tmp_path / "client").mkdir()
    (tmp_path / "client/redistribute-client.js").write_text("// older")
    assert get(site.port, CLIENT)[2] == b"// older"


def test_client_may_be_read_by_the_origins_that_may_connect(run, server, site):
    allow = "Access-Control-Allow-Origin"
    good = run.daemon("--origin", "https://good.example", redis=server)
    every = run.daemon("--origin", "*", redis=server)
    for which, origin, told in (
            (good, "https://good.example", True),
            (good, "https://evil.example", False),
            (good, "null", False),
            (every, "https://any.example", True),
            (every, "null", True),
            (site, f"http://localhost:{site.port}", False)):
        _, fields, _ = get(which.port, CLIENT, f"Origin: {origin}")
        assert fields.get(allow) == (origin if told else None), origin
        assert fields["Vary"] == "Origin"
        assert allow not in get(which.port, "/", f"Origin: {origin}")[1]
    assert get(good.port, CLIENT)[1]["Vary"] == "Origin"
    # Its own page, by the name that it is asked by.
    here = f"127.0.0.1:{site.port}"
    status, head, _ = sse.request(site.port, "GET", CLIENT,
                                  headers=[f"Origin: http://{here}"])
    assert status == 200


# --- the pages that come with it ---------------------------------------------

def test_pages_that_come_with_it(run, server):
    site = run.daemon("--pages", BUILD / "gateway/pages", redis=server)
    status, body = http_get(site.port, "/")
    assert status == 200 and "<form" in body
    for path in ("/room1", "/a%2fb", "/%3Cscript%3E", "/.room", "/client",
                 "/%00"):
        status, fields, body = get(site.port, path)
        assert status == 200 and b"<main" in body, path
        assert fields["Content-Type"].startswith("text/html")
    for path in ("/a/b", "/client/", "/client/nothing.js", "//a"):
        assert get(site.port, path)[0] == 404, path
    pages = BUILD / "gateway/pages"
    for file in pages.rglob("*.html"):      # the policy allows none
        text = file.read_text("utf-8")
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=",
                             text), file


def test_setting_that_is_no_header_is_refused():
    port = free_ports(2)
    status, out, err = harness.run("check", "--pages-policy", "a\r\nX-Evil: 1",
                            "--port", port, "--ops-port", port + 1)
    assert status == 78 and "pages-policy: expected" in out + err
