# SPDX-License-Identifier: MIT
"""The examples of workers/handlers, each in three languages: a server, a chat
and a statistic, through gateway, team and program."""
import json
import re
import shutil
import subprocess
import urllib.request

import pytest

import sse
from harness import BUILD, PYTHON, REPO, channel_key, eventually, free_ports

DIR = REPO / "workers/handlers"
NODE = shutil.which("node") or shutil.which("nodejs")
PROGRAMS = {"py": PYTHON, "js": NODE}
LANGUAGES = ["c", *PROGRAMS]


def handler(name, language):
    if language == "c":
        return BUILD / f"workers/example_{name}.so"
    if PROGRAMS[language] is None:
        pytest.skip(f"nothing here runs {language}")
    return f"exec:{PROGRAMS[language]} {DIR}/example_{name}.{language}"


def entries(server, channel):
    """[(type, payload)] of a channel."""
    with server.client() as store:
        return [(f.get(b"type", b"").decode(),
                 f[b"text"].decode() if b"text" in f
                 else json.loads(f[b"json"]))
                for _, f in store.xrange(channel_key(channel))]


# --- the server --------------------------------------------------------------

@pytest.mark.parametrize("language", LANGUAGES)
def test_server(run, language):
    redis = run.redis()
    site = run.daemon("--events", "events", "--connect", "handler",
                      "--event-cookie", "session", "--rule",
                      "* subscribe=handler publish=handler call=handler",
                      "--team", "server", "--consume", "events", "--handler",
                      handler("server", language), redis=redis, workers=1)
    stranger = run.client(site)
    alice = run.client(site, headers=["Cookie: session=s3cret"])
    alice.until(lambda: alice.pushes)
    assert alice.pushes[0] == {"push": "direct", "type": "WELCOME",
                               "data": "alice"}
    assert stranger.error("subscribe", channel="staff:1")["message"] == \
        "only for people that we know"
    alice.ok("subscribe", channel="staff:1")
    alice.ok("publish", channel="staff:1", data={"shout": "hey"})
    (_, kind, data, *_), = alice.messages("staff:1", 1)
    assert (kind, data) == ("SHOUT", "hey")
    assert alice.error("publish", channel="staff:1", data=1)["message"] == \
        "a message is a map"
    assert alice.ok("call", channel="x", type="ECHO", data=[1])["data"] == [1]
    assert entries(redis, "audit") == [("", {"shout": "hey"})]


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_server_is_that_of_the_readme(language):
    """Which test_gates.py puts to many more questions."""
    page = (REPO / "workers/README.md").read_text("utf-8")
    blocks = re.findall(rf"^```{language}\b.*\n([^`]*(?:`[^`]+)*?)^```", page,
                        re.M)
    name = {"python": "py", "javascript": "js"}[language]
    code = (DIR / f"example_server.{name}").read_text("utf-8")
    assert any(code.endswith(block) for block in blocks)


# --- the chat ----------------------------------------------------------------

@pytest.mark.parametrize("language", LANGUAGES)
def test_chat(run, language):
    redis = run.redis()
    site = run.daemon("--pages", BUILD / "gateway/pages",
                      "--events", "chat-events",
                      "--rule", "* subscribe=anyone publish=handler",
                      "--team", "chat", "--consume", "chat-events",
                      "--handler", handler("chat", language), redis=redis,
                      workers=1)
    assert sse.request(site.port, "GET", "/room1")[0] == 200
    alice, bob = run.client(site), run.client(site)
    for client in (alice, bob):
        client.ok("subscribe", channel="room1")
    hello = {"message": "hello", "name": "Alice", "id": "1"}
    alice.ok("publish", channel="room1", type="CHAT", data=hello)
    for wrong in ({"message": ""}, {"message": "ü" * 501}, {"name": "Alice"},
                  "hello", 1, [1], None):
        assert alice.error("publish", channel="room1", data=wrong) == {
            "code": "denied", "message": "a line has 1 to 1000 bytes",
            "retry": False}, wrong
    alice.ok("publish", channel="room1", data={"message": "ü" * 500})
    for _ in range(20):
        alice.ok("publish", channel="room1", type="CHAT",
                 data={"message": "/roll", "name": "Alice"})
    seen = [m[1:3] for m in bob.messages("room1", 22)]
    assert seen[:2] == [["CHAT", hello], [None, {"message": "ü" * 500}]]
    for kind, data in seen[2:]:
        assert kind == "ROLL" and data["name"] == "the die"
        assert re.fullmatch("rolled a [1-6]", data["message"])


# --- the statistic -----------------------------------------------------------

AGENTS = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":
        "Firefox",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/86.0.4240.198 Safari/537.36 Edg/86.0.622.69": "Edge",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/86.0.4240.198 Safari/537.36": "Chrome",
    "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.0 Safari/605.1.15": "Safari",
    'curl/7.88.1 "quoted" \\ back': "curl",
    "": "unknown",
}


@pytest.fixture
def web(request):
    """Starts a web server of the examples; its address."""
    children = []

    def start(language, gateway):
        port = free_ports(1)
        child = subprocess.Popen(
            [PROGRAMS[language], DIR / f"example_web.{language}", str(port),
             gateway], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        children.append(child)
        address = child.stdout.readline().strip()
        assert address == f"http://127.0.0.1:{port}/", child.stderr.read()
        return address
    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("language", LANGUAGES)
def test_statistic(run, web, language):
    """Requests to a web server, which a team of two works on."""
    server = language if language in PROGRAMS else "py"
    if PROGRAMS[server] is None:
        pytest.skip(f"nothing here runs {server}")
    redis = run.redis()
    site = run.daemon("--team", "team", "--consume", "statistic", "--handler",
                      handler("statistic", language), redis=redis, workers=2)
    address = web(server, f"http://127.0.0.1:{site.port}")
    for agent in AGENTS:
        with urllib.request.urlopen(urllib.request.Request(
                address, headers={"User-Agent": agent})) as answer:
            assert answer.read() == b"Hello World\n"
    with redis.client() as store:
        for wrong in ('"x"', "{}", "[1]", "null"):
            store.xadd(channel_key("statistic"), {"json": wrong})
        eventually(lambda: store.xlen("rd:dead:team") == 4)
        letters = [f for _, f in store.xrange("rd:dead:team")]
        assert {f[b"reason"] for f in letters} == {b"it has no agent and ip"}
    eventually(lambda: sorted(entries(redis, "visits")) ==
               sorted((name, "127.0.0.1") for name in AGENTS.values()))


def test_statistic_that_is_built_in_counts_the_same(run, web):
    redis = run.redis()
    site = run.daemon("--consume", "statistic", "--handler", "statistic",
                      redis=redis, workers=2)
    address = web("py", f"http://127.0.0.1:{site.port}")
    for _ in range(3):
        urllib.request.urlopen(urllib.request.Request(
            address, headers={"User-Agent": "me"})).close()
    eventually(lambda: ("TOTALS", {
        "channel": "statistic", "messages": 3,
        "totals": {"agent": {"me": 3}, "ip": {"127.0.0.1": 3}}
    }) in entries(redis, "totals"))
