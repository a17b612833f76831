# SPDX-License-Identifier: MIT
"""The ops port under attack, and from another machine: who is answered, and
what nobody can make it do."""
import os
import re
import socket
import ssl
import time

import pytest

import peer
import sse
from harness import certificate, eventually, run as run_verb

TOKEN = "a-token-of-32-bytes-or-so-0123456"


def ask(port, path, *headers, host="localhost", tls=None):
    """(status, head, body)"""
    with peer.connect(port, tls=tls) as s:
        s.sendall(sse.ask("GET", path, headers=headers, host=host))
        return sse.answer(s)


def count(site, name, *headers):
    body = ask(site.ops_port, "/metrics", *headers)[2].decode()
    return int(re.search(rf"^redistribute_gateway_{name} (\d+)$", body,
                         re.M)[1])


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


# --- limits ------------------------------------------------------------------

def test_endless_head_is_cut(run, server):
    site = run.daemon("--max-header", "4k", redis=server)
    for line in (b"X: " + b"x" * 100 + b"\r\n", b"x" * 100):
        with peer.connect(site.ops_port) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            sent = 0
            with pytest.raises(OSError):
                while sent < 1 << 22:
                    sent += s.send(line)
            # What the sockets hold, and no more.
    assert ask(site.ops_port, "/healthz")[0] == 200


def test_slow_client_is_given_up(run, server):
    site = run.daemon("--handshake-timeout", "500ms", redis=server)
    before = count(site, "ops_late_total")
    with peer.connect(site.ops_port) as s:
        s.settimeout(0.05)
        begun = time.monotonic()
        for c in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + \
                b"X: " + b"x" * 2000:
            try:
                s.send(bytes([c]))
                if s.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - begun < 20
    assert count(site, "ops_late_total") == before + 1


def test_nobody_is_kept_out_by_those_who_say_nothing(run, server):
    """The oldest goes where there are too many."""
    site = run.daemon("--ops-connections", "8", redis=server)
    silent = []
    for _ in range(30):
        silent.append(peer.connect(site.ops_port))
        assert ask(site.ops_port, "/healthz")[0] == 200

    def closed():
        n = 0
        for s in silent:
            s.setblocking(False)
            try:
                n += s.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                n += 1
        return n
    eventually(lambda: closed() >= 22, what="only so many remain")
    assert count(site, "ops_pushed_out_total") >= 22
    assert closed() < 30
    for s in silent:
        s.close()


def test_one_answer_for_each_connection(site):
    """So that the pace of connections is that of requests."""
    with peer.connect(site.ops_port) as s:
        s.sendall(sse.ask("GET", "/healthz") * 50)
        data = b""
        while got := s.recv(65536):
            data += got
    assert data.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in data


def test_flood_of_connections_leaves_room_for_clients(run, server, channel):
    site = run.daemon(redis=server)
    client = run.client(site)
    client.ok("subscribe", channel=channel)
    socks = []
    for _ in range(300):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", site.ops_port))
        socks.append(s)
    client.ok("publish", channel=channel, data=1)
    assert client.messages(channel, 1)[0][2] == 1
    for s in socks:
        s.close()
    eventually(lambda: ask(site.ops_port, "/healthz")[0] == 200)


# --- who is answered ---------------------------------------------------------

@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/none"])
def test_name_that_is_not_ours_is_not_answered(run, server, site, path):
    expect = 404 if path == "/none" else 200
    port = site.ops_port
    for host in ("localhost", f"127.0.0.1:{port}", "192.0.2.1", f"[::1]:{port}"):
        assert ask(port, path, host=host)[0] == expect, host
    for host in ("evil.example", f"evil.example:{port}",
                 "localhost.evil.example"):
        assert ask(port, path, host=host)[0] == 403, host
    known = run.daemon("--server-name", "gw.example", redis=server)
    assert ask(known.ops_port, path, host="gw.example:81")[0] == expect


def test_token_is_asked_for(run, server, token):
    site = run.daemon("--ops-token-file", token, redis=server)
    port = site.ops_port
    assert ask(port, "/healthz")[0] == 200
    assert ask(port, "/readyz")[0] == 200
    status, head, body = ask(port, "/metrics")
    assert status == 401 and b"redistribute_" not in body
    assert peer.header_of(head, "WWW-Authenticate") == "Bearer"
    for bad in (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "", " " + TOKEN,
                TOKEN[:-1] + "5"):
        assert ask(port, "/metrics",
                   f"Authorization: Bearer {bad}")[0] == 401, bad
    assert ask(port, "/metrics", f"Authorization: Basic {TOKEN}")[0] == 401
    assert ask(port, f"/metrics?token={TOKEN}")[0] == 401
    assert ask(port, "/nothing")[0] == 401      # not even what there is
    good = f"Authorization: bearer {TOKEN}"
    assert ask(port, "/metrics", good)[0] == 200
    assert ask(port, "/nothing", good)[0] == 404
    assert count(site, "ops_denied_total", good) == 10
    # Another one, by a reload; nobody has logged either.
    token.write_text("another-token-0123456789\n")
    site.send(1)
    eventually(lambda: ask(
        port, "/metrics",
        "Authorization: Bearer another-token-0123456789")[0] == 200)
    assert ask(port, "/metrics", good)[0] == 401
    # One that cannot be used changes nothing.
    token.chmod(0o644)
    site.send(1)
    site.wait_event("config.bad")
    assert ask(port, "/metrics",
               "Authorization: Bearer another-token-0123456789")[0] == 200
    assert TOKEN not in site.log.text()
    assert "another-token" not in site.log.text()


@pytest.mark.parametrize("text,mode,why", [
    (TOKEN, 0o604, "others"),
    (TOKEN, 0o644, "others"),
    (TOKEN, 0o620, "others"),
    ("", 0o600, "at least 16"),
    ("short", 0o600, "at least 16"),
    ("two words of a token", 0o600, "letters"),
    ("x" * 5000, 0o600, "at most"),
    (None, 0o600, "No such file"),
])
def test_token_file_is_judged(tmp_path, server, text, mode, why):
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    for verb in ("check", "start"):
        status, out, err = run_verb(
            verb, "--ops-token-file", path, "--data-dir", tmp_path / "d",
            env={"REDISTRIBUTE_TARGETS": server.uri})
        assert status == 78
        assert "ops-token-file" in out + err and why in out + err
        assert TOKEN not in out + err


def test_another_machine_needs_a_token_and_tls(tmp_path, server, token):
    cert, key = certificate(tmp_path)

    def says(*args):
        status, out, err = run_verb(
            "check", "--ops-host", "0.0.0.0", *args, "--data-dir",
            tmp_path / "d", env={"REDISTRIBUTE_TARGETS": server.uri})
        return status, out + err

    status, said = says()
    assert status == 78 and "ops-token-file" in said
    status, said = says("--insecure")
    assert status == 78 and "ops-token-file" in said
    status, said = says("--ops-token-file", token)
    assert status == 78 and "ops-cert" in said
    status, said = says("--ops-token-file", token, "--ops-cert", cert)
    assert status == 78 and "ops-cert-key" in said
    assert says("--ops-token-file", token, "--insecure")[0] == 0
    assert says("--ops-token-file", token, "--ops-cert", cert,
                "--ops-cert-key", key)[0] == 0
    status, said = says("--ops-token-file", token, "--ops-cert", cert,
                        "--ops-cert-key", token)
    assert status == 78 and str(token) in said


def trusting(cert):
    return ssl.create_default_context(cafile=str(cert))


def test_tls(run, server, tmp_path, token):
    cert, key = certificate(tmp_path)
    site = run.daemon("--ops-cert", cert, "--ops-cert-key", key,
                      "--ops-token-file", token, "--ops-host", "0.0.0.0",
                      "--handshake-timeout", "1s", redis=server)
    good = f"Authorization: Bearer {TOKEN}"
    for _ in range(5):
        status, _, body = ask(site.ops_port, "/metrics", good,
                              tls=trusting(cert))
        assert status == 200 and b"redistribute_gateway_ready" in body
        assert body.endswith(b"\n")
    assert ask(site.ops_port, "/metrics", tls=trusting(cert))[0] == 401
    # Who does not speak TLS is told nothing, and holds nobody up.
    with peer.connect(site.ops_port) as s:
        s.sendall(sse.ask("GET", "/healthz"))
        assert b"HTTP/1.1 200" not in s.recv(1000)
    silent = peer.connect(site.ops_port)
    assert ask(site.ops_port, "/healthz", tls=trusting(cert))[0] == 200
    silent.settimeout(15)
    assert silent.recv(1) == b""
    silent.close()
    # Another certificate, by a reload.
    other = tmp_path / "other"
    other.mkdir()
    new_cert, new_key = certificate(other)
    os.replace(new_cert, cert)
    os.replace(new_key, key)
    site.send(1)

    def served():
        try:
            return ask(site.ops_port, "/healthz", tls=trusting(cert))[0] == 200
        except ssl.SSLError:
            return False
    eventually(served)


def test_metrics_are_whole_for_a_reader_who_is_slow(run, server, channel):
    site = run.daemon(redis=server)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(("127.0.0.1", site.ops_port))
        s.sendall(sse.ask("GET", "/metrics"))
        s.settimeout(15)
        data = b""
        while got := s.recv(500):
            data += got
    head, _, body = data.partition(b"\r\n\r\n")
    assert int(peer.header_of(head.decode(), "Content-Length")) == len(body)
