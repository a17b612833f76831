# SPDX-License-Identifier: MIT
"""Server events: what handlers decide on and order, seen from the gateway.

The handler is a worker of paper (support/events.py): it answers over Redis
with nothing of ours between.
"""
import json
import re
import signal
import threading
import time

import pytest

from events import EVENTS, Answerer
from harness import eventually, holds, run as run_verb, xadd
from test_limits import own_address
from peer import BINARY, TEXT, Closed, Peer, Refused

ALLOW = {"allow": "1"}
RULES = ["--events", EVENTS, "--rule",
         "vip:* subscribe=handler publish=handler",
         "--rule", "quiet:* subscribe=nobody publish=nobody call=nobody",
         "--rule", "* subscribe=anyone publish=anyone call=handler"]


def refuse(reason="not you"):
    return {"allow": "0", "reason": reason}


def change(data, **more):
    return {"allow": "1", "json": json.dumps(data), **more}


def ended(client):
    """(code, reason) of the close that comes next, and what came before."""
    got = []
    try:
        while True:
            got.append(client.message())
    except Closed as c:
        return c.code, c.reason, got


def metric(daemon, name):
    body = daemon.http("/metrics")[1]
    found = re.search(rf"^redistribute_gateway_{name} (\d+)$", body, re.M)
    assert found, f"no metric {name}"
    return int(found[1])


@pytest.fixture(scope="module")
def gateway(run_once, server):
    """One gateway with rules, for tests that do not disturb it."""
    return run_once.daemon(*RULES, redis=server)


@pytest.fixture
def worker(server):
    """Answers what a test tells it to, and allows everything else."""
    server.client().delete("rd:ch:" + EVENTS)
    with Answerer(server) as w:
        yield w


@pytest.fixture
def client(run, gateway):
    return run.client(gateway)


# --- configuration -----------------------------------------------------------

@pytest.mark.parametrize("args,says", [
    (["--connect", "handler"], "events"),
    (["--rule", "a subscribe=handler"], "a subscribe=handler"),
    (["--rule", "a call=anyone"], "a call=anyone"),
    (["--rule", "a do=anyone", "--events", "e"], "a do=anyone"),
    (["--rule", "[a publish=anyone"], "[a publish=anyone"),
    (["--events", "bad\x01name"], "events"),
])
def test_wrong_rule_is_a_configuration_error_that_names_it(args, says):
    for verb in ("start", "check"):
        status, _, err = run_verb(verb, *args)
        assert status == 78, (verb, err)
        assert says in err


# --- rules without a handler -------------------------------------------------

def test_what_nobody_may_is_denied(client, store):
    for do, more in (("subscribe", {}), ("publish", {"data": 1}),
                     ("call", {"data": 1}), ("history", {})):
        error = client.error(do, channel="quiet:1", **more)
        assert error["code"] == "denied" and error["retry"] is False
    assert not store.exists("rd:ch:quiet:1")


def test_the_channel_of_the_events_is_closed_to_clients(client, store, worker):
    before = store.xlen("rd:ch:" + EVENTS)
    for do, more in (("subscribe", {}), ("publish", {"data": 1}),
                     ("call", {"data": 1}), ("history", {})):
        assert client.error(do, channel=EVENTS, **more)["code"] == "denied"
    assert store.xlen("rd:ch:" + EVENTS) == before


def test_plain_client_of_a_closed_channel_gets_403(run, gateway):
    with pytest.raises(Refused) as refused:
        Peer(gateway.port, "/ws/quiet:1")
    assert refused.value.status == 403


def test_without_events_calls_are_denied(run, site):
    error = run.client(site).error("call", channel="c", data=1)
    assert error["code"] == "denied"


# --- connect -----------------------------------------------------------------

@pytest.fixture(scope="module")
def guarded(run_once, server):
    """connect = handler."""
    return run_once.daemon(*RULES, "--connect", "handler", "--replace-rules",
                           "--answer-timeout", "1s", redis=server)


def test_client_is_welcomed_once_a_handler_lets_it_in(run, guarded, worker):
    gate = threading.Event()
    worker.answers["connect"] = lambda e: gate.wait(15) and ALLOW
    client = run.client(guarded, path="/a/b?secret=1", wait=False,
                        headers=['User-Agent: tester "1"'])
    client.put({"id": 7, "do": "ping"})
    holds(lambda: not client.frames, 0.2)
    gate.set()
    assert client.reply(7) and client.welcome
    assert client.sequence[0] == "welcome"
    about = worker.wait("connect")
    assert about.payload == {
        "name": client.welcome["client"], "address": "127.0.0.1",
        "agent": 'tester "1"', "origin": None, "path": "/a/b",
        "query": "secret=1", "protocol": "redistribute.json",
        "protocols": ["redistribute.json"], "headers": {}, "cookies": {}}
    assert set(about) == {"event", "socket", "ask", "until"}
    assert re.fullmatch(r"[A-Za-z0-9._:-]+/\d+", about["socket"])
    assert 0 < int(about["until"]) - time.time() * 1000 <= 1000
    client.close()
    assert worker.wait("disconnect") == {"event": "disconnect",
                                         "socket": about["socket"]}


def test_refused_client_is_told_to_stop(run, guarded, worker):
    worker.answers["connect"] = refuse("members only: é")
    client = run.client(guarded, wait=False)
    code, reason, got = ended(client)
    assert (code, reason) == (1008, "members only: é")
    assert [json.loads(text) for _, text in got] == [
        {"id": None, "error": {"code": "denied", "message": "members only: é",
                               "retry": False}}]
    # It was never in, so nobody hears that it has gone.
    worker.answers["connect"] = ALLOW
    run.client(guarded).close()
    worker.wait("disconnect")
    assert worker.kinds() == ["connect", "connect", "disconnect"]


def test_client_that_no_handler_answers_comes_later(run, guarded, worker):
    worker.answers["connect"] = None
    client = run.client(guarded, wait=False)
    code, _, got = ended(client)
    assert code == 1013
    error = json.loads(got[0][1])["error"]
    assert error["code"] == "timeout" and error["retry"] is True
    # A handler that was only late may have let it in.
    worker.wait("disconnect")


def test_client_that_goes_while_it_is_judged_leaves_no_trace(run, guarded,
                                                             worker):
    late = []
    worker.answers["connect"] = lambda e: late.append(e)
    client = run.client(guarded, wait=False)
    asked = worker.wait("connect")
    client.kill()
    strays = metric(guarded, "ask_strays_total")
    assert worker.wait("disconnect")["socket"] == asked["socket"]
    worker.write(asked, ALLOW)
    eventually(lambda: metric(guarded, "ask_strays_total") == strays + 1)
    worker.answers["connect"] = ALLOW
    assert run.client(guarded).ok("ping")


def test_orders_before_the_answer_wait_for_the_welcome(run, guarded, worker,
                                                       store):
    worker.answers["connect"] = [
        {"op": "direct", "type": "HI", "json": '{"a":1}'},
        {"op": "subscribe", "channel": "lobby"},
        ALLOW]
    client = run.client(guarded)
    client.until(lambda: len(client.pushes) == 2)
    assert client.sequence[0] == "welcome"
    assert client.pushes[0] == {"push": "direct", "type": "HI",
                                "data": {"a": 1}}
    assert client.pushes[1]["push"] == "subscribed"
    xadd(store, "lobby", json="5")
    assert client.messages("lobby", 1)[0][2] == 5


def test_plain_client_is_judged_before_its_handshake(run, guarded, worker):
    worker.answers["connect"] = lambda e: refuse("no toasters")
    with pytest.raises(Refused) as refused:
        Peer(guarded.port, "/ws/vip:p")
    assert refused.value.status == 403 and b"no toasters" in refused.value.body
    worker.answers["connect"] = ALLOW
    worker.answers["subscribe"] = refuse("not this room")
    with pytest.raises(Refused) as refused:
        Peer(guarded.port, "/ws/vip:p")
    assert refused.value.status == 403
    assert b"not this room" in refused.value.body
    worker.answers["connect"] = None
    with pytest.raises(Refused) as refused:
        Peer(guarded.port, "/ws/vip:p")
    assert refused.value.status == 503
    worker.answers.clear()
    with Peer(guarded.port, "/ws/vip:p") as peer:
        peer.text('{"a":1}')
        assert peer.message() == (TEXT, b'{"a":1}')
        peer.close()
    asked = [e for e in worker.seen if e["event"] == "connect"]
    assert asked[-1].payload["path"] == "/ws/vip:p"
    worker.wait("unsubscribe")


# --- subscribe ---------------------------------------------------------------

def test_subscription_begins_when_a_handler_allows_it(client, worker, store):
    xadd(store, "vip:1", json="1")
    gate = threading.Event()
    worker.answers["subscribe"] = lambda e: gate.wait(15) and ALLOW
    number = client.ask("subscribe", channel="vip:1", offset="0")
    # What follows on that channel waits; what does not, does not.
    after = client.ask("publish", channel="vip:1", data=2)
    asked = eventually(lambda: store.xrange("rd:ch:" + EVENTS))
    assert len(asked) == 1
    gate.set()
    assert client.reply(number)["ok"]["offset"] == "0-0"
    assert client.reply(after)["ok"]
    assert [m[2] for m in client.messages("vip:1", 2)] == [1, 2]
    event = worker.wait("subscribe")
    assert event["channel"] == "vip:1"
    assert client.ok("subscribe", channel="vip:1")["already"] is True
    assert client.ok("history", channel="vip:1")["messages"]
    client.ok("unsubscribe", channel="vip:1")
    assert worker.wait("unsubscribe") == {
        "event": "unsubscribe", "socket": event["socket"], "channel": "vip:1"}
    assert client.error("history", channel="vip:1")["code"] == "denied"


def test_refused_subscription_says_why(client, worker):
    worker.answers["subscribe"] = refuse("pay first")
    assert client.error("subscribe", channel="vip:2") == {
        "code": "denied", "message": "pay first", "retry": False}
    worker.answers["subscribe"] = {"allow": "0"}
    assert client.error("subscribe", channel="vip:2")["message"]
    assert client.ok("subscribe", channel="open")
    client.close()
    worker.answers.clear()
    assert set(worker.kinds()) == {"subscribe"}


def test_end_of_a_client_is_the_end_of_its_subscriptions(run, gateway, worker):
    client = run.client(gateway)
    for channel in ("vip:a", "vip:b", "open"):
        client.ok("subscribe", channel=channel)
    client.kill()
    worker.wait("unsubscribe", 2)
    left = {e["channel"] for e in worker.seen if e["event"] == "unsubscribe"}
    assert left == {"vip:a", "vip:b"}
    # Nobody was asked to let it in.
    assert "disconnect" not in worker.kinds()


def test_handlers_subscribe_and_unsubscribe_a_socket(client, worker, store):
    client.ok("call", channel="any", data=0)
    me = worker.wait("call")
    worker.write(me, {"op": "subscribe", "channel": "given"})
    client.until(lambda: client.pushes)
    push = client.pushes.pop()
    assert push["push"] == "subscribed" and push["channel"] == "given"
    assert push["epoch"] == store.hget("rd:meta", "epoch").decode()
    xadd(store, "given", json='"here"')
    assert client.messages("given", 1)[0][2] == "here"
    worker.write(me, {"op": "subscribe", "channel": "given"})    # no effect
    worker.write(me, {"op": "unsubscribe", "channel": "given",
                      "reason": "enough"})
    client.until(lambda: client.pushes)
    assert client.pushes == [{"push": "unsubscribed", "channel": "given",
                              "reason": "enough"}]
    xadd(store, "given", json='"not here"')
    client.nothing_more("given")


def test_handlers_close_a_socket(client, worker):
    client.ok("call", channel="any", data=0)
    worker.write(worker.wait("call"), {"op": "disconnect", "reason": "bye"})
    assert ended(client)[:2] == (1008, "bye")


# --- publish -----------------------------------------------------------------

@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_allowed_message_is_stored_and_answered_by_its_offset(
        run, gateway, worker, store, codec, channel):
    client = run.client(gateway, codec)
    where = "vip:" + channel
    ok = client.ok("publish", channel=where, type="T", data={"a": [1, "é"]})
    entry = store.xrange("rd:ch:" + where)[-1]
    assert entry[0].decode() == ok["offset"]
    event = worker.wait("publish")
    assert event["channel"] == where and event["type"] == "T"
    if codec == "json":
        assert event.payload == {"a": [1, "é"]}
        assert set(entry[1]) == {b"type", b"json"}


def test_handler_changes_a_message(client, worker, store):
    worker.answers["publish"] = change({"b": 2}, type="CHANGED")
    client.ok("subscribe", channel="vip:3")
    client.ok("publish", channel="vip:3", type="T", data={"a": 1})
    assert client.messages("vip:3", 1)[0][1:] == ["CHANGED", {"b": 2}]
    worker.answers["publish"] = {"allow": "1", "bin": b"\0\xff"}
    client.ok("publish", channel="vip:3", type="T", data={"a": 1})
    assert client.messages("vip:3", 1)[0][1:] == [None, None,
                                                  {"data64": "AP8="}]
    assert set(store.xrange("rd:ch:vip:3")[-1][1]) == {b"bin"}


def test_refused_message_is_not_stored(client, worker, store):
    worker.answers["publish"] = refuse("no shouting")
    error = client.error("publish", channel="vip:4", data="HEY")
    assert error == {"code": "denied", "message": "no shouting",
                     "retry": False}
    assert not store.exists("rd:ch:vip:4")


def test_order_of_a_channel_is_kept_whatever_handlers_take(run, gateway,
                                                           worker, store):
    """Answers come in the opposite order; one of three is refused."""
    held = []

    def hold(event):
        held.append(event)
        if len(held) == 30:
            for e in reversed(held):
                worker.write(e, refuse() if e.payload % 3 == 1 else ALLOW)
    worker.answers["publish"] = hold
    client = run.client(gateway)
    numbers = [client.ask("publish", channel=f"vip:o{n % 2}", data=n)
               for n in range(30)]
    replies = [client.reply(n) for n in numbers]
    for n, reply in enumerate(replies):
        assert ("error" in reply) == (n % 3 == 1)
    for half in (0, 1):
        stored = [int(fields[b"json"]) for _, fields
                  in store.xrange(f"rd:ch:vip:o{half}")]
        assert stored == [n for n in range(30) if n % 2 == half and n % 3 != 1]


def test_message_of_a_client_that_has_gone_is_stored_all_the_same(
        run, gateway, worker, store):
    gate = threading.Event()
    worker.answers["publish"] = lambda e: gate.wait(15) and ALLOW
    client = run.client(gateway)
    for n in range(3):
        client.put({"do": "publish", "channel": "vip:gone", "data": n})
    eventually(lambda: metric(gateway, "asks_waiting") == 3)
    client.close()
    eventually(lambda: metric(gateway, "connections") == 0)
    gate.set()
    eventually(lambda: store.xlen("rd:ch:vip:gone") == 3)
    assert [f[b"json"] for _, f in store.xrange("rd:ch:vip:gone")] == [
        b"0", b"1", b"2"]


def test_plain_message_is_judged_one_by_one(run, gateway, worker):
    def judge(event):
        if event.payload == "bad":
            return refuse("not here")
        return change("better") if event.payload == "good" else ALLOW
    worker.answers["publish"] = judge
    with Peer(gateway.port, "/ws/vip:5") as peer:
        peer.text("as it is")
        peer.text("good")
        peer.binary(b"\0\1")
        assert peer.message() == (TEXT, b"as it is")
        assert peer.message() == (TEXT, b'"better"')
        assert peer.message() == (BINARY, b"\0\1")
        peer.text("bad")
        assert ended(peer) == (1008, "not here", [])


# --- call --------------------------------------------------------------------

@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_call_is_answered(run, gateway, worker, codec):
    client = run.client(gateway, codec)
    worker.answers["call"] = lambda e: change({"sum": 5}, type="SUM")
    assert client.ok("call", channel="math", type="ADD", data=[2, 3]) == {
        "type": "SUM", "data": {"sum": 5}}
    worker.answers["call"] = {"allow": "1", "bin": b"\0\1"}
    raw = client.ok("call", channel="math", data=1)
    assert raw == ({"type": None, "data64": "AAE="} if codec == "json"
                   else {"type": None, "data": b"\0\1"})
    worker.answers["call"] = ALLOW
    assert client.ok("call", channel="math", data=1) == {"type": None,
                                                         "data": None}
    worker.answers["call"] = refuse("no such thing")
    error = client.error("call", channel="math", data=1)
    assert error == {"code": "denied", "message": "no such thing",
                     "retry": False}
    event = worker.wait("call")
    assert event["channel"] == "math" and event["type"] == "ADD"
    if codec == "json":
        assert event.payload == [2, 3]


def test_call_without_id_is_made_and_not_answered(client, worker):
    client.put({"do": "call", "channel": "c", "data": 1})
    worker.wait("call")
    worker.answers["call"] = refuse("no")
    client.put({"do": "call", "channel": "c", "data": 1})
    client.until(lambda: client.errors)
    assert client.errors[0]["code"] == "denied"
    assert client.sequence == ["welcome", "error"]


def test_a_thousand_calls_at_once_come_in_order_and_are_all_answered(
        client, worker):
    worker.answers["call"] = lambda e: change(e.payload * 2)
    numbers = [client.ask("call", channel="c", data=n) for n in range(1000)]
    for n, number in enumerate(numbers):
        assert client.reply(number)["ok"]["data"] == n * 2
    worker.wait("call", 1000)
    assert [e.payload for e in worker.seen] == list(range(1000))


# --- no answer ---------------------------------------------------------------

def test_no_answer_in_time_is_a_refusal_with_timeout(run, server, worker,
                                                     store):
    gateway = run.daemon(*RULES, "--answer-timeout", "300ms", redis=server)
    client = run.client(gateway)
    for kind in ("subscribe", "publish", "call"):
        worker.answers[kind] = None
    start = time.monotonic()
    numbers = [client.ask("subscribe", channel="vip:t"),
               client.ask("call", channel="c", data=1)]
    for number in numbers:
        error = client.reply(number)["error"]
        assert error["code"] == "timeout" and error["retry"] is True
    assert client.error("publish", channel="vip:t2", data=1)["code"] == (
        "timeout")
    assert time.monotonic() - start < 5
    # A handler that was only late may have allowed it.
    assert worker.wait("unsubscribe")["channel"] == "vip:t"
    assert metric(gateway, "ask_timeouts_total") == 3
    assert metric(gateway, "asks_waiting") == 0
    # And late answers change nothing.
    for kind in ("subscribe", "publish", "call"):
        worker.write(worker.wait(kind), ALLOW)
    eventually(lambda: metric(gateway, "ask_strays_total") == 3)
    assert not store.exists("rd:ch:vip:t2")


def test_questions_above_max_asks_are_refused_at_once(run, server, worker):
    gateway = run.daemon(*RULES, "--max-asks", "4", redis=server)
    client = run.client(gateway)
    worker.answers["call"] = None
    for n in range(2):
        client.ask("call", channel="c", data=n)
    error = client.error("call", channel="c", data=2)
    assert error["code"] == "busy" and error["retry"] is True
    assert metric(gateway, "ask_limits_total") == 1
    assert metric(gateway, "asks_waiting") == 2
    for n in (1, 2):
        worker.write(worker.wait("call", n), ALLOW)
    client.reply(1)
    client.reply(2)
    worker.answers["call"] = ALLOW
    client.ok("call", channel="c", data=3)


def test_calls_leave_room_for_what_is_more_important(run, server, worker):
    """20 questions in all: 10 calls, then publishes up to 15, subscribes up to
    18, and connects up to 20."""
    gateway = run.daemon(*RULES, "--connect", "handler", "--max-asks", "20",
                         redis=server)
    client = run.client(gateway)
    for kind in ("call", "publish", "subscribe", "connect"):
        worker.answers[kind] = None
    waiting = 0
    for do, most in (("call", 10), ("publish", 15), ("subscribe", 18)):
        while waiting < most:
            client.ask(do, channel=f"{'c' if do == 'call' else 'vip:'}{waiting}",
                       **({} if do == "subscribe" else {"data": 1}))
            waiting += 1
        eventually(lambda: metric(gateway, "asks_waiting") == waiting)
        error = client.error(do, channel="vip:x" if do != "call" else "x",
                             **({} if do == "subscribe" else {"data": 1}))
        assert error["code"] == "busy" and error["retry"] is True
    for _ in range(2):
        run.client(gateway, wait=False)
    eventually(lambda: metric(gateway, "asks_waiting") == 20)
    code, _, got = ended(run.client(gateway, wait=False))
    assert code == 1013 and json.loads(got[0][1])["error"]["code"] == "busy"
    assert metric(gateway, "ask_limits_total") == 4


def test_one_connection_has_its_share_and_is_not_listened_to_above(
        run, server, worker):
    gateway = run.daemon(*RULES, "--max-asks-per-connection", "3",
                         redis=server)
    held = []
    worker.answers["call"] = worker.answers["publish"] = held.append
    client, other = run.client(gateway), run.client(gateway)
    numbers = [client.ask("call", channel="c", data=n) for n in range(2)]
    numbers += [client.ask("publish", channel="vip:s", data=n)
                for n in range(20)]
    eventually(lambda: len(held) == 3)
    # Another one is not touched by it, and nothing of the first is refused.
    number = other.ask("call", channel="c", data="other")
    worker.wait("call", 3)
    holds(lambda: metric(gateway, "asks_waiting") == 4, 0.2)
    worker.answers["call"] = worker.answers["publish"] = ALLOW
    for event in held[:]:
        worker.write(event, ALLOW)
    assert all("ok" in client.reply(n) for n in numbers)
    assert other.reply(number)["ok"]
    assert metric(gateway, "ask_shares_total") == 0


def test_one_address_has_its_share(run, server, worker):
    host = own_address()
    gateway = run.daemon(*RULES, "--host", "0.0.0.0", "--insecure",
                         "--max-asks-per-address", "5", redis=server)
    worker.answers["call"] = None
    clients = [run.client(gateway, host=host) for _ in range(3)]
    for n in range(5):
        clients[n % 3].ask("call", channel="c", data=n)
    worker.wait("call", 5)
    assert clients[2].error("call", channel="c", data=5)["code"] == "busy"
    assert metric(gateway, "ask_shares_total") == 1
    assert clients[2].error("subscribe", channel="vip:1")["code"] == "busy"
    worker.answers["call"] = ALLOW
    # Loopback is not counted.
    assert run.client(gateway).ok("call", channel="c", data=6)
    for n in range(1, 6):
        worker.write(worker.wait("call", n), ALLOW)
    eventually(lambda: metric(gateway, "asks_waiting") == 0)
    assert clients[1].ok("call", channel="c", data=7)


def test_crowd_of_callers_keeps_nobody_else_out(run, server, worker):
    """Clients with default limits that ask for more than anybody answers."""
    gateway = run.daemon(*RULES, "--connect", "handler", "--max-asks", "400",
                         "--answer-timeout", "2s", redis=server)
    crowd = [run.client(gateway) for _ in range(11)]
    worker.answers["call"] = None
    for client in crowd:
        for n in range(300):
            client.put({"do": "call", "channel": "c", "data": n})
    eventually(lambda: metric(gateway, "ask_limits_total") > 0)
    newcomer = run.client(gateway)
    assert newcomer.ok("subscribe", channel="vip:new")
    assert newcomer.ok("publish", channel="vip:new", data=1)


def test_calls_are_closed_where_no_rule_opens_them(run, server, worker):
    gateway = run.daemon("--events", EVENTS, "--rule",
                         "vip:* publish=handler", redis=server)
    client = run.client(gateway)
    for where in ("c", "vip:1"):
        error = client.error("call", channel=where, data=1)
        assert error["code"] == "denied"
    assert worker.kinds() == []


# --- direct ------------------------------------------------------------------

@pytest.mark.parametrize("codec,bytes_", [
    ("json", {"data64": "AP8="}), ("msgpack", {"data": b"\0\xff"})])
def test_direct_message_reaches_one_socket_only(run, gateway, worker, codec,
                                                bytes_):
    client, other = run.client(gateway, codec), run.client(gateway)
    client.ok("call", channel="c", data=0)
    me = worker.wait("call")
    worker.write(me, {"op": "direct", "type": "T", "json": '{"a":1}'})
    worker.write(me, {"op": "direct", "text": "words"})
    worker.write(me, {"op": "direct", "bin": b"\0\xff"})
    client.until(lambda: len(client.pushes) == 3)
    assert client.pushes == [
        {"push": "direct", "type": "T", "data": {"a": 1}},
        {"push": "direct", "type": None, "data": "words"},
        {"push": "direct", "type": None, **bytes_}]
    other.nothing_more()
    assert not other.pushes


def test_direct_message_to_a_plain_client_is_its_payload(run, gateway, worker):
    with Peer(gateway.port, "/ws/vip:6") as peer:
        worker.write(worker.wait("subscribe"),
                     {"op": "direct", "type": "T", "json": "[1, 2]"})
        assert peer.message() == (TEXT, b"[1, 2]")
        worker.write(worker.wait("subscribe"),
                     {"op": "disconnect", "reason": "out"})
        assert ended(peer) == (1008, "out", [])


def test_orders_for_sockets_that_have_gone_are_counted(run, gateway, worker):
    client = run.client(gateway)
    client.ok("call", channel="c", data=0)
    me = worker.wait("call")
    client.close()
    eventually(lambda: metric(gateway, "connections") == 0)
    strays = metric(gateway, "direct_strays_total")
    failures = metric(gateway, "order_failures_total")
    worker.write(me, {"op": "direct", "json": "1"})
    worker.write(me, {"op": "subscribe", "channel": "c"})
    worker.write(me, {"op": "unsubscribe", "channel": "c"})
    worker.write(me, {"op": "disconnect"})
    eventually(lambda: metric(gateway, "direct_strays_total") == strays + 1)
    eventually(lambda: metric(gateway, "order_failures_total") == failures + 3)


def test_client_that_does_not_read_its_direct_messages_is_closed(
        run, server, worker):
    gateway = run.daemon(*RULES, "--output-limit", "16k", redis=server)
    client = run.client(gateway, rcvbuf=4096)
    client.ok("call", channel="c", data=0)
    me = worker.wait("call")

    def flood():
        worker.write(me, {"op": "direct", "text": "x" * 60000})
        return metric(gateway, "direct_strays_total") > 0
    eventually(flood)
    assert client.closed() == 1013
    assert metric(gateway, "output_bytes") < 1 << 20


# --- what else may stand in a mailbox ----------------------------------------

GARBAGE = [
    {"op": "dance"},
    {"nonsense": "1"},
    {"op": "answer", "allow": "1"},
    {"op": "answer", "ask": "-1", "allow": "1"},
    {"op": "answer", "ask": "1e3", "allow": "1"},
    {"op": "answer", "ask": "9" * 40, "allow": "1"},
    {"op": "answer", "ask": "1", "allow": "yes"},
    {"op": "answer", "ask": "1", "allow": "1", "json": "1", "type": b"\xff"},
    {"op": "direct", "json": "1"},
    {"op": "direct", "socket": "someone/1", "json": "1"},
    {"op": "direct", "socket": "{me}/x", "json": "1"},
    {"op": "direct", "socket": "{me}/", "json": "1"},
    {"op": "direct", "socket": "{me}/1"},
    {"op": "subscribe", "socket": "{me}/1"},
    {"op": "subscribe", "socket": "{me}/1", "channel": b"\xff"},
    {"op": "unsubscribe", "socket": "{me}/1", "channel": "x" * 300},
    {"op": "disconnect"},
    {b"\xff\0": b"\0"},
]


def test_garbage_in_the_mailbox_is_skipped_and_counted(run, gateway, worker,
                                                       store):
    client = run.client(gateway)
    client.ok("call", channel="c", data=0)
    me = worker.wait("call")
    name = me.mailbox.removeprefix("rd:gw:")
    bad = metric(gateway, "mailbox_bad_total")
    lines = len(gateway.log.find("mailbox.bad"))
    for fields in GARBAGE:
        store.xadd(me.mailbox, {
            k: v.replace("{me}", name) if isinstance(v, str) else v
            for k, v in fields.items()})
    eventually(lambda: metric(gateway, "mailbox_bad_total")
               == bad + len(GARBAGE))
    eventually(lambda: len(gateway.log.find("mailbox.bad")) > lines)
    assert len(gateway.log.find("mailbox.bad")) - lines <= 2
    # Well formed, but about nothing that is under way.
    strays = metric(gateway, "ask_strays_total")
    for ask in ("0", "1", me["ask"], str(1 << 60)):
        store.xadd(me.mailbox, {"op": "answer", "ask": ask, "allow": "1"})
    eventually(lambda: metric(gateway, "ask_strays_total") == strays + 4)
    assert client.ok("call", channel="c", data=0)
    client.nothing_more()
    assert not client.pushes


def test_answer_of_another_entry_with_a_forged_number_is_taken_once(
        run, gateway, worker, store):
    """Two answers to one question: the first counts."""
    worker.answers["publish"] = lambda e: [ALLOW, refuse(), ALLOW]
    client = run.client(gateway)
    for n in range(10):
        client.ok("publish", channel="vip:7", data=n)
    assert store.xlen("rd:ch:vip:7") == 10


def instead(client, key, *command):
    """Something else in the key's place, at once."""
    pipe = client.pipeline()
    pipe.delete(key)
    pipe.execute_command(*command)
    pipe.execute()


@pytest.mark.parametrize("harm", [
    lambda c, key: c.delete(key),
    lambda c, key: c.pexpire(key, 1),
    lambda c, key: instead(c, key, "SET", key, "not a stream"),
    lambda c, key: c.xadd(key, {"op": "open"}, id=f"{(1 << 64) - 1}-1"),
    lambda c, key: instead(c, key, "XADD", key, "1-1", "op", "open"),
    lambda c, key: c.xtrim(key, maxlen=0),
    lambda c, key: c.flushall(),
], ids=["deleted", "expired", "exchanged", "at its end", "begun anew",
        "trimmed", "flushed"])
def test_mailbox_comes_back(run, harm):
    store = run.redis()
    gateway = run.daemon(*RULES, redis=store)
    with Answerer(store) as worker:
        client = run.client(gateway)
        client.ok("call", channel="c", data=0)
        key = worker.wait("call").mailbox
        with store.client() as c:
            harm(c, key)
            eventually(lambda: c.type(key) == b"stream" and c.pttl(key) > 10000
                       or harm.__code__.co_names == ("xtrim",))
        with Answerer(store) as other:      # the events may be gone, too
            eventually(lambda: "ok" in client.reply(
                client.ask("call", channel="c", data=1)))
            other.close()


def test_mailbox_is_trimmed_as_it_is_read_and_bounded(run, gateway, worker,
                                                      store):
    client = run.client(gateway)
    worker.answers["call"] = ALLOW
    for _ in range(3):
        for number in [client.ask("call", channel="c", data=n)
                       for n in range(900)]:
            client.reply(number)
    key = worker.wait("call").mailbox
    eventually(lambda: store.xlen(key) < 1000)
    assert 0 < store.pttl(key) <= 60000


def test_mailbox_goes_with_a_clean_stop_and_expires_after_a_crash(run):
    store = run.redis()
    with store.client() as c:
        gateway = run.daemon(*RULES, redis=store)
        first = eventually(lambda: c.keys("rd:gw:*"))
        assert len(first) == 1 and c.pttl(first[0]) > 0
        old = gateway.kill_child("gateway")
        gateway.wait_child("gateway", other_than=old)
        # The new process has a name of its own; the old mailbox expires.
        both = eventually(lambda: len(k := c.keys("rd:gw:*")) == 2 and k)
        assert all(0 < c.pttl(k) <= 60000 for k in both)
        assert gateway.stop() == 0
        assert c.keys("rd:gw:*") == first


# --- Redis away, gateways gone -----------------------------------------------

def test_redis_away_is_unavailable_and_comes_back(run):
    store = run.redis(persist=True)
    gateway = run.daemon(*RULES, redis=store)
    client = run.client(gateway)
    with Answerer(store) as worker:
        client.ok("call", channel="c", data=0)
        worker.wait("call")
    store.crash()
    codes = eventually(lambda: client.error("call", channel="c", data=1)[
        "code"] in ("unavailable",))
    assert codes
    error = client.error("publish", channel="vip:r", data=1)
    assert error["code"] == "unavailable" and error["retry"] is True
    store.start()
    gateway.log.wait("redis.up", since=0)
    with Answerer(store):
        eventually(lambda: "ok" in client.reply(
            client.ask("call", channel="c", data=2)))


def test_question_under_way_when_redis_breaks_is_answered_somehow(run):
    store = run.redis(persist=True)
    gateway = run.daemon(*RULES, "--answer-timeout", "1s", redis=store)
    client = run.client(gateway)
    numbers = [client.ask("call", channel="c", data=0),
               client.ask("publish", channel="vip:r", data=0)]
    eventually(lambda: metric(gateway, "asks_waiting") == 2)
    store.crash()
    for number in numbers:
        assert client.reply(number)["error"]["code"] in (
            "timeout", "unavailable", "unknown")
    store.start()


def test_draining_gateway_waits_for_answers(run, server, worker):
    gateway = run.daemon(*RULES, redis=server)
    client = run.client(gateway)
    held = threading.Event()
    worker.answers["call"] = lambda e: held.wait(15) and change("late")
    number = client.ask("call", channel="c", data=1)
    eventually(lambda: metric(gateway, "asks_waiting") == 1)
    gateway.send(signal.SIGTERM)
    client.until(lambda: client.pushes)
    assert client.pushes[0]["push"] == "drain"
    held.set()
    code, _, got = ended(client)
    assert code == 1012
    assert json.loads(got[0][1]) == {"id": number,
                                     "ok": {"type": None, "data": "late"}}
    assert gateway.wait(30) == 0


def test_gateway_that_stops_with_clients_left_ends_well(run, server, worker):
    gateway = run.daemon(*RULES, "--drain-timeout", "500ms", redis=server)
    client = run.client(gateway)
    worker.answers["publish"] = None
    client.ask("publish", channel="vip:d", data=1)
    worker.answers["call"] = None
    client.ask("call", channel="c", data=1)
    eventually(lambda: metric(gateway, "asks_waiting") == 2)
    assert gateway.stop() == 0
