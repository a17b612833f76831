# SPDX-License-Identifier: MIT
"""Gateway, team and a program together: what the examples of the documents
decide about clients, and what becomes of those that decide nothing."""
import json
import re
import shutil

import pytest

import blocks
import sse
from harness import BUILD, PYTHON, channel_key, eventually
from harness import run as run_verb
from peer import Closed

NODE = shutil.which("node") or shutil.which("nodejs")
PROGRAMS = {"python": PYTHON, "javascript": NODE, "c": None}
RULE = ["--rule", "* subscribe=handler publish=handler call=handler"]
CONNECT = ["--connect", "handler"]


def through(name):
    """The settings of gateways and of the team that answers them."""
    return ["--events", f"{name}-events", "--team", name,
            "--consume", f"{name}-events"]


def example(language, directory):
    """The --handler that runs the example of server events."""
    if language == "c":     # workers/handlers/example_server.c
        return BUILD / "workers/example_server.so"
    if PROGRAMS[language] is None:
        pytest.skip(f"nothing here runs {language}")
    path = directory / "gate"
    path.write_text(blocks.example("workers/README.md", "test", language),
                    "utf-8")
    return f"exec:{PROGRAMS[language]} {path}"


def program(directory, answer):
    """A program that answers everything alike, and notes what it saw."""
    path = directory / "program.py"
    path.write_text(f"""
import json, sys
for line in sys.stdin:
    event = json.loads(line)
    with open({str(directory / 'seen')!r}, "a") as f:
        f.write(line)
    print(json.dumps({{"seq": event["seq"], **{answer!r}}}), flush=True)
""")
    return f"exec:{PYTHON} {path}"


def seen(directory):
    path = directory / "seen"
    return [json.loads(line) for line in path.read_text().splitlines()] \
        if path.exists() else []


def data_of(entry):
    """The payload of a message in Redis, whether it is text or JSON."""
    fields = entry[1]
    return (fields[b"text"].decode() if b"text" in fields
            else json.loads(fields[b"json"]))


@pytest.fixture(scope="module", params=list(PROGRAMS))
def gate(request, run_once, tmp_path_factory):
    """(daemon, Redis) with the example of one language."""
    store = run_once.redis()
    directory = tmp_path_factory.mktemp(request.param)
    return run_once.daemon(*through("gate"), *CONNECT, *RULE,
                           "--event-cookie", "session", "--handler",
                           example(request.param, directory),
                           redis=store, workers=1), store


@pytest.fixture
def audit(gate):
    """The entries that the handler has written since the test began."""
    with gate[1].client() as store:
        before = store.xlen(channel_key("audit"))
        yield lambda: store.xrange(channel_key("audit"))[before:]


# --- the examples ------------------------------------------------------------

def test_connect_is_decided_on_with_a_word_and_a_channel(run, gate):
    client = run.client(gate[0])
    client.until(lambda: len(client.pushes) == 2)
    assert client.pushes[0] == {"push": "direct", "type": "WELCOME",
                                "data": "stranger"}
    assert client.pushes[1]["push"] == "subscribed"
    assert client.pushes[1]["channel"] == "lobby"
    with gate[1].client() as store:
        store.xadd(channel_key("lobby"), {"json": "1"})
    assert client.messages("lobby", 1)[0][2] == 1


def test_client_is_who_the_handler_says(run, gate, channel):
    client = run.client(gate[0], headers=["Cookie: a=b; session=s3cret"])
    client.until(lambda: client.pushes)
    assert client.pushes[0]["data"] == "alice"
    assert client.ok("subscribe", channel="staff:1")
    client.ok("publish", channel=channel, data={"a": 1})
    client.put({"id": 99, "do": "publish", "channel": channel, "from": "bob",
                "data": {"from": "bob"}})
    assert client.reply(99)["ok"]
    run.client(gate[0]).ok("publish", channel=channel, data={"a": 2})
    with gate[1].client() as store:
        assert [f.get(b"from") for _, f in store.xrange(
            channel_key(channel))] == [b"alice", b"alice", None]
    reader = run.client(gate[0])
    reader.ok("subscribe", channel=channel, offset="0")
    assert [m[3]["from"] for m in reader.messages(channel, 2)] == ["alice"] * 2


def test_subscribe_is_decided_on(run, gate):
    client = run.client(gate[0])
    assert client.error("subscribe", channel="staff:1") == {
        "code": "denied", "message": "only for people that we know",
        "retry": False}
    assert client.error("history", channel="staff:1")["code"] == "denied"
    assert client.ok("subscribe", channel="room")["channel"] == "room"


def test_publish_is_decided_on(run, gate, channel, audit):
    client = run.client(gate[0])
    assert client.error("publish", channel=channel, data="words") == {
        "code": "denied", "message": "a message is a map", "retry": False}
    client.ok("publish", channel=channel, type="SAY", data={"a": 1})
    client.ok("publish", channel=channel, type="SAY", data={"shout": "hey"})
    with gate[1].client() as store:
        stored = store.xrange(channel_key(channel))
    assert [(f.get(b"type"), data_of((i, f))) for i, f in stored] == [
        (b"SAY", {"a": 1}), (b"SHOUT", "hey")]
    assert [data_of(e) for e in audit() if e[1].get(b"type") != b"GONE"] == [
        {"a": 1}, {"shout": "hey"}]


def test_call_is_answered_and_orders_are_carried_out(run, gate, channel):
    client = run.client(gate[0])
    assert client.ok("call", channel=channel, type="ECHO", data=[1, "é"]) == {
        "type": None, "data": [1, "é"]}
    client.ok("subscribe", channel=channel)
    client.until(lambda: len(client.pushes) == 2)
    client.ok("call", channel=channel, type="LEAVE", data=0)
    client.until(lambda: len(client.pushes) == 3)
    assert client.pushes[2]["push"] == "unsubscribed"
    assert client.pushes[2]["channel"] == channel
    client.ask("call", channel=channel, type="QUIT", data=0)
    with pytest.raises(Closed) as closed:
        while True:
            client.message()
    assert (closed.value.code, closed.value.reason) == (1008, "as you wish")


def test_ends_are_told(run, gate, channel):
    client = run.client(gate[0])
    client.ok("subscribe", channel=channel)
    client.ok("unsubscribe", channel=channel)
    with gate[1].client() as store:
        def gone():
            return [data_of(e).encode() for e in
                    store.xrange(channel_key("audit"))
                    if e[1].get(b"type") == b"GONE"]
        socket, = {f[b"socket"] for _, f in store.xrange("rd:ch:gate-events")
                   if f.get(b"channel") == channel.encode()}
        eventually(lambda: gone().count(socket) == 1)
        client.close()
        # The channel that it was given, and the connection.
        eventually(lambda: gone().count(socket) == 3)


# --- programs that do not say yes --------------------------------------------

NO = [{}, {"allow": False}, {"allow": "true"}, {"allow": 1}, {"allow": None},
      {"data": {"a": 1}}, {"reply": 1}, {"retry": 0}, {"dead": "no"},
      {"emit": [{"channel": "x", "data": 1}]},
      {"allow": True, "emit": [{"channel": ""}]}]


@pytest.mark.parametrize("answer", NO, ids=json.dumps)
def test_what_is_not_allowed_in_so_many_words_is_refused(run, server, channel,
                                                         tmp_path, answer):
    site = run.daemon(*through(channel), *RULE, "--handler",
                      program(tmp_path, answer), redis=server, workers=1)
    client = run.client(site)
    for do, more in (("subscribe", {}), ("publish", {"data": {"b": 1}}),
                     ("call", {"data": 1})):
        assert client.error(do, channel=channel, **more)["code"] == "denied"
    assert not server.client().exists(channel_key(channel))
    assert [e["event"] for e in seen(tmp_path)] == ["subscribe", "publish",
                                                    "call"]


def test_nobody_gets_in_where_the_program_refuses(run, server, channel,
                                                  tmp_path):
    site = run.daemon(*through(channel), *CONNECT, "--handler",
                      program(tmp_path, {}), redis=server, workers=1)
    client = run.client(site, wait=False)
    with pytest.raises(Closed) as closed:
        while True:
            client.message()
    assert closed.value.code == 1008
    event, = seen(tmp_path)
    assert event["event"] == "connect" and event["data"]["path"] == "/"
    assert re.fullmatch(r"[A-Za-z0-9._:-]+/\d+", event["socket"])


# --- what a handler is shown, and what stays of it ----------------------------

def content(store, key):
    """All that a key of Redis gives."""
    return {b"stream": store.xrange, b"hash": store.hgetall,
            b"string": store.get, b"none": str, b"set": store.smembers,
            b"zset": lambda k: store.zrange(k, 0, -1)}[store.type(key)](key)


def shown_by(run, site, channel, way, headers):
    """A client that shows what it has, and publishes 1 where it can."""
    path = "?key=hush-6&x"
    if way == "wire":
        client = run.client(site, path="/in" + path, headers=headers)
        client.ok("publish", channel=channel, data=1)
    elif way == "plain":
        peer = run.peer(site, f"/ws/{channel}{path}", headers=headers,
                        protocol="redistribute.json, hush-7")
        peer.text("1")
        peer.message()
    elif way == "sse":
        sse.Stream(site.port, channel, path, headers=headers).sock.close()
    else:
        sse.request(site.port, "POST", f"/sse/{channel}{path}", b"1", headers)


@pytest.mark.parametrize("way", ["wire", "plain", "sse", "post"])
def test_connect_is_told_of_what_the_client_shows(run, server, channel,
                                                  tmp_path, way):
    site = run.daemon(*through(channel), *CONNECT, "--event-header",
                      "Authorization", "--event-header", "x-none",
                      "--event-header", "X-Two", "--event-cookie", "session",
                      "--event-cookie", "none", "--handler", program(
                          tmp_path, {"allow": True, "from": "alice é"}),
                      "--answer-timeout", "3s", "--event-expire", "3500ms",
                      redis=server, workers=1)
    shown_by(run, site, channel, way, [
        "Authorization: Bearer hush-1", "X-Two: a", "x-two: b",
        "X-Other: hush-2", "Cookie: x=hush-3; session=hush-4=;session=hush-5"])
    about = eventually(lambda: [e for e in seen(tmp_path)
                                if e["event"] == "connect"])[0]["data"]
    assert about["query"] == "key=hush-6&x"
    assert about["headers"] == {"Authorization": "Bearer hush-1",
                                "X-Two": "a, b"}
    assert about["cookies"] == {"session": "hush-4="}
    assert about["protocols"] == {"wire": ["redistribute.json"], "plain": [
        "redistribute.json", "hush-7"]}.get(way, [])
    with server.client() as store:
        if way != "sse":
            (_, stored), = store.xrange(channel_key(channel))
            assert stored[b"from"] == "alice é".encode()
        # What it has shown is gone soon, and was written nowhere else.
        eventually(lambda: not [
            f for _, f in store.xrange(f"rd:ch:{channel}-events")
            if b"ask" in f])
        assert [k for k in store.scan_iter("*")
                if "hush-" in str(content(store, k))] == []
    assert "hush-" not in site.transcript() + site.http("/metrics")[1]


def test_connect_that_kills_its_handler_leaves_no_dead_letter(run, server,
                                                              channel):
    site = run.daemon(*through(channel), *CONNECT, "--event-cookie", "session",
                      "--max-attempts", "1", "--max-crashes", "1",
                      "--handler", "exec:read x; exit 3", redis=server,
                      workers=1)
    client = run.client(site, wait=False, headers=["Cookie: session=hush"])
    with pytest.raises(Closed):
        while True:
            client.message()
    with server.client() as store:
        eventually(lambda: not store.xpending(f"rd:ch:{channel}-events",
                                              channel)["pending"])
        assert not store.exists(f"rd:dead:{channel}")


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", 1, ["a"]],
                         ids=["empty", "long", "control", "number", "list"])
def test_name_that_is_none_lets_nobody_in(run, server, channel, tmp_path, name):
    site = run.daemon(*through(channel), *CONNECT, "--handler",
                      program(tmp_path, {"allow": True, "from": name}),
                      redis=server, workers=1)
    client = run.client(site, wait=False)
    with pytest.raises(Closed) as closed:
        while True:
            client.message()
    assert closed.value.code == 1008


def test_who_a_client_is_stands_in_every_event_about_it(run, server, channel,
                                                        tmp_path):
    site = run.daemon(*through(channel), *CONNECT, *RULE, "--handler",
                      program(tmp_path, {"allow": True, "from": "alice"}),
                      redis=server, workers=1)
    client = run.client(site)
    client.ok("subscribe", channel=channel)
    client.ok("publish", channel=channel, data=1)
    client.ok("call", channel=channel, data=1)
    client.ok("unsubscribe", channel=channel)
    client.close()
    eventually(lambda: len(seen(tmp_path)) == 6)
    assert {e["event"]: e.get("from") for e in seen(tmp_path)} == {
        "connect": None, "subscribe": "alice", "publish": "alice",
        "call": "alice", "unsubscribe": "alice", "disconnect": "alice"}


def test_what_awaits_no_answer_is_not_removed(run, server, channel):
    site = run.daemon(*through(channel)[:2], *CONNECT, "--answer-timeout",
                      "50ms", "--event-expire", "100ms", redis=server)
    client = run.client(site, wait=False)
    with pytest.raises(Closed):
        while True:
            client.message()
    with server.client() as store:
        key = f"rd:ch:{channel}-events"
        eventually(lambda: [f[b"event"] for _, f in store.xrange(key)] == [
            b"disconnect"])


@pytest.mark.parametrize("args,says", [
    (["--event-header", "a b"], "event-header"),
    (["--event-cookie", "a;b"], "event-cookie"),
    (["--event-expire", "1s", "--answer-timeout", "1s"], "event-expire"),
])
def test_what_cannot_be_shown_is_a_configuration_error(args, says):
    status, _, err = run_verb("check", *args)
    assert status == 78 and says in err


# --- those that cannot answer ------------------------------------------------

@pytest.mark.parametrize("verb", ["start", "check"])
@pytest.mark.parametrize("ask,handler,says", [
    (["--rule", "a subscribe=handler"], "log", "log"),
    (["--rule", "a publish=handler"], "statistic", "statistic"),
    (["--connect", "handler"], "audit", "audit"),
    (["--rule", "a call=handler"], "relay:to=x", "relay"),
])
def test_rules_that_ask_a_built_in_handler_are_refused(verb, server, ask,
                                                       handler, says):
    status, out, err = run_verb(
        verb, "--workers", "1", *through("gate"), *ask, "--handler", handler,
        env={"REDISTRIBUTE_TARGETS": server.uri})
    assert status == 78, (out, err)
    assert says in out + err and "team gate" in out + err


PART = """
#include <redistribute/handler.h>
static int yes(void *state, struct rd_context *ctx, const struct rd_event *e)
{ (void)state; (void)ctx; (void)e; return RD_OK; }
const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI, .size = sizeof(struct rd_handler), .name = "part",
    .publish = yes };
"""


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """A shared object that decides on publish, and on nothing else."""
    from test_handlers import CC, compile_so
    if CC is None:
        pytest.skip("there is no C compiler here")
    path = tmp_path_factory.mktemp("part")
    (path / "part.c").write_text(PART)
    return compile_so(path / "part.so", path / "part.c")


@pytest.mark.parametrize("verb", ["start", "check"])
@pytest.mark.parametrize("ask,event", [
    (["--rule", "a subscribe=handler publish=handler"], "subscribe"),
    (["--rule", "a call=handler"], "call"),
    (["--connect", "handler"], "connect"),
])
def test_rules_that_ask_for_a_function_that_is_missing_are_refused(
        verb, server, part, ask, event):
    status, out, err = run_verb(
        verb, "--workers", "1", *through("gate"), *ask, "--handler", part,
        env={"REDISTRIBUTE_TARGETS": server.uri})
    assert status == 78, (out, err)
    assert f"no function {event}" in out + err


def test_function_that_returns_ok_allows(run, server, channel, part):
    site = run.daemon(*through(channel), "--rule", "* publish=handler",
                      "--handler", part, redis=server, workers=1)
    assert run.client(site).ok("publish", channel=channel, data=1)["offset"]


def test_missing_function_is_a_refusal(run, server, channel, part):
    """Rules of another machine: the worker cannot know them."""
    run.daemon(*through(channel)[2:], "--handler", part, redis=server,
               workers=1, gateways=0)
    site = run.daemon(*through(channel)[:2], "--rule", "* subscribe=handler",
                      redis=server)
    assert run.client(site).error("subscribe", channel=channel) == {
        "code": "denied", "retry": False,
        "message": "the handler has no function subscribe"}


def test_built_in_handler_of_another_machine_refuses(run, server, channel):
    run.daemon(*through(channel)[2:], redis=server, workers=1, gateways=0)
    site = run.daemon(*through(channel)[:2], *RULE, redis=server)
    client = run.client(site)
    for do, more in (("subscribe", {}), ("publish", {"data": 1}),
                     ("call", {"data": 1})):
        error = client.error(do, channel=channel, **more)
        assert error["code"] == "denied"
        assert error["message"] == "no handler has allowed it"
