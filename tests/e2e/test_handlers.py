# SPDX-License-Identifier: MIT
"""Handlers in C: shared objects in both forms, those that are refused, the
built-in ones, and what exec handlers may ask for beside messages."""
import json
import os
import shutil
import subprocess
import time

import pytest

from harness import (BUILD, PROGRAMS, PYTHON, REPO, SUPPORT, channel_key,
                     eventually, free_ports, xadd)
from harness import run as run_verb

CC = shutil.which("cc")
needs_cc = pytest.mark.skipif(CC is None, reason="there is no C compiler here")
QUICK = ("--retry-delay", "20ms", "--retry-limit", "50ms",
         "--max-attempts", "2")


def compile_so(path, source, *flags):
    subprocess.run([CC, "-std=gnu11", "-Wall", "-Werror", "-shared", "-fPIC",
                    f"-I{REPO}/include", *flags, "-o", str(path), str(source)],
                   check=True, timeout=50)
    return path


@pytest.fixture(scope="module")
def so(tmp_path_factory):
    """{form: path} of obey.so."""
    if CC is None:
        pytest.skip("there is no C compiler here")
    path = tmp_path_factory.mktemp("so")
    return {"message": compile_so(path / "obey.so", SUPPORT / "obey.c"),
            "batch": compile_so(path / "obey_batch.so", SUPPORT / "obey.c",
                                "-DOBEY_BATCH")}


def put(store, channel, orders):
    pipe = store.pipeline(transaction=False)
    for order in orders:
        pipe.xadd(channel_key(channel), {"json": json.dumps(order)})
    return [i.decode() for i in pipe.execute()]


def emitted(store, channel):
    return [json.loads(f[b"json"])
            for _, f in store.xrange(channel_key(channel))]


def finished(store, channel, team):
    key = channel_key(channel)
    last = store.xinfo_stream(key)["last-generated-id"]
    groups = [g for g in store.xinfo_groups(key) if g["name"] == team.encode()]
    return bool(groups) and groups[0]["pending"] == 0 and \
        groups[0]["last-delivered-id"] == last


def wait_finished(store, channel, team, deadline=20):
    eventually(lambda: finished(store, channel, team), deadline,
               f"{channel} is not finished")


def letters(store, team):
    return {json.loads(f[b"json"])["n"]: (f[b"reason"], f[b"error"])
            for _, f in store.xrange(f"rd:dead:{team}")}


@pytest.fixture
def team(run, server, channel):
    """team(handler, flags...): a daemon whose team is named as its channel."""
    def start(handler, *flags, workers=1, **more):
        return run.daemon("--team", channel, "--consume", channel, "--handler",
                          handler, *flags, redis=server, workers=workers,
                          **more)
    return start


# --- shared objects ----------------------------------------------------------

@pytest.mark.parametrize("form", ["message", "batch"])
def test_shared_object_handles_everything_once(store, channel, so, team, form):
    put(store, channel, [{"n": n} for n in range(1000)])
    team(f"{so[form]}:{channel}-out", workers=2)
    wait_finished(store, channel, channel)
    out = emitted(store, f"{channel}-out")
    assert sorted(o["n"] for o in out) == list(range(1000))
    most = max(o["of"] for o in out)
    assert most == 1 if form == "message" else 1 < most <= 100


def test_batch_is_at_most_what_is_configured(store, channel, so, team):
    put(store, channel, [{"n": n} for n in range(300)])
    team(f"{so['batch']}:{channel}-out", "--batch", "7")
    wait_finished(store, channel, channel)
    assert max(o["of"] for o in emitted(store, f"{channel}-out")) <= 7


@pytest.mark.parametrize("form", ["message", "batch"])
def test_each_message_has_its_own_verdict(store, channel, so, team, form):
    orders = {3: "retry", 5: "fail", 8: "dead"}
    put(store, channel, [{"n": n, "do": orders.get(n % 10)}
                         if n % 10 in orders else {"n": n}
                         for n in range(40)])
    team(f"{so[form]}:{channel}-out", *QUICK)
    wait_finished(store, channel, channel)
    assert sorted(o["n"] for o in emitted(store, f"{channel}-out")) == [
        n for n in range(40) if n % 10 not in orders]
    found = letters(store, channel)
    assert sorted(found) == [n for n in range(40) if n % 10 in orders]
    assert found[3] == (b"attempts", b"")
    assert found[5] == (b"attempts", b"told to")
    assert found[8] == (b"no good", b"")


def test_error_of_a_batch_fails_those_of_which_nothing_was_said(
        store, channel, so, team):
    put(store, channel, [{"n": 0, "do": "slow"}])
    team(f"{so['batch']}:{channel}-out", "--retry-delay", "20ms",
         "--max-attempts", "3")
    wait_finished(store, channel, channel)
    put(store, channel, [{"n": 1, "do": "dead"}, {"n": 2, "do": "error"}])
    wait_finished(store, channel, channel)
    found = letters(store, channel)
    assert found[1] == (b"no good", b"")
    assert found[2] == (b"attempts", b"reading or writing failed")
    assert [o["n"] for o in emitted(store, f"{channel}-out")] == [0]


@pytest.mark.parametrize("form", ["message", "batch"])
def test_ordered_channel_keeps_its_order_behind_what_is_not_done(
        store, channel, so, team, form):
    """What stands behind it in the same batch is not done either."""
    orders = {50: "retry", 51: "fail", 120: "dead"}
    put(store, channel, [{"n": n, "do": orders[n]} if n in orders else {"n": n}
                         for n in range(200)])
    team(f"{so[form]}:{channel}-out", "--ordered", *QUICK)
    wait_finished(store, channel, channel)
    assert [o["n"] for o in emitted(store, f"{channel}-out")] == [
        n for n in range(200) if n not in orders]
    # Each waits for the letter of the one before it.
    assert list(letters(store, channel)) == [50, 51, 120]


def test_path_is_relative_to_where_it_was_started(run, server, store, channel,
                                                  so):
    run.process([PROGRAMS["worker"], "--team", channel, "--consume", channel,
                 "--handler", f"obey.so:{channel}-out"],
                env={"REDISTRIBUTE_TARGETS": server.uri},
                cwd=so["message"].parent)
    put(store, channel, [{"n": 7}])
    eventually(lambda: emitted(store, f"{channel}-out") ==
               [{"n": 7, "of": 1}])


@pytest.mark.parametrize("form", ["message", "batch"])
def test_hanging_message_ends_its_worker_and_becomes_a_dead_letter(
        store, channel, so, team, form):
    team(f"{so[form]}:{channel}-out", "--handler-timeout", "300ms", *QUICK)
    put(store, channel, [{"n": n} for n in range(20)])
    wait_finished(store, channel, channel)
    bad, = put(store, channel, [{"n": 99, "do": "hang"}])
    site = team(f"{so[form]}:{channel}-out", "--handler-timeout", "300ms",
                *QUICK)
    put(store, channel, [{"n": n} for n in range(20, 40)])
    wait_finished(store, channel, channel, 30)
    assert sorted(o["n"] for o in emitted(store, f"{channel}-out")) == \
        list(range(40))
    assert list(letters(store, channel)) == [99]
    del site, bad


@pytest.mark.parametrize("form", ["message", "batch"])
def test_crashing_message_becomes_a_dead_letter_and_nothing_else(
        store, channel, so, team, form):
    put(store, channel, [{"n": n} for n in range(30)] +
        [{"n": 99, "do": "crash"}] + [{"n": n} for n in range(30, 60)])
    team(f"{so[form]}:{channel}-out", "--max-crashes", "2", *QUICK)
    wait_finished(store, channel, channel, 40)
    assert sorted(o["n"] for o in emitted(store, f"{channel}-out")) == \
        list(range(60))
    assert list(letters(store, channel)) == [99]


def test_emit_with_a_delay_appears_later_and_once(store, channel, so, team):
    team(f"{so['message']}:{channel}-out")
    start = time.time() * 1000
    put(store, channel, [{"n": 1, "do": "later"}, {"n": 2}])
    eventually(lambda: len(emitted(store, f"{channel}-out")) == 2)
    (_, first), (late, second) = [
        (i, json.loads(f[b"json"])["n"])
        for i, f in store.xrange(channel_key(f"{channel}-out"))]
    assert (first, second) == (2, 1)
    assert int(late.split(b"-")[0]) >= start + 300 - 10


# --- shared objects that are refused -----------------------------------------

STRUCT = """
#include <redistribute/handler.h>
static int f(void *s, struct rd_context *c, const struct rd_delivery *d)
{ (void)s; (void)c; (void)d; return 0; }
const struct rd_handler redistribute_handler = { %s };
"""
SIZE = ".size = sizeof(struct rd_handler)"
BAD = {
    "abi": (STRUCT % f".abi = 99, {SIZE}, .message = f", "speaks ABI 99"),
    "size": (STRUCT % ".abi = RD_HANDLER_ABI, .size = 8, .message = f",
             "has 8 bytes"),
    "nothing": (STRUCT % f".abi = RD_HANDLER_ABI, {SIZE}",
                "neither message nor batch"),
    "symbol": ("int unrelated;\n", "has no symbol redistribute_handler"),
    "undefined": (STRUCT.replace("return 0", "extern int g(void); return g()")
                  % f".abi = RD_HANDLER_ABI, {SIZE}, .message = f",
                  "undefined symbol: g"),
}


def refusal(server, *args):
    """(status, what it says) of a start that must not succeed."""
    port = free_ports(2)
    status, out, err = run_verb(
        "start", "--gateways", "0", "--workers", "1", "--port", port,
        "--ops-port", port + 1, "--consume", "a", *args,
        env={"REDISTRIBUTE_TARGETS": server.uri}, deadline=30)
    assert not out
    return status, err


@needs_cc
@pytest.mark.parametrize("case", BAD)
def test_shared_object_that_cannot_be_used_is_said(server, tmp_path, case):
    code, words = BAD[case]
    source = tmp_path / "bad.c"
    source.write_text(code)
    path = compile_so(tmp_path / "bad.so", source, "-Wno-error",
                      "-Wno-nested-externs", "-Wno-implicit-fallthrough")
    status, text = refusal(server, "--handler", path, "--data-dir", tmp_path)
    assert status == 78, text
    said = [line for line in text.splitlines() if words in line]
    assert said and str(path) in said[0], text


def test_file_that_is_missing_or_no_shared_object_is_said(server, tmp_path):
    status, text = refusal(server, "--handler", f"{tmp_path}/none.so:x",
                           "--data-dir", tmp_path)
    assert status == 78 and f"{tmp_path}/none.so: No such file" in text
    path = tmp_path / "text.so"
    path.write_text("this is no shared object")
    status, text = refusal(server, "--handler", path, "--data-dir", tmp_path)
    assert status == 78 and f"cannot load {path}" in text


def test_handler_that_refuses_its_arguments_is_said(server, tmp_path, so):
    status, text = refusal(server, "--handler", so["message"], "--data-dir",
                           tmp_path)
    assert status == 78
    assert "handler obey does not start: expected a channel" in text


# --- relay -------------------------------------------------------------------

def test_relay_passes_on_what_is_good_and_buries_the_rest(store, channel, team):
    to = f"{channel}-out"
    team(f"relay:to={to},require=agent+ip,type=VISIT")
    good = {"type": "VISIT", "json": '{"agent":"x","ip":"y"}'}
    xadd(store, channel, good)
    pack = {"type": "VISIT", "msgpack": b"\x82\xa5agent\x01\xa2ip\x02"}
    xadd(store, channel, pack)
    for bad in ({"type": "OTHER", "json": '{"agent":"x","ip":"y"}'},
                {"json": '{"agent":"x","ip":"y"}'},
                {"type": "VISIT", "json": '{"agent":"x"}'},
                {"type": "VISIT", "json": "[1]"},
                {"type": "VISIT", "bin": b"\xff"}):
        xadd(store, channel, bad)
    wait_finished(store, channel, channel)
    assert [{k.decode(): v for k, v in f.items()}
            for _, f in store.xrange(channel_key(to))] == [
        {"type": b"VISIT", "json": good["json"].encode()},
        {"type": b"VISIT", "msgpack": pack["msgpack"]}]
    assert [f[b"reason"] for _, f in store.xrange(f"rd:dead:{channel}")] == [
        b"its type is not VISIT", b"its type is not VISIT",
        b"it has no member ip", b"it is not a map", b"it is not a map"]


def test_relay_without_conditions_passes_everything_on(store, channel, team):
    to = f"{channel}-out"
    team(f"relay:to={to}")
    for fields in ({"text": "a\nb"}, {"bin": b"\xff\x00"}, {"json": " [1] "},
                   {"agent": "x", "ip": "y"}):
        xadd(store, channel, fields)
    wait_finished(store, channel, channel)
    assert [f for _, f in store.xrange(channel_key(to))] == [
        {b"text": b"a\nb"}, {b"bin": b"\xff\x00"}, {b"json": b" [1] "},
        {b"json": b'{"agent":"x","ip":"y"}'}]


@pytest.mark.parametrize("spec, words", [
    ("relay", "expected to=CHANNEL"),
    ("relay:require=a", "expected to=CHANNEL"),
    ("relay:to=", 'found "to="'),
    ("relay:to=a,what=b", 'found "what=b"'),
    ("audit:path=x", 'found "path=x"'),
    ("audit:file=/does/not/exist/x", "No such file"),
])
def test_wrong_arguments_of_built_in_handlers_are_said(server, tmp_path, spec,
                                                       words):
    status, text = refusal(server, "--handler", spec, "--data-dir", tmp_path)
    assert status == 78 and words in text, text


# --- audit -------------------------------------------------------------------

def audited(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_audit_writes_a_line_for_each_message(store, channel, team, tmp_path):
    path = tmp_path / "audit.log"
    team(f"audit:file={path}", workers=2)
    first = xadd(store, channel, {"type": 'T"', "from": "al\nice", "key": "k",
                                  "json": '{"a":\n1}'})
    xadd(store, channel, text="zwei\n")
    xadd(store, channel, bin=b"\xff\xfe")
    xadd(store, channel, {"agent": "x"})
    put(store, channel, [{"n": n} for n in range(500)])
    wait_finished(store, channel, channel)
    lines = audited(path)
    assert len(lines) == 504
    by_id = {line["id"]: line for line in lines}
    assert len(by_id) == 504
    one = by_id[first]
    assert abs(one.pop("time") / 1000 - time.time()) < 60
    assert one == {"channel": channel, "id": first, "deliveries": 1,
                   "type": 'T"', "from": "al\nice", "key": "k",
                   "data": {"a": 1}}
    rest = [{k: v for k, v in line.items() if k.startswith("data")}
            for line in sorted(lines, key=lambda line: tuple(
                map(int, line["id"].split("-"))))[1:4]]
    assert rest == [{"data": "zwei\n"}, {"data64": "//4="},
                    {"data": {"agent": "x"}}]


def test_audit_follows_a_rotated_file(store, channel, team, tmp_path):
    path = tmp_path / "audit.log"
    team(f"audit:file={path}")
    put(store, channel, [{"n": 1}])
    wait_finished(store, channel, channel)
    path.rename(tmp_path / "audit.log.1")
    put(store, channel, [{"n": 2}])
    wait_finished(store, channel, channel)
    assert [line["data"]["n"] for line in audited(path)] == [2]
    assert [line["data"]["n"] for line in audited(tmp_path / "audit.log.1")] \
        == [1]


def test_audit_that_cannot_write_acknowledges_nothing(store, channel, team,
                                                      tmp_path):
    path = tmp_path / "logs" / "audit.log"
    path.parent.mkdir()
    site = team(f"audit:file={path}", "--retry-delay", "50ms", "--retry-limit",
                "50ms", "--max-attempts", "1000")
    shutil.rmtree(path.parent)
    put(store, channel, [{"n": 1}])
    site.log.wait("message.retry", error="reading or writing failed")
    path.parent.mkdir()
    wait_finished(store, channel, channel)
    assert [line["data"]["n"] for line in audited(path)] == [1]


def test_audit_without_a_file_goes_to_the_log(store, channel, team):
    site = team("audit")
    xadd(store, channel, json='{"a":1}')
    line = site.log.wait("handler.log", channel=channel)
    assert json.loads(line["text"])["data"] == {"a": 1}


# --- server events, as they stand in the stream ------------------------------

class Mailbox:
    """Stands for a gateway: writes events, reads its mailbox."""

    def __init__(self, store, events):
        self.store = store
        self.events = events
        self.name = f"node:0.{os.urandom(4).hex()}"
        self.key = f"rd:gw:{self.name}"
        self.asks = 0
        # Answers are written to mailboxes that exist only.
        store.xadd(self.key, {"op": "none"})

    def tell(self, event, socket=1, **fields):
        fields = {"event": event, "socket": f"{self.name}/{socket}", **fields}
        return xadd(self.store, self.events, fields)

    def ask(self, event, socket=1, until=10000, **fields):
        self.asks += 1
        self.tell(event, socket, ask=self.asks,
                  until=int(time.time() * 1000) + until, **fields)
        return self.asks

    def posts(self):
        return [{k.decode(): v.decode() for k, v in f.items()}
                for _, f in self.store.xrange(self.key)][1:]

    def answer(self, ask):
        def find():
            return [p for p in self.posts() if p.get("ask") == str(ask)]
        found, = eventually(find, what=f"no answer to {ask}")
        assert found.pop("op") == "answer" and found.pop("ask") == str(ask)
        return found


@pytest.fixture
def mailbox(store, channel):
    return Mailbox(store, channel)


YES = {"allow": "1"}
NO = {"allow": "0", "reason": "no handler has allowed it"}


def test_events_reach_the_functions_of_a_c_handler(store, channel, team,
                                                   mailbox):
    """workers/handlers/example_server.c, the code of the seed's server."""
    team(str(BUILD / "workers/example_server.so"))
    socket = f"{mailbox.name}/1"
    ask = mailbox.ask("connect", json='{"cookies":{"session":"s3cret"}}')
    assert mailbox.answer(ask) == {**YES, "from": "alice"}
    assert {"op": "direct", "socket": socket, "type": "WELCOME",
            "text": "alice"} in mailbox.posts()
    assert mailbox.answer(mailbox.ask("subscribe", channel="room")) == YES
    ask = mailbox.ask("subscribe", channel="staff:1")
    assert mailbox.answer(ask) == {"allow": "0",
                                   "reason": "only for people that we know"}
    ask = mailbox.ask("publish", channel="room", type="SAY", json='{"a":1}')
    assert mailbox.answer(ask) == YES
    ask = mailbox.ask("publish", channel="room", json='{"shout":"hey"}')
    assert mailbox.answer(ask) == {"allow": "1", "type": "SHOUT",
                                   "text": "hey"}
    ask = mailbox.ask("publish", channel="room", text="hey")
    assert mailbox.answer(ask) == {"allow": "0", "reason": "a message is a map"}
    ask = mailbox.ask("call", type="ECHO", json='{"n":1}')
    assert mailbox.answer(ask) == {"allow": "1", "json": '{"n":1}'}
    assert mailbox.answer(mailbox.ask("unsubscribe", channel="room")) == YES
    mailbox.tell("disconnect")
    eventually(lambda: [f[b"text"].decode() for _, f in store.xrange(
        channel_key("audit")) if f.get(b"type") == b"GONE"].count(socket) == 2)
    # What is no event has no function there.
    xadd(store, channel, json='{"n":1}')
    eventually(lambda: letters(store, channel) == {
        1: (b"the handler takes events only", b"")})


def test_event_that_comes_too_late_is_not_run(store, channel, team, mailbox):
    team(str(BUILD / "workers/example_server.so"))
    mailbox.ask("call", json="1", until=-1)
    assert mailbox.answer(mailbox.ask("call", json="2")) == {
        "allow": "1", "json": "2"}
    wait_finished(store, channel, channel)
    assert [p["ask"] for p in mailbox.posts()] == ["2"]


def test_handler_without_events_gets_them_as_messages(store, channel, team,
                                                      mailbox):
    """And none is allowed, whether it fails on them or not."""
    team(f"relay:to={channel}-out,require=a", "--max-attempts", "3")
    ask = mailbox.ask("publish", channel="room", json='{"a":1}')
    assert mailbox.answer(ask) == NO
    ask = mailbox.ask("publish", channel="room", json='{"b":1}')
    assert mailbox.answer(ask) == {
        "allow": "0", "reason": "handler failed: it has no member a"}
    assert emitted(store, f"{channel}-out") == [{"a": 1}]
    assert store.xlen(f"rd:dead:{channel}") == 1


def test_direct_from_a_message(store, channel, so, team, mailbox):
    team(f"{so['message']}:{channel}-out")
    socket = f"{mailbox.name}/7"
    put(store, channel, [{"n": 1, "do": "direct", "socket": socket}])
    eventually(lambda: mailbox.posts() == [
        {"op": "direct", "socket": socket, "type": "T", "text": "hello"}])


def test_mailbox_that_is_gone_stops_nobody(store, channel, so, team, mailbox):
    team(f"{so['message']}:{channel}-out")
    put(store, channel, [{"n": 1, "do": "direct", "socket": "gone:1/7"}])
    wait_finished(store, channel, channel)
    assert not store.exists("rd:gw:gone:1")


ANSWERS = """
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    print(json.dumps({"seq": m["seq"], **(m.get("data") or {})}), flush=True)
"""


@pytest.fixture
def answering(tmp_path):
    """An exec handler that answers with the data of what it is given."""
    path = tmp_path / "answer.py"
    path.write_text(ANSWERS)
    return f"exec:{PYTHON} {path}"


def test_exec_handler_answers_events(store, channel, team, mailbox, answering):
    team(answering)
    socket = f"{mailbox.name}/1"

    def ask(event, answer):
        return mailbox.answer(mailbox.ask(event, channel="room", type="T",
                                          json=json.dumps(answer)))
    assert ask("connect", {}) == NO
    assert ask("connect", {"allow": True}) == YES
    assert ask("subscribe", {"allow": True}) == YES
    assert ask("subscribe", {"allow": False, "reason": "no"}) == {
        "allow": "0", "reason": "no"}
    assert ask("publish", {"data": {"b": 2}}) == NO
    assert ask("publish", {"allow": True, "data": {"b": 2}}) == {
        "allow": "1", "type": "T", "json": '{"b": 2}'}
    assert ask("publish", {"allow": True, "data": 1, "type": "U"}) == {
        "allow": "1", "type": "U", "json": "1"}
    assert ask("call", {"reply": [1, 2]}) == NO
    assert ask("call", {"allow": True, "reply": [1, 2]}) == {
        "allow": "1", "json": "[1, 2]"}
    assert ask("call", {"allow": True, "reply": 3, "type": "SUM"}) == {
        "allow": "1", "type": "SUM", "json": "3"}
    assert ask("call", {"retry": 5}) == {
        "allow": "0", "reason": "handler failed: it asked for a retry"}
    assert ask("call", {"allow": 1}).get("reason", "").startswith(
        "handler failed: answer: ")
    before = len(mailbox.posts())
    ask("call", {"direct": [{"socket": socket, "data": "x"}],
                 "subscribe": [{"socket": socket, "channel": "c"}],
                 "unsubscribe": [{"socket": socket, "channel": "d"}],
                 "disconnect": [{"socket": socket, "reason": "bye"}]})
    assert mailbox.posts()[before:][:4] == [
        {"op": "direct", "socket": socket, "json": '"x"'},
        {"op": "subscribe", "socket": socket, "channel": "c"},
        {"op": "unsubscribe", "socket": socket, "channel": "d"},
        {"op": "disconnect", "socket": socket, "reason": "bye"}]


def test_exec_handler_emits_with_a_delay(store, channel, team, answering):
    team(answering)
    out = f"{channel}-out"
    start = time.time() * 1000
    xadd(store, channel, json=json.dumps({"emit": [
        {"channel": out, "data": 1, "delay": 300}, {"channel": out, "data": 2}
    ]}))
    eventually(lambda: emitted(store, out) == [2, 1])
    late = store.xrange(channel_key(out))[1][0]
    assert int(late.split(b"-")[0]) >= start + 300 - 10
