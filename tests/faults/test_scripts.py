# SPDX-License-Identifier: MIT
"""The scripts that workers run inside Redis, called by hand: who may settle,
take over and count what, whatever happened before."""
import json
import time

import pytest

from harness import eventually
from scripts import script

CHANNEL = "c"
STREAM = "rd:ch:c"
TRIES = "rd:tries:t:{rd:ch:c}"
LATER = "rd:later:t:{rd:ch:c}"
TALLY = "rd:tally:t:{rd:ch:c}"
DEAD = "rd:dead:t"
DELAYED = "rd:delayed"
TEAM = "rd:team:t"
OUT = "rd:ch:out"
LEASE = 10000


@pytest.fixture
def r(server):
    client = server.client(decode_responses=True)
    client.flushall()
    yield client
    client.close()


def beat(r, name, lease=LEASE):
    now, calm, lapsed, *rest = script(r, "beat", [TEAM, "rd:teams", "rd:roll:t"],
                                      [name, lease, "t"])
    return now, calm, lapsed, dict(zip(rest[::2], rest[1::2]))


def rescue(r, dead, me, count=1000, ids=()):
    *answer, more = script(r, "rescue", [STREAM, TRIES, TEAM],
                           ["t", dead, me, LEASE, count, *ids])
    assert more == (not ids and len(answer[2] + answer[3]) == count)
    return tuple(answer)


def due(r, me, count=1000, repair=0, fence=""):
    return script(r, "due", [STREAM, TRIES, LATER],
                  ["t", me, count, repair, fence])


def fence(me, token, generation=1):
    return f"={me}.{token}-{generation}"


def claim(r, me, token, count=1000, after="-", generation=1):
    """state, wait, id to go on after, lost, entries, id given last"""
    *answer, behind, _ = script(r, "claim", [STREAM, TRIES, LATER],
                                ["t", me, token, generation, count, after])
    assert behind == (0 if answer[0] < 1 else r.xlen(STREAM) and next(
        g.get("lag") or 0 for g in r.xinfo_groups(STREAM)))
    return answer


def read(r, me, token, count=10, generation=1):
    """state, ids"""
    state, got, *_ = script(r, "read", [STREAM, LATER],
                            ["t", me, fence(me, token, generation), count])
    return state, [i for i, _ in got[0][1]] if got else got


def start(r, me, id_, starts):
    return script(r, "start", [STREAM, TRIES], ["t", me, id_, starts, ""])


def leave(r, me, token):
    return script(r, "leave", [STREAM], ["t", me, fence(me, token)])


def forget(r, name):
    return script(r, "forget", [STREAM, TEAM], ["t", name])


# What follows from an entry; the target is a number, from 1.

def emit(target, *words):
    return ["emit", target, len(words), *words]


def late(target, channel, ms, *words):
    return ["late", target, channel, ms, len(words), *words]


def post(target, *words):
    return ["post", target, len(words), *words]


def tally(target, field, value, limit=0):
    return ["tally", target, field, value, limit]


def flat(effects):
    return [len(effects), *[w for e in effects for w in e]]


def done(id_, *effects):
    return [id_, "done", *flat(effects)]


def retry(id_, failed, ms, starts=0, verb="retry"):
    return [id_, verb, failed, starts, ms]


def hold(id_, failed, ms, starts=0):
    return retry(id_, failed, ms, starts, "hold")


def dead(id_, deliveries, reason, error="", *effects):
    return [id_, "dead", deliveries, reason, error, *flat(effects)]


def order_of(id_):
    return tuple(map(int, id_.split("-")))


def commit(r, me, *entries, plain=(), fence="=me.0", strict=0, targets=(OUT,)):
    """The code of each, the plain ones first.  Nobody has planted the fence,
    unless a test says so: each entry is looked at."""
    ids = sorted([*plain, *[e[0] for e in entries]], key=order_of)
    first, *codes = script(
        r, "commit", [STREAM, TRIES, LATER, DEAD, TALLY, DELAYED, *targets],
        ["t", me, CHANNEL, fence, strict, ids[0], ids[-1], len(plain), *plain,
         len(entries), *[w for e in entries for w in e]])
    return ([1] * len(plain) if first == 1 else first) + codes


def publish(r, count, **fields):
    return [r.xadd(STREAM, fields or {"json": json.dumps({"n": n})})
            for n in range(count)]


def take(r, me, count=100):
    """Reads as a worker of that name does."""
    r.execute_command("XGROUP", "CREATE", STREAM, "t", "0", "MKSTREAM") \
        if not r.exists(STREAM) or not r.xinfo_groups(STREAM) else None
    got = r.xreadgroup("t", me, {STREAM: ">"}, count=count)
    return [i for i, _ in got[0][1]] if got else []


def pending(r, name=None):
    return [p["message_id"] for p in
            r.xpending_range(STREAM, "t", "-", "+", 1000, name)]


def names(r):
    return [c["name"] for c in r.xinfo_consumers(STREAM, "t")]


def plant(r, fence="=me.0"):
    r.xgroup_createconsumer(STREAM, "t", fence)
    return fence


def out(r, key=OUT):
    return [f for _, f in r.xrange(key)]


# --- commit ------------------------------------------------------------------

def test_commit_acknowledges_and_emits(r, server):
    publish(r, 3)
    a, b, c = take(r, "me")
    assert commit(r, "me", done(a, emit(1, "json", "1")),
                  done(c, emit(1, "type", "T", "bin", b"\xff\0"),
                       emit(2, "text", "x")), plain=[b],
                  targets=[OUT, "rd:ch:other"]) == [1, 1, 1]
    assert pending(r) == []
    assert [f for _, f in server.client().xrange(OUT)] == [
        {b"json": b"1"}, {b"type": b"T", b"bin": b"\xff\0"}]
    assert out(r, "rd:ch:other") == [{"text": "x"}]


def test_commit_of_an_entry_that_was_taken_away_has_no_effect(r):
    publish(r, 2)
    a, b = take(r, "me")
    r.xclaim(STREAM, "t", "other", 0, [a])
    effects = (emit(1, "json", "1"), tally(1, "f", "v"), post(1, "x", "y"),
               late(2, "out", 5, "json", "1"))
    to = {"targets": [OUT, "rd:delayed:{rd:ch:out}"]}
    assert commit(r, "me", done(a, *effects), plain=[b], **to) == [1, 0]
    assert commit(r, "me", retry(a, 1, 5), dead(b, 1, "r")) == [0, 0]
    assert commit(r, "me", hold(a, 1, 5), plain=[a, b]) == [0, 0, 0]
    assert pending(r, "other") == [a]
    assert r.keys() == [STREAM]
    # Never delivered, never existed, no group, no key.
    c, = publish(r, 1)
    assert commit(r, "me", done(c, *effects), done("5-5", *effects),
                  **to) == [0, 0]
    r.xgroup_destroy(STREAM, "t")
    assert commit(r, "me", done(a, *effects), plain=[b], **to) == [0, 0]
    r.set(STREAM, "x")
    assert commit(r, "me", done(a, *effects), plain=[b], **to) == [0, 0]
    r.delete(STREAM)
    assert commit(r, "me", done(a, *effects), plain=[b], **to) == [0, 0]
    assert r.keys() == []


def test_commit_that_is_repeated_does_nothing(r):
    publish(r, 3)
    a, b, c = take(r, "me")
    batch = [done(a, emit(1, "json", "1"), tally(1, "f", "v"),
                  late(2, "out", 5, "json", "1")),
             retry(b, 1, 60000), dead(c, 1, "why", "", emit(1, "json", "2"))]
    to = {"targets": [OUT, "rd:delayed:{rd:ch:out}"]}
    assert commit(r, "me", *batch, **to) == [1, 1, 1]
    before = {key: r.dump(key) for key in r.keys()}
    assert len(before) == 8
    assert commit(r, "me", *batch, **to) == [0, 0, 0]
    assert before == {key: r.dump(key) for key in r.keys()}


@pytest.mark.parametrize("spoil", [
    lambda r: r.set(OUT, "x"), lambda r: r.hset(OUT, "f", "v"),
    lambda r: r.xadd(OUT, {"f": "v"},
                     id="18446744073709551615-18446744073709551615")])
def test_emit_that_cannot_be_stored_fails_its_entry_alone(r, spoil):
    spoil(r)
    was = r.dump(OUT)
    publish(r, 3)
    a, b, c = take(r, "me")
    codes = commit(r, "me", done(a, emit(2, "json", "1")),
                   done(b, emit(2, "json", "2"), emit(1, "json", "2")),
                   done(c, emit(2, "json", "3")), targets=[OUT, "rd:ch:good"])
    assert codes[0] == codes[2] == 1
    assert codes[1].startswith(f"target {OUT} ")
    # Not one of its emits, and it is still pending.
    assert out(r, "rd:ch:good") == [{"json": "1"}, {"json": "3"}]
    assert pending(r) == [b]
    assert r.dump(OUT) == was


def test_tallies_are_bounded(r):
    """Beyond the limit what is new counts as (other): of its field, and where
    there are too many fields, of (other).  What is known goes on."""
    def counts():
        return {k: int(v) for k, v in r.hgetall(TALLY).items()}
    publish(r, 300)
    ids = take(r, "me", 300)
    commit(r, "me", *[done(i, tally(1, "f", f"v{n}", 5))
                      for n, i in enumerate(ids[:10])])
    assert counts() == {"messages": 10, "f=(other)": 5,
                        **{f"f=v{n}": 1 for n in range(5)}}
    commit(r, "me", done(ids[10], tally(1, "f", "v0", 5), tally(1, "g", "x", 5)),
           done(ids[11], tally(1, "f", "v9", 5)))
    assert counts() == {"messages": 12, "f=(other)": 6, "g=(other)": 1, "f=v0": 2,
                        **{f"f=v{n}": 1 for n in range(1, 5)}}
    said = [json.loads(m["json"])["totals"] for m in out(r)]
    assert said[0]["f"] == {**{f"v{n}": 1 for n in range(5)}, "(other)": 5}
    assert said[1] == {"f": {"v0": 2, "(other)": 6}, "g": {"(other)": 1}}
    for n, i in enumerate(ids[12:]):
        assert commit(r, "me", done(i, tally(1, f"h{n}", "x", 5))) == [1]
    there = counts()
    assert len(there) <= 5 + 100 + 2 and there["(other)=(other)"] > 100
    assert sum(there.values()) - there["messages"] == 301


def test_other_that_is_no_number_fails_its_entry_alone(r):
    publish(r, 2)
    a, b = take(r, "me")
    r.hset(TALLY, mapping={"messages": 1, "f=(other)": "x"})
    codes = commit(r, "me", done(a, tally(1, "g", "x", 1)),
                   done(b, tally(1, "f", "v", 1)))
    assert codes[0] == 1 and "is no number" in codes[1]
    assert pending(r) == [b]


def test_tally_that_cannot_be_stored_fails_its_entry_alone(r):
    publish(r, 3)
    a, b, c = take(r, "me")
    r.hset(TALLY, mapping={"f=bad": "x", "f=good": 5})
    codes = commit(r, "me", done(a, tally(1, "f", "good")),
                   done(b, tally(1, "f", "good"), tally(1, "f", "bad")),
                   done(c, tally(1, "f", "new")))
    assert codes[0] == codes[2] == 1 and "f=bad" in codes[1]
    assert r.hgetall(TALLY) == {"f=bad": "x", "f=good": "6", "f=new": "1",
                                "messages": "2"}
    assert pending(r) == [b]
    r.delete(TALLY)
    r.set(TALLY, "x")
    assert "string" in commit(r, "me", done(b, tally(1, "f", "v")))[0]
    assert r.get(TALLY) == "x"


@pytest.mark.parametrize("strict", [0, 1])
def test_out_of_memory_is_an_error_and_nothing_was_done(r, strict):
    publish(r, 3)
    a, b, c = take(r, "me")
    how = {"fence": plant(r), "strict": strict}
    r.config_set("maxmemory", 1)
    try:
        with pytest.raises(Exception, match="OOM|memory"):
            commit(r, "me", done(a, emit(1, "json", "1")), done(b), **how)
        with pytest.raises(Exception, match="OOM|memory"):
            commit(r, "me", dead(a, 1, "r"), done(b), **how)
        assert pending(r) == [a, b, c] and not r.exists(OUT, DEAD)
        # What asks for no memory is done.
        assert commit(r, "me", plain=[c], **how) == [1]
    finally:
        r.config_set("maxmemory", 0)
    assert pending(r) == [a, b]
    assert commit(r, "me", done(a, emit(1, "json", "1")), plain=[b],
                  **how) == [1, 1]


def test_totals_are_exact(r):
    values = ["Mozilla/5.0", 'quo"te\\', "ünï", "", "a=b", "1", "-"]
    for i in range(140):
        publish(r, 1, agent=values[i % 7])
    ids = take(r, "me", 1000)
    for at in range(0, 140, 35):
        batch = [done(i, tally(1, "agent", values[(at + k) % 7]),
                      tally(1, "ip", "x"))
                 for k, i in enumerate(ids[at:at + 35])]
        assert commit(r, "me", *batch) == [1] * 35
        assert commit(r, "me", *batch) == [0] * 35
    messages = out(r)
    assert len(messages) == 4 and {m["type"] for m in messages} == {"TOTALS"}
    for i, m in enumerate(messages, 1):
        assert json.loads(m["json"]) == {
            "channel": "c", "messages": 35 * i,
            "totals": {"agent": {v: 5 * i for v in values},
                       "ip": {"x": 35 * i}}}
    assert "\\/" not in messages[0]["json"]
    assert r.hgetall(TALLY) == {
        "messages": "140", "ip=x": "140",
        **{f"agent={v}": "20" for v in values}}


def test_totals_tell_only_what_changed(r):
    publish(r, 3)
    a, b, c = take(r, "me")
    commit(r, "me", done(a, tally(1, "f", "x")), done(b, tally(1, "f", "y")))
    commit(r, "me", done(c, tally(1, "f", "y")))
    assert json.loads(out(r)[-1]["json"]) == {
        "channel": "c", "messages": 3, "totals": {"f": {"y": 2}}}


def test_commit_of_very_many_words(r):
    """Lua hands over about 8,000 words at once."""
    publish(r, 100)
    ids = take(r, "me")
    emits = [emit(1, "type", "T", "json", str(n)) for n in range(100)]
    assert commit(r, "me", *[done(i, *emits) for i in ids]) == [1] * 100
    assert r.xlen(OUT) == 10000
    wide = {f"f{n}": "v" for n in range(6000)}
    a = r.xadd(STREAM, wide)
    take(r, "me")
    assert commit(r, "me", dead(a, 1, "too wide")) == [1]
    assert pending(r) == []
    letter, = out(r, DEAD)
    assert letter["f0"] == "v" and letter["reason"] == "too wide"


# --- the fence ---------------------------------------------------------------

def test_while_the_fence_stands_nobody_looks_at_each_entry(r):
    publish(r, 4)
    a, b, c, d = take(r, "me")
    plant(r)
    for strict in 0, 1:
        assert commit(r, "me", plain=[a, b], strict=strict) == [1, 1]
    assert pending(r) == [c, d]
    # Who asks for more than that is looked at all the same.
    assert commit(r, "me", done(a, emit(1, "json", "1")),
                  done(d, emit(1, "json", "2")), plain=[c], strict=1) == [1, 0, 1]
    assert out(r) == [{"json": "2"}] and pending(r) == []
    assert names(r) == ["=me.0", "me"]


def test_without_its_fence_nothing_is_the_owners(r):
    publish(r, 4)
    a, b, c, d = ids = take(r, "me")
    before = r.dump(STREAM)
    assert commit(r, "me", done(c, emit(1, "json", "1")), hold(d, 1, 5),
                  plain=[a, b], strict=1) == [0] * 4
    assert commit(r, "me", plain=ids, strict=1) == [0] * 4
    assert commit(r, "me", dead(a, 1, "r"), strict=1) == [0]
    assert r.dump(STREAM) == before and r.keys() == [STREAM]


def test_without_its_fence_a_sharer_keeps_what_nobody_took(r):
    publish(r, 4)
    a, b, c, d = take(r, "me")
    r.xclaim(STREAM, "t", "other", 0, [b, d])
    assert commit(r, "me", done(c, emit(1, "json", "1")),
                  done(d, emit(1, "json", "2")), plain=[a, b]) == [1, 0, 1, 0]
    assert pending(r) == pending(r, "other") == [b, d]
    assert out(r) == [{"json": "1"}]
    assert names(r) == ["me", "other"]


def test_commit_of_many_looks_at_all(r):
    publish(r, 2500)
    ids = take(r, "me", 2500)
    r.xclaim(STREAM, "t", "other", 0, ids[1000:1010])
    assert commit(r, "me", plain=[ids[0], ids[1005], ids[-1]]) == [1, 0, 1]


def test_nothing_is_committed_before_what_comes_before_it(r):
    """A Redis that was restored has acknowledgements forgotten: what was
    settled before these entries is pending again, and must run first."""
    publish(r, 4)
    a, b, c, d = take(r, "me")
    plant(r)
    assert commit(r, "me", done(c, emit(1, "json", "1")), plain=[b, d],
                  strict=2) == [0, 0, 0]
    assert commit(r, "me", plain=[b, c, d], strict=2) == [0, 0, 0]
    assert pending(r) == [a, b, c, d] and not r.exists(OUT)
    # What somebody else has, or waits for its retry, is not in order anyway.
    r.xclaim(STREAM, "t", "=later", 0, [a])
    assert commit(r, "me", done(c, emit(1, "json", "1")), plain=[b],
                  strict=2) == [1, 1]
    assert commit(r, "me", plain=[d], strict=2) == [1]


# --- delayed messages, mailboxes ----------------------------------------------

def promote(r, channel="out"):
    return script(r, "promote", [f"rd:ch:{channel}", beside(channel), DELAYED],
                  [channel])


def beside(channel):
    return f"rd:delayed:{{rd:ch:{channel}}}"


def test_emit_with_a_delay_waits_where_promote_finds_it(r):
    publish(r, 2)
    a, b = take(r, "me")
    to = {"targets": [beside("out"), beside("two")]}
    assert commit(r, "me", done(
        a, late(1, "out", 60000, "json", "1"), late(1, "out", 0, "json", "2"),
        late(1, "out", 0, "type", "T", "bin", "x:\n"),
        late(2, "two", 60000, "json", "3")), **to) == [1]
    now = time.time() * 1000
    assert r.zcard(beside("out")) == 3
    index = dict(r.zrange(DELAYED, 0, -1, withscores=True))
    assert index == {"out": pytest.approx(now, abs=5000),
                     "two": pytest.approx(now + 60000, abs=5000)}
    moved, bad, wait, error = promote(r)
    assert (moved, bad, error) == (2, 0, "") and 55000 < wait <= 60000
    assert out(r) == [{"json": "2"}, {"type": "T", "bin": "x:\n"}]
    # Later ones do not put off what is in the index.
    before = r.zrange(DELAYED, 0, -1, withscores=True)
    assert commit(r, "me", done(b, late(1, "out", 90000, "json", "4"),
                                late(2, "two", 0, "json", "5")), **to) == [1]
    after = dict(r.zrange(DELAYED, 0, -1, withscores=True))
    assert after["out"] == dict(before)["out"]
    assert after["two"] == pytest.approx(now, abs=5000)
    assert promote(r, "two")[0] == 1
    assert out(r, "rd:ch:two") == [{"json": "5"}]


def put_off(r, count, size, channel="out"):
    """Messages that are due: the number of each, and so many bytes."""
    pipe = r.pipeline(transaction=False)
    for n in range(count):
        pipe.eval("return redis.call('ZADD', KEYS[1], 5, string.format("
                  "'1700000000000000:%08d:', ARGV[1]) .. "
                  "cmsgpack.pack({'n', ARGV[1], 'text', "
                  "string.rep('x', ARGV[2])}))", 1, beside(channel), n, size)
    pipe.zadd(DELAYED, {channel: 5})
    pipe.execute()


def test_messages_that_are_due_together_are_promoted_piece_by_piece(r):
    """Bounded in bytes and in number, at least one: no call is long."""
    put_off(r, 1000, 65000)
    moved = []
    while not moved or wait == 0:
        n, bad, wait, error = promote(r)
        assert (bad, error) == (0, "") and 0 < n <= 17
        assert r.zcard(DELAYED) == (wait == 0)
        moved.append(n)
    assert sum(moved) == 1000 and wait == -1
    assert [int(m["n"]) for m in out(r)] == list(range(1000))
    put_off(r, 2500, 1)
    assert [promote(r)[0] for _ in range(3)] == [1000, 1000, 500]
    put_off(r, 3, 1500000)
    assert [promote(r)[0] for _ in range(3)] == [1, 1, 1]


@pytest.mark.deadline(120)
def test_the_keeper_goes_on_while_messages_are_due(run, server, r):
    """1,000 of 65 kB, in many short calls; the longest of them is printed."""
    put_off(r, 1000, 65000)
    r.config_set("slowlog-log-slower-than", 0)
    r.config_set("slowlog-max-len", 100000)
    run.daemon("--prefix", "rd", redis=server)
    eventually(lambda: r.xlen(OUT) == 1000, 60)
    calls = [e["duration"] for e in r.slowlog_get(100000)
             if e["command"].startswith(b"EVAL") and b"rd:delayed:" in
             e["command"]]
    print(f"{len(calls)} calls, the longest took {max(calls)} us")
    assert len(calls) >= 60
    eventually(lambda: not r.exists(DELAYED, beside("out")))
    assert [int(m["n"]) for m in out(r)] == list(range(1000))


@pytest.mark.parametrize("key", [DELAYED, beside("out")])
def test_delay_that_cannot_be_stored_fails_its_entry_alone(r, key):
    r.set(key, "x")
    publish(r, 2)
    a, b = take(r, "me")
    codes = commit(r, "me", done(a, late(1, "out", 5, "json", "1")), plain=[b],
                   targets=[beside("out")])
    assert codes == [1, f"target {key} is a string"]
    assert pending(r) == [a] and sorted(r.keys()) == sorted([STREAM, key])


def test_post_goes_to_a_mailbox_that_is_there(r):
    publish(r, 3)
    a, b, c = take(r, "me")
    box, gone, wrong = (f"rd:gw:{n}" for n in ("here", "gone", "wrong"))
    r.xadd(box, {"first": "1"})
    r.set(wrong, "x")
    to = {"targets": [box, gone, wrong]}
    assert commit(r, "me", done(a, post(1, "x", "y"), post(2, "x", "y")),
                  done(b, post(1, "a", "b"), post(3, "x", "y")),
                  **to) == [1, f"target {wrong} is a string"]
    assert out(r, box) == [{"first": "1"}, {"x": "y"}]
    # A message that is buried answers who waits for it, too.
    assert commit(r, "me", dead(c, 2, "why", "", post(1, "error", "why"),
                                post(2, "x", "y"), emit(4, "json", "1")),
                  targets=[box, gone, wrong, OUT]) == [1]
    assert out(r, box)[-1] == {"error": "why"} and out(r) == [{"json": "1"}]
    assert out(r, DEAD)[0]["reason"] == "why"
    assert not r.exists(gone) and pending(r) == [b]


def test_mailbox_that_nobody_empties_stays_short(r):
    box = "rd:gw:here"
    r.xadd(box, {"first": "1"})
    for _ in range(12):
        publish(r, 1)
        a, = take(r, "me")
        posts = [post(1, "x", "y")] * 1000
        assert commit(r, "me", done(a, *posts), targets=[box]) == [1]
    assert 10000 <= r.xlen(box) <= 10200


# --- retries and dead letters ------------------------------------------------

def test_dead_letter_is_the_message_and_its_story(r):
    publish(r, 1, json='{"n":1}', type="T")
    a, = take(r, "me")
    assert commit(r, "me", dead(a, 7, "attempts", "crash: signal 6")) == [1]
    letter, = out(r, DEAD)
    assert int(letter.pop("time")) == pytest.approx(time.time() * 1000, abs=5e3)
    assert letter == {"json": '{"n":1}', "type": "T", "channel": "c", "id": a,
                      "deliveries": "7", "reason": "attempts",
                      "error": "crash: signal 6", "worker": "me"}
    assert pending(r) == [] and not r.exists(TRIES)


def test_retry_waits_and_comes_back_with_its_attempts(r):
    publish(r, 2)
    a, b = take(r, "me")
    assert commit(r, "me", retry(a, 1, 0), retry(b, 3, 60000, 2)) == [1, 1]
    assert pending(r, "=later") == [a, b] and pending(r, "me") == []
    next_ms, lost, entries = due(r, "other")
    assert 59000 < next_ms <= 60000 and lost == []
    assert entries == [[a, ["json", '{"n": 0}'], 2, "1", "0"]]
    assert pending(r, "other") == [a] and pending(r, "=later") == [b]
    # Nobody else gets it, and the next failure counts on.
    assert due(r, "third")[1:] == [[], []]
    assert commit(r, "other", retry(a, 2, 0, 1)) == [1]
    assert due(r, "third")[2] == [[a, ["json", '{"n": 0}'], 3, "2", "1"]]
    assert commit(r, "third", plain=[a]) == [1]
    noted = r.hgetall(TRIES)
    assert noted.pop(f"{b}@").endswith(" 60000")
    assert noted == {b: "3", f"{b}!": "2"}


def test_entry_that_is_held_stays_where_it_is(r):
    publish(r, 3)
    a, b, c = take(r, "me")
    plant(r, "=me.7")
    own = {"fence": "=me.7", "strict": 1}
    assert commit(r, "me", hold(b, 2, 60000, 1), plain=[a], **own) == [1, 1]
    assert pending(r, "me") == [b, c] and not r.exists(LATER)
    noted = r.hgetall(TRIES)
    due_at, delay = map(int, noted.pop(f"{b}@").split())
    assert delay == 60000
    assert due_at == pytest.approx(time.time() * 1000 + 60000, abs=5000)
    assert noted == {b: "2", f"{b}!": "1"}
    # Once it is done, nothing tells of it.
    assert commit(r, "me", plain=[b], **own) == [1]
    assert not r.exists(TRIES)
    assert commit(r, "me", hold(c, 1, 5), **own) == [1]
    assert commit(r, "me", dead(c, 1, "why"), **own) == [1]
    assert not r.exists(TRIES)


def test_due_gives_the_owner_only_what_its_fence_allows(r):
    publish(r, 1)
    a, = take(r, "me")
    commit(r, "me", retry(a, 1, 0))
    assert due(r, "me", fence="=me.7") == [-1, [], []]
    assert names(r) == ["=later", "me"]
    plant(r, "=me.7")
    assert [e[0] for e in due(r, "me", fence="=me.7")[2]] == [a]
    r.xgroup_destroy(STREAM, "t")
    assert due(r, "me", fence="=me.7") == [-1, [], []]


def test_due_respects_its_count_and_deleted_entries(r):
    publish(r, 5)
    ids = take(r, "me")
    assert commit(r, "me", *[retry(i, 1, 0) for i in ids]) == [1] * 5
    r.xdel(STREAM, ids[1])
    next_ms, lost, entries = due(r, "me", 2)
    assert next_ms == 0 and lost == [ids[1]]
    assert [e[0] for e in entries] == [ids[0]]
    assert due(r, "me", 0) == [0, [], []]
    next_ms, lost, entries = due(r, "me")
    assert (next_ms, lost, len(entries)) == (-1, [], 3)
    assert pending(r) == [ids[0], *ids[2:]] and not r.exists(LATER)
    assert not {ids[1], f"{ids[1]}!"} & r.hgetall(TRIES).keys()


def test_due_times_that_were_lost_are_made_again(r):
    publish(r, 2)
    a, b = take(r, "me")
    commit(r, "me", retry(a, 1, 60000), retry(b, 1, 60000))
    r.zrem(LATER, a)
    assert due(r, "me")[2] == []
    assert [e[0] for e in due(r, "me", repair=1)[2]] == [a]
    assert r.zrange(LATER, 0, -1) == [b]


def test_retry_of_an_entry_that_is_gone_lets_it_go(r):
    publish(r, 2)
    a, b = take(r, "me")
    r.xdel(STREAM, a, b)
    assert commit(r, "me", retry(a, 1, 5), dead(
        b, 1, "r", "", emit(1, "json", "1"))) == [2, 2]
    assert pending(r) == [] and not r.exists(LATER, TRIES, DEAD, OUT)


# --- life and death ----------------------------------------------------------

def test_name_of_a_node_is_one_supervisors(r):
    def lock(mine, ttl=10000, former=""):
        return script(r, "lock", ["rd:lock:n"], [mine, ttl, former])

    assert lock("aa of one") == ""
    assert lock("aa of one") == "" and 9000 < r.pttl("rd:lock:n") <= 10000
    assert lock("bb of another") == "aa of one"
    assert lock("bb of another", 0) == "aa of one"  # nor can it be let go
    assert lock("bb of another", former=" a cc") == "aa of one"
    assert lock("bb of another", former=" cc aa") == ""
    assert lock("aa of one") == "bb of another"
    assert lock("bb of another", 0) == "" and not r.exists("rd:lock:n")
    assert lock("aa of one", 0) == "" and not r.exists("rd:lock:n")


def test_rescue_refuses_the_living(r):
    beat(r, "me")
    beat(r, "alive")
    publish(r, 2)
    ids = take(r, "alive")
    assert rescue(r, "alive", "me")[0] == 0
    assert forget(r, "alive") == 0
    assert pending(r, "alive") == ids
    r.zrem(TEAM, "alive")
    state, _, lost, entries = rescue(r, "alive", "me")
    assert state == 1 and lost == []
    assert [(e[0], *e[2:]) for e in entries] == [(i, 2, 0, 0) for i in ids]
    assert pending(r, "me") == ids
    assert forget(r, "alive") == 1


def test_rescue_takes_the_fence_down_first(r):
    beat(r, "me")
    beat(r, "other")
    publish(r, 3)
    a, b, c = take(r, "other")
    plant(r, "=other.0")
    assert rescue(r, "other", "me")[0] == 0
    assert "=other.0" in names(r)
    r.zrem(TEAM, "other")
    assert [e[0] for e in rescue(r, "other", "me", 1)[3]] == [a]
    assert names(r) == ["me", "other"]
    # It wakes up, and is asked for each.
    assert commit(r, "other", plain=[a, b, c], fence="=other.0") == [0, 1, 1]
    assert pending(r) == pending(r, "me") == [a]


def test_rescued_entries_tell_what_went_wrong_before(r):
    beat(r, "me")
    publish(r, 2)
    a, b = take(r, "dead")
    start(r, "dead", a, 2)
    r.hset(TRIES, a, 1)
    assert [e[2:] for e in rescue(r, "dead", "me")[3]] == [
        [2, "1", "2"], [2, 0, 0]]
    assert [e[2:] for e in rescue(r, "me", "me", ids=[a])[3]] == [[3, "1", "2"]]


def test_rescue_after_the_lease(r):
    beat(r, "me")
    now = beat(r, "lost")[0]
    publish(r, 1)
    take(r, "lost")
    assert rescue(r, "lost", "me")[0] == 0
    r.zadd(TEAM, {"lost": now - 1})
    assert rescue(r, "lost", "me")[0] == 1
    assert pending(r, "lost") == []


def test_rescue_takes_what_is_asked_and_what_still_is_there(r):
    beat(r, "me")
    publish(r, 6)
    ids = take(r, "dead")
    r.xdel(STREAM, ids[1])
    _, _, lost, entries = rescue(r, "dead", "me", 2)
    assert [e[0] for e in entries] == [ids[0]] and lost == [ids[1]]
    # Somebody else at the same time.
    assert len(rescue(r, "dead", "other", 3)[3]) == 3
    assert len(rescue(r, "dead", "me")[3]) == 1
    assert rescue(r, "dead", "me")[2:] == ([], [])
    assert sorted(pending(r, "me") + pending(r, "other")) == sorted(
        i for i in ids if i != ids[1])
    # What waits for its retry belongs to nobody.
    assert commit(r, "me", retry(ids[0], 1, 60000)) == [1]
    assert rescue(r, "=later", "me")[0] == 0
    assert forget(r, "=later") == 0


def test_regaining_our_own(r):
    beat(r, "me")
    publish(r, 3)
    a, b, c = take(r, "me")
    commit(r, "me", plain=[a])
    r.xdel(STREAM, c)
    state, _, lost, entries = rescue(r, "me", "me", ids=[a, b, c, "9-9"])
    assert state == 1 and lost == [c]
    assert [e[0] for e in entries] == [b]
    assert pending(r) == [b]


def test_no_lease_runs_out_while_redis_was_away(r):
    now = beat(r, "me")[0]
    publish(r, 2)
    take(r, "late", 1)
    take(r, "reported", 1)
    r.zadd(TEAM, {"late": now - 3 * LEASE, "=beat": now - LEASE * 0.6})
    # Nobody beat for more than half a lease.
    _, calm, _, team = beat(r, "me")
    assert LEASE - 100 < calm <= LEASE and "late" in team
    state, wait, lost, entries = rescue(r, "late", "me")
    assert state == -1 and 0 < wait <= LEASE and lost == entries == []
    assert len(pending(r, "late")) == 1
    # A death that was reported, or a worker that left, is another matter.
    assert rescue(r, "reported", "me")[0] == 1
    # After one lease it counts again.
    r.zincrby(TEAM, -LEASE, "=since")
    assert rescue(r, "late", "me")[0] == 1
    assert pending(r, "late") == []


# --- divided channels ---------------------------------------------------------

def test_claim_takes_what_is_pending_in_order_whoever_had_it(r):
    ids = publish(r, 7)
    for who, count in ("x", 2), ("y", 1), ("x", 1), ("me", 1):
        take(r, who, count)
    state, wait, after, lost, entries, last = claim(r, "me", 5)
    assert (state, wait, after, lost, last) == (1, -1, "", [], ids[4])
    assert [e[0] for e in entries] == ids[:5]
    assert entries[2][1] == ["json", '{"n": 2}']
    # What was with nobody else counts as before.
    assert [e[2:] for e in entries] == [[2, 0, 0]] * 4 + [[1, 0, 0]]
    assert pending(r) == pending(r, "me") == ids[:5]
    assert names(r) == ["=me.5-1", "me"]
    # Again: nothing has changed hands.
    assert claim(r, "me", 5)[4] == entries
    assert [p["times_delivered"] for p in r.xpending_range(
        STREAM, "t", "-", "+", 10)] == [2] * 4 + [1]
    assert read(r, "me", 5) == (1, ids[5:])


def test_claim_tells_what_went_wrong_before(r):
    publish(r, 2)
    a, b = take(r, "dead")
    start(r, "dead", b, 2)
    r.hset(TRIES, b, 1)
    assert [e[2:] for e in claim(r, "me", 5)[4]] == [[2, 0, 0], [2, "1", "2"]]


def test_later_owner_wins(r):
    publish(r, 3)
    assert claim(r, "old", 5)[0] == 1
    _, (a, b, c) = read(r, "old", 5)
    assert [e[0] for e in claim(r, "new", 9)[4]] == [a, b, c]
    assert names(r) == ["=new.9-1", "new"]
    # The former owner wakes up.
    d, = publish(r, 1)
    before = r.dump(STREAM)
    assert claim(r, "old", 5) == [-1, -1, "", [], [], "0-0"]
    assert read(r, "old", 5) == (-1, None)
    assert due(r, "old", fence="=old.5-1") == [-1, [], []]
    assert start(r, "old", a, 1) == 0
    assert commit(r, "old", done(c, emit(1, "json", "1")), plain=[a, b],
                  fence="=old.5-1", strict=1) == [0] * 3
    assert r.dump(STREAM) == before and r.keys() == [STREAM]
    # It gets the slot again, by a new lease.
    assert [e[2] for e in claim(r, "old", 10)[4]] == [3, 3, 3]
    assert read(r, "new", 9) == (-1, None)
    assert read(r, "old", 5) == (-1, None)
    assert read(r, "old", 10) == (1, [d])
    assert names(r) == ["=old.10-1", "old"]


def test_claim_follows_those_who_shared_the_channel(r):
    publish(r, 2)
    a, = take(r, "sharer", 1)
    plant(r, "=sharer.0")
    assert [e[0] for e in claim(r, "me", 5)[4]] == [a]
    assert names(r) == ["=me.5-1", "me"]
    assert commit(r, "sharer", plain=[a], fence="=sharer.0") == [0]


def test_claim_waits_for_the_first_that_is_held(r):
    publish(r, 4)
    a, b, c, d = take(r, "dead")
    plant(r, "=dead.4-1")
    assert commit(r, "dead", hold(b, 1, 60000), fence="=dead.4-1", strict=1) == [1]
    state, wait, after, lost, entries, _ = claim(r, "me", 5)
    assert (state, after, lost) == (1, "", []) and 55000 < wait <= 60000
    assert [e[0] for e in entries] == [a]
    assert pending(r, "me") == [a] and pending(r, "dead") == [b, c, d]
    assert names(r) == ["=me.5-1", "dead", "me"]
    assert commit(r, "me", plain=[a], fence="=me.5-1", strict=1) == [1]
    _, wait, after, _, entries, _ = claim(r, "me", 5)
    assert (after, entries) == ("", []) and 55000 < wait <= 60000
    r.hset(TRIES, f"{b}@", f"{int(time.time() * 1000) - 1} 60000")
    _, wait, after, _, entries, _ = claim(r, "me", 5)
    assert wait == -1 and [e[0] for e in entries] == [b, c, d]
    assert [e[2:] for e in entries] == [
        [2, "1", "0"], [2, 0, 0], [2, 0, 0]]
    assert names(r) == ["=me.5-1", "me"]


def test_claim_goes_page_by_page(r):
    publish(r, 25)
    ids = take(r, "dead", 20)
    commit(r, "dead", *[retry(i, 1, 60000) for i in ids[5:12]])
    got, after, calls = [], "-", 0
    while after:
        state, wait, after, lost, entries, last = claim(r, "me", 5, 6, after)
        assert (state, wait, lost, last) == (1, -1, [], ids[-1])
        assert len(entries) <= 6
        got += [e[0] for e in entries]
        calls += 1
        # It is still needed until all has been taken from it.
        assert ("dead" in names(r)) == bool(pending(r, "dead"))
    assert got == ids[:5] + ids[12:] and calls == 4
    # What waits for its retry is nobody's.
    assert pending(r, "=later") == ids[5:12]
    assert names(r) == ["=later", "=me.5-1", "me"]
    # A page that is just full is followed by an empty one.
    r.xack(STREAM, "t", *ids[6:])
    assert claim(r, "me", 5, 6)[2] == ids[5]
    assert claim(r, "me", 5, 6, ids[5])[2:5] == ["", [], []]


def test_claim_lets_go_what_is_gone(r):
    publish(r, 5)
    a, b, c, d, e = ids = take(r, "dead", 3) + take(r, "me", 2)
    r.hset(TRIES, mapping={k: 1 for i in ids for k in (i, f"{i}!")})
    r.xdel(STREAM, b, d)
    state, wait, after, lost, entries, last = claim(r, "me", 5)
    assert (state, lost, last) == (1, [b, d], e)
    assert [x[0] for x in entries] == pending(r) == [a, c, e]
    assert r.hgetall(TRIES).keys() == {
        k for i in (a, c, e) for k in (i, f"{i}!")}


def test_claim_of_what_is_not_there_makes_nothing(r):
    assert claim(r, "me", 5) == [0, -1, "", [], [], "0-0"]
    assert r.keys() == []
    r.set(STREAM, "x")
    assert claim(r, "me", 5) == [0, -1, "", [], [], "0-0"]
    assert r.get(STREAM) == "x"


def test_claim_makes_the_group_at_the_beginning(r):
    ids = publish(r, 3)
    assert claim(r, "me", 5) == [1, -1, "", [], [], "0-0"]
    assert read(r, "me", 5) == (1, ids)
    r.xgroup_destroy(STREAM, "t")
    assert read(r, "me", 5) == (-1, None)
    assert claim(r, "me", 5)[4:] == [[], "0-0"]
    assert read(r, "me", 5, 2) == (1, ids[:2])


def test_claim_does_not_stumble_over_keys_of_others(r):
    publish(r, 2)
    a, b = take(r, "dead")
    r.xdel(STREAM, a)
    r.set(TRIES, "x")
    _, _, _, lost, entries, _ = claim(r, "me", 5)
    assert lost == [a] and [e[0] for e in entries] == [b]


def test_read_takes_what_is_new_behind_its_fence_alone(r):
    ids = publish(r, 3)
    claim(r, "me", 5)
    assert read(r, "me", 5, 2) == (1, ids[:2])
    assert read(r, "me", 5, 2) == (1, ids[2:])
    assert read(r, "me", 5, 2) == (1, None)
    assert pending(r, "me") == ids
    # No stream, no group, no fence: nothing is made, nothing is given.
    more = publish(r, 1)
    r.xgroup_delconsumer(STREAM, "t", "=me.5-1")
    assert read(r, "me", 5) == (-1, None) and names(r) == ["me"]
    plant(r, "=me.6-1")
    assert read(r, "me", 5) == (-1, None) and names(r) == ["=me.6-1", "me"]
    r.xdel(STREAM, *ids, *more)
    assert read(r, "me", 6) == (1, None)
    r.xgroup_destroy(STREAM, "t")
    assert read(r, "me", 6) == (-1, None)
    r.set(STREAM, "x")
    assert read(r, "me", 6) == (0, None)
    r.delete(STREAM)
    assert read(r, "me", 6) == (0, None)
    assert r.keys() == []


@pytest.mark.parametrize("state", ["new", "empty", "missing", "wrong"])
def test_read_arms_the_bell(r, server, state):
    """Whatever it finds, the next change rings."""
    bell = server.client().pubsub()
    bell.subscribe("__redis__:invalidate")
    bell.get_message(timeout=5)
    reader = server.client(single_connection_client=True, decode_responses=True)
    try:
        bell_id = next(c["id"] for c in reader.client_list()
                       if int(c["sub"]) == 1)
        reader.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", bell_id)
        if state in ("new", "empty"):
            ids = publish(r, 1)
            claim(r, "me", 5)
        if state == "empty":
            take(r, "me")
        if state == "wrong":
            r.set(STREAM, "x")
        assert read(reader, "me", 5) == {
            "new": (1, state == "new" and ids), "empty": (1, None),
            "missing": (0, None), "wrong": (0, None)}[state]
        r.delete(STREAM) if state == "wrong" else publish(r, 1)
        heard = eventually(lambda: [
            m for m in [bell.get_message(timeout=1)]
            if m and m["type"] == "message"])
        assert heard[0]["data"] == [STREAM.encode()]
    finally:
        reader.close()
        bell.close()


def test_full_redis_stops_nobody_who_stores_nothing(r):
    ids = publish(r, 6)
    claim(r, "me", 5)
    own = {"fence": "=me.5-1", "strict": 1}
    r.config_set("maxmemory", 1)
    try:
        assert read(r, "me", 5, 3) == (1, ids[:3])
        assert commit(r, "me", plain=ids[:1], **own) == [1]
        assert commit(r, "me", retry(ids[1], 1, 0), hold(ids[2], 1, 50000),
                      **own) == [1, 1]
        assert [e[0] for e in due(r, "me", fence="=me.5-1")[2]] == ids[1:2]
        assert start(r, "me", ids[1], 1) == 1
        assert read(r, "other", 9) == (-1, None)
        assert beat(r, "late")[2] == 1
        # Another owner is another owner.
        _, wait, _, _, entries, _ = claim(r, "other", 9)
        assert [e[0] for e in entries] == ids[1:2] and wait > 40000
        assert commit(r, "me", plain=ids[1:3], **own) == [0, 0]
        assert read(r, "me", 5) == (-1, None)
        assert read(r, "other", 9, 1) == (1, ids[3:4])
        assert rescue(r, "other", "me")[0] == 1
    finally:
        r.config_set("maxmemory", 0)
    assert names(r) == ["=later", "=other.9-1", "me", "other"]


@pytest.mark.parametrize("what", ["claim", "rescue", "due"])
def test_large_entries_come_a_few_at_a_time(r, what):
    """A script holds up everybody: what it hands over is bounded in bytes."""
    ids = [r.xadd(STREAM, {"text": "x" * 300000}) for _ in range(10)]
    take(r, "dead")
    if what == "due":
        commit(r, "dead", *[retry(i, 1, 0) for i in ids])
    got, calls, after = [], 0, "-"
    while len(got) < 10:
        calls += 1
        if what == "claim":
            _, _, after, _, entries, _ = claim(r, "me", 5, 1000, after)
            assert after or len(got) + len(entries) == 10
        elif what == "due":
            wait, _, entries = due(r, "me")
            assert wait == (-1 if len(got) + len(entries) == 10 else 0)
        else:
            _, _, _, entries, more = script(
                r, "rescue", [STREAM, TRIES, TEAM],
                ["t", "dead", "me", LEASE, 1000])
            assert more == (len(got) + len(entries) < 10)
        assert len(entries) <= 4
        got += [e[0] for e in entries]
    assert got == ids and calls == 3


# --- generations --------------------------------------------------------------

def test_each_claim_makes_void_what_was_asked_before(r):
    """The same owner, by the same lease: what it said earlier comes late."""
    publish(r, 3)
    claim(r, "me", 5, generation=1)
    _, (a, b) = read(r, "me", 5, 2, generation=1)
    assert [e[0] for e in claim(r, "me", 5, generation=2)[4]] == [a, b]
    assert names(r) == ["=me.5-2", "me"]
    before = r.dump(STREAM)
    old = {"fence": "=me.5-1", "strict": 1}
    assert read(r, "me", 5, generation=1) == (-1, None)
    assert claim(r, "me", 5, generation=1)[0] == -1
    assert commit(r, "me", done(a, emit(1, "json", "1")), plain=[b],
                  **old) == [0, 0]
    assert commit(r, "me", plain=[a, b], **old) == [0, 0]
    assert leave(r, "me", 5) == 0
    assert script(r, "start", [STREAM, TRIES],
                  ["t", "me", a, 1, "=me.5-1"]) == 0
    assert r.dump(STREAM) == before and r.keys() == [STREAM]
    # A later lease wins, whatever its generation.
    claim(r, "new", 6, generation=1)
    assert claim(r, "me", 5, generation=9)[0] == -1


def test_read_to_the_end_tells_what_is_pending(r):
    ids = publish(r, 5)
    claim(r, "me", 5)
    ask = ["t", "me", "=me.5-1"]
    keys = [STREAM, LATER]
    assert script(r, "read", keys, [*ask, 2])[2:] == [-1]
    assert script(r, "read", keys, [*ask, 9])[2:] == [-1, ids[4], 5, 0]
    commit(r, "me", retry(ids[0], 1, 60000), plain=ids[1:2], fence="=me.5-1")
    _, _, due_in, *rest = script(r, "read", keys, [*ask, 9])
    assert 50000 < due_in <= 60000 and rest == [ids[4], 4, 1]


# --- the clock of Redis -------------------------------------------------------

def test_clock_that_is_set_back_makes_nobody_live_longer(r):
    """Ten minutes back: all that was written lies in the future."""
    beat(r, "me")
    beat(r, "dead")
    for member in r.zrange(TEAM, 0, -1):
        r.zincrby(TEAM, 600000, member)
    now, calm, lapsed, team = beat(r, "me")
    assert lapsed == 0 and calm <= LEASE
    assert int(team["dead"]) == pytest.approx(now + LEASE, abs=5000)
    assert int(team["=since"]) <= now and int(team["=beat"]) <= now


@pytest.mark.parametrize("name,args", [("keep", [5000]), ("lock", [5000, ""])])
def test_clock_that_is_set_back_lets_no_lock_last(r, name, args):
    mine, other = ["me words", *args], ["other words", *args]
    assert script(r, name, ["rd:lock"], mine) in (1, "")
    r.pexpire("rd:lock", 600000)
    assert script(r, name, ["rd:lock"], other) in (0, "me words")
    assert 0 < r.pttl("rd:lock") <= 5000
    r.config_set("maxmemory", 1)
    try:
        assert script(r, name, ["rd:lock"], mine) in (1, "")
    finally:
        r.config_set("maxmemory", 0)
    assert r.get("rd:lock") == "me words"


def test_clock_that_is_set_back_delays_no_retry(r):
    publish(r, 2)
    a, b = take(r, "me")
    commit(r, "me", retry(a, 1, 5000), hold(b, 1, 5000))
    late = int(time.time() * 1000) + 605000
    r.zadd(LATER, {a: late})
    r.hset(TRIES, mapping={f"{a}@": f"{late} 5000", f"{b}@": f"{late} 5000"})
    assert 4000 < due(r, "me")[0] <= 5000
    assert 4000 < claim(r, "me", 5)[1] <= 5000
    # And that is written down: it does not begin again with each look.
    for key in a, b:
        when, delay = map(int, r.hget(TRIES, f"{key}@").split())
        assert delay == 5000 and when < time.time() * 1000 + 6000
    assert r.zscore(LATER, a) < time.time() * 1000 + 6000


def test_what_was_not_begun_was_never_delivered(r):
    ids = publish(r, 3)
    claim(r, "me", 5)
    take(r, "other", 1)
    assert read(r, "me", 5) == (1, ids[1:])
    assert leave(r, "me", 5) == 2
    assert [p["times_delivered"] for p in r.xpending_range(
        STREAM, "t", "-", "+", 10)] == [1, 0, 0]
    assert [e[2] for e in claim(r, "new", 9)[4]] == [2, 1, 1]
    # Who is not the owner any more has no say, nor who was none.
    assert leave(r, "me", 5) == 0
    assert leave(r, "new", 5) == 0
    assert [e[2] for e in claim(r, "new", 9)[4]] == [2, 1, 1]
    assert names(r) == ["=new.9-1", "new"]
    r.xdel(STREAM, *ids)
    assert leave(r, "new", 9) == 3
    r.delete(STREAM)
    assert leave(r, "new", 9) == 0
    assert r.keys() == []


def test_start_that_was_none_is_taken_back(r):
    publish(r, 1)
    a, = take(r, "me")
    start(r, "me", a, 1)
    start(r, "me", a, 2)
    assert start(r, "me", a, 1) == 1
    assert r.hgetall(TRIES) == {f"{a}!": "1"}
    assert start(r, "me", a, 0) == 1
    assert not r.exists(TRIES)


def test_start_is_noted_once_and_only_for_our_own(r):
    publish(r, 2)
    a, = take(r, "me", 1)
    b, = take(r, "other", 1)
    assert start(r, "me", a, 1) == 1
    assert start(r, "me", a, 1) == 1
    assert r.hgetall(TRIES) == {f"{a}!": "1"}
    assert start(r, "me", a, 2) == 1
    assert start(r, "me", b, 1) == 0
    assert start(r, "me", "5-5", 1) == 0
    assert r.hgetall(TRIES) == {f"{a}!": "2"}
    assert commit(r, "me", plain=[a]) == [1]
    assert not r.exists(TRIES)
    assert start(r, "me", a, 1) == 0
    r.xgroup_destroy(STREAM, "t")
    assert start(r, "me", a, 1) == 0
    assert not r.exists(TRIES)


def test_beat_tells_who_lives_and_whether_we_did(r):
    assert beat(r, "a")[1:3] == (0, 1)
    assert beat(r, "a")[1:3] == (0, 0)
    r.zadd(TEAM, {"a": 5, "ancient": 6})
    now, _, lapsed, team = beat(r, "a")
    assert lapsed == 1 and "ancient" not in team
    assert int(team["a"]) == now + LEASE
    # A reader that asks for the living sees no helpers.
    assert r.zrangebyscore(TEAM, now, "+inf")[-1:] == ["a"]
    assert [m for m in r.zrangebyscore(TEAM, now + 1, "+inf")
            if m.startswith("=")] == []


def test_each_beat_notes_when_the_team_was_last_alive(r):
    now = beat(r, "a")[0]
    assert r.zrange("rd:teams", 0, -1, withscores=True) == [("t", now)]
    r.zadd("rd:teams", {"t": 5, "other": 6})
    now = beat(r, "b")[0]
    assert r.zscore("rd:teams", "t") == now
    assert r.zscore("rd:teams", "other") == 6
    # What is no list of teams is no reason to be dead.
    r.delete("rd:teams")
    r.set("rd:teams", "x")
    assert "c" in beat(r, "c")[3]


def conf(r, verb, *consume, mode="shared"):
    return script(r, "conf", ["rd:conf:t"], ["\n".join(consume), mode, verb])


def test_a_team_agrees_on_what_it_consumes(r):
    assert conf(r, "ask", "a", "b*") == ["new", "", ""]
    assert not r.exists("rd:conf:t")
    r.hset("rd:conf:t", "pause:x", "1")
    assert conf(r, "join", "a", "b*") == ["new", "", ""]
    stands = {"pause:x": "1", "consume": "a\nb*", "mode": "shared"}
    assert r.hgetall("rd:conf:t") == stands
    for verb in "ask", "join", "replace":
        assert conf(r, verb, "a", "b*") == ["agreed", "a\nb*", "shared"]
        assert conf(r, verb, mode="ordered")[0] == "agreed"
    for verb in "ask", "join":
        assert conf(r, verb, "a") == ["differs", "a\nb*", "shared"]
        assert conf(r, verb, "a", "b*", mode="ordered")[0] == "differs"
    assert r.hgetall("rd:conf:t") == stands
    assert conf(r, "replace", "c", mode="ordered") == [
        "replaced", "a\nb*", "shared"]
    assert r.hgetall("rd:conf:t") == {
        "pause:x": "1", "consume": "c", "mode": "ordered"}


def test_consumers_go_only_when_they_hold_nothing(r):
    publish(r, 1)
    a, = take(r, "dead")
    assert forget(r, "dead") == 0
    assert pending(r, "dead") == [a]
    commit(r, "dead", plain=[a])
    plant(r, "=dead.0")
    plant(r, "=deader.0")
    assert forget(r, "dead") == 1
    assert names(r) == ["=deader.0"]
    assert forget(r, "deader") == 1
    assert r.xinfo_consumers(STREAM, "t") == []
    assert forget(r, "nobody") == 1
    r.xgroup_destroy(STREAM, "t")
    assert forget(r, "dead") == 1


# --- how far teams are -------------------------------------------------------

def numbers(r, *args):
    """{group: (lag, exact)}"""
    _, _, _, *groups = script(r, "numbers", [STREAM], args)
    return {g[0]: (g[1], g[2]) for g in groups}


def unknown_lag(r, count, size):
    """Three groups that were given one entry; then one more was deleted, so
    that Redis does not know how far they are."""
    pipe = r.pipeline(transaction=False)
    for _ in range(count + 2):
        pipe.xadd(STREAM, {"text": "x" * size})
    ids = pipe.execute()
    for group in "t", "u", "v":
        r.xgroup_create(STREAM, group, ids[0])
    r.xdel(STREAM, ids[1])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 99, 100, 101, 1000])
def test_lag_that_redis_does_not_know_is_counted(r, count):
    unknown_lag(r, count, 1)
    assert set(numbers(r).values()) == {(count, 1)}
    assert numbers(r, 100, "u")["u"][0] <= max(1, min(count, 130))
    assert list(numbers(r, 1000000, "u")) == ["u"]


def test_counting_is_bounded_in_bytes_for_all_groups_together(r):
    unknown_lag(r, 400, 65000)
    r.xgroup_create(STREAM, "w", "0")
    # What was counted for one is known for the others.
    for budget, most in ((4000000, 65), (65000, 2), (1, 1)):
        said = numbers(r, budget)
        assert said["t"] == said["u"] == said["v"]
        assert 1 <= said["t"][0] <= most and said["t"][1] == 0
    r.flushall()
    unknown_lag(r, 12000, 1)
    assert numbers(r)["t"][0] >= 10000 and numbers(r)["t"][1] == 0
