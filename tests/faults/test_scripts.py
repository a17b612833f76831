# SPDX-License-Identifier: MIT
"""The scripts that workers run inside Redis, called by hand: who may settle,
take over and count what, whatever happened before."""
import json
import time

import pytest

from harness import REPO

CHANNEL = "c"
STREAM = "rd:ch:c"
TRIES = "rd:tries:t:{rd:ch:c}"
LATER = "rd:later:t:{rd:ch:c}"
TALLY = "rd:tally:t:{rd:ch:c}"
DEAD = "rd:dead:t"
TEAM = "rd:team:t"
OUT = "rd:ch:out"
LEASE = 10000


@pytest.fixture
def r(server):
    client = server.client(decode_responses=True)
    client.flushall()
    yield client
    client.close()


def script(r, name, keys, args):
    source = (REPO / f"src/lua/{name}.lua").read_text("utf-8")
    return r.eval(source, len(keys), *keys, *args)


def beat(r, name, lease=LEASE):
    now, calm, lapsed, *rest = script(r, "beat", [TEAM], [name, lease])
    return now, calm, lapsed, dict(zip(rest[::2], rest[1::2]))


def rescue(r, dead, me, count=1000, ids=()):
    state, wait, lost, entries = script(
        r, "rescue", [STREAM, TRIES, TEAM],
        ["t", dead, me, LEASE, count, *ids])
    return state, wait, lost, entries


def due(r, me, count=1000, repair=0):
    return script(r, "due", [STREAM, TRIES, LATER], ["t", me, count, repair])


def forget(r, name):
    return script(r, "forget", [STREAM, TEAM], ["t", name])


def done(id_, emits=(), tallies=()):
    words = [id_, "done", len(emits)]
    for target, *fields in emits:
        words += [target, len(fields), *fields]
    words.append(len(tallies))
    for target, field, value in tallies:
        words += [target, field, value]
    return words


def commit(r, me, *entries, targets=(OUT,)):
    return script(r, "commit", [STREAM, TRIES, LATER, DEAD, TALLY, *targets],
                  ["t", me, CHANNEL, len(entries),
                   *[w for e in entries for w in e]])


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


def out(r, key=OUT):
    return [f for _, f in r.xrange(key)]


# --- commit ------------------------------------------------------------------

def test_commit_acknowledges_and_emits(r, server):
    publish(r, 3)
    a, b, c = take(r, "me")
    assert commit(r, "me", done(a, [(1, "json", "1")]), done(b),
                  done(c, [(1, "type", "T", "bin", b"\xff\0"),
                           (2, "text", "x")]),
                  targets=[OUT, "rd:ch:other"]) == [1, 1, 1]
    assert pending(r) == []
    assert [f for _, f in server.client().xrange(OUT)] == [
        {b"json": b"1"}, {b"type": b"T", b"bin": b"\xff\0"}]
    assert out(r, "rd:ch:other") == [{"text": "x"}]


def test_commit_of_an_entry_that_was_taken_away_has_no_effect(r):
    publish(r, 2)
    a, b = take(r, "me")
    r.xclaim(STREAM, "t", "other", 0, [a])
    effects = [(1, "json", "1")], [(1, "f", "v")]
    assert commit(r, "me", done(a, *effects), done(b)) == [0, 1]
    assert commit(r, "me", [a, "retry", 1, 5], [b, "dead", 1, "r", ""]) == [0, 0]
    assert pending(r, "other") == [a]
    assert r.keys() == [STREAM]
    # Never delivered, never existed, no group, no key.
    c, = publish(r, 1)
    assert commit(r, "me", done(c, *effects), done("5-5", *effects)) == [0, 0]
    r.xgroup_destroy(STREAM, "t")
    assert commit(r, "me", done(a, *effects)) == [0]
    r.set(STREAM, "x")
    assert commit(r, "me", done(a, *effects)) == [0]
    r.delete(STREAM)
    assert commit(r, "me", done(a, *effects)) == [0]
    assert r.keys() == []


def test_commit_that_is_repeated_does_nothing(r):
    publish(r, 3)
    a, b, c = take(r, "me")
    batch = [done(a, [(1, "json", "1")], [(1, "f", "v")]),
             [b, "retry", 1, 60000], [c, "dead", 1, "why", ""]]
    assert commit(r, "me", *batch) == [1, 1, 1]
    before = (
        out(r), r.hgetall(TALLY), r.hgetall(TRIES), out(r, DEAD),
        r.zrange(LATER, 0, -1, withscores=True), pending(r))
    assert commit(r, "me", *batch) == [0, 0, 0]
    assert before == (
        out(r), r.hgetall(TALLY), r.hgetall(TRIES), out(r, DEAD),
        r.zrange(LATER, 0, -1, withscores=True), pending(r))


@pytest.mark.parametrize("spoil", [
    lambda r: r.set(OUT, "x"), lambda r: r.hset(OUT, "f", "v"),
    lambda r: r.xadd(OUT, {"f": "v"},
                     id="18446744073709551615-18446744073709551615")])
def test_emit_that_cannot_be_stored_fails_its_entry_alone(r, spoil):
    spoil(r)
    was = r.dump(OUT)
    publish(r, 3)
    a, b, c = take(r, "me")
    codes = commit(r, "me", done(a, [(2, "json", "1")]),
                   done(b, [(2, "json", "2"), (1, "json", "2")]),
                   done(c, [(2, "json", "3")]), targets=[OUT, "rd:ch:good"])
    assert codes[0] == codes[2] == 1
    assert codes[1].startswith(f"target {OUT} ")
    # Not one of its emits, and it is still pending.
    assert out(r, "rd:ch:good") == [{"json": "1"}, {"json": "3"}]
    assert pending(r) == [b]
    assert r.dump(OUT) == was


def test_tally_that_cannot_be_stored_fails_its_entry_alone(r):
    publish(r, 3)
    a, b, c = take(r, "me")
    r.hset(TALLY, mapping={"f=bad": "x", "f=good": 5})
    codes = commit(r, "me", done(a, [], [(1, "f", "good")]),
                   done(b, [], [(1, "f", "good"), (1, "f", "bad")]),
                   done(c, [], [(1, "f", "new")]))
    assert codes[0] == codes[2] == 1 and "f=bad" in codes[1]
    assert r.hgetall(TALLY) == {"f=bad": "x", "f=good": "6", "f=new": "1",
                                "messages": "2"}
    assert pending(r) == [b]
    r.delete(TALLY)
    r.set(TALLY, "x")
    assert "string" in commit(r, "me", done(b, [], [(1, "f", "v")]))[0]
    assert r.get(TALLY) == "x"


def test_out_of_memory_is_an_error_and_nothing_was_done(r):
    publish(r, 2)
    a, b = take(r, "me")
    r.config_set("maxmemory", 1)
    try:
        with pytest.raises(Exception, match="OOM|memory"):
            commit(r, "me", done(a, [(1, "json", "1")]), done(b))
        with pytest.raises(Exception, match="OOM|memory"):
            commit(r, "me", [a, "dead", 1, "r", ""], done(b))
    finally:
        r.config_set("maxmemory", 0)
    assert pending(r) == [a, b] and not r.exists(OUT, DEAD)
    assert commit(r, "me", done(a, [(1, "json", "1")]), done(b)) == [1, 1]


def test_totals_are_exact(r):
    values = ["Mozilla/5.0", 'quo"te\\', "ünï", "", "a=b", "1", "-"]
    for i in range(140):
        publish(r, 1, agent=values[i % 7])
    ids = take(r, "me", 1000)
    for at in range(0, 140, 35):
        batch = [done(i, [], [(1, "agent", values[(at + k) % 7]),
                              (1, "ip", "x")])
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
    commit(r, "me", done(a, [], [(1, "f", "x")]), done(b, [], [(1, "f", "y")]))
    commit(r, "me", done(c, [], [(1, "f", "y")]))
    assert json.loads(out(r)[-1]["json"]) == {
        "channel": "c", "messages": 3, "totals": {"f": {"y": 2}}}


def test_commit_of_very_many_words(r):
    """Lua hands over about 8,000 words at once."""
    publish(r, 100)
    ids = take(r, "me")
    emits = [(1, "type", "T", "json", str(n)) for n in range(100)]
    assert commit(r, "me", *[done(i, emits) for i in ids]) == [1] * 100
    assert r.xlen(OUT) == 10000
    wide = {f"f{n}": "v" for n in range(6000)}
    a = r.xadd(STREAM, wide)
    take(r, "me")
    assert commit(r, "me", [a, "dead", 1, "too wide", ""]) == [1]
    assert pending(r) == []
    letter, = out(r, DEAD)
    assert letter["f0"] == "v" and letter["reason"] == "too wide"


# --- retries and dead letters ------------------------------------------------

def test_dead_letter_is_the_message_and_its_story(r):
    publish(r, 1, json='{"n":1}', type="T")
    a, = take(r, "me")
    assert commit(r, "me", [a, "dead", 7, "attempts", "crash: signal 6"]) == [1]
    letter, = out(r, DEAD)
    assert int(letter.pop("time")) == pytest.approx(time.time() * 1000, abs=5e3)
    assert letter == {"json": '{"n":1}', "type": "T", "channel": "c", "id": a,
                      "deliveries": "7", "reason": "attempts",
                      "error": "crash: signal 6", "worker": "me"}
    assert pending(r) == [] and not r.exists(TRIES)


def test_retry_waits_and_comes_back_with_its_attempts(r):
    publish(r, 2)
    a, b = take(r, "me")
    assert commit(r, "me", [a, "retry", 1, 0], [b, "retry", 3, 60000]) == [1, 1]
    assert pending(r, "=later") == [a, b] and pending(r, "me") == []
    next_ms, lost, entries = due(r, "other")
    assert 59000 < next_ms <= 60000 and lost == []
    assert entries == [[a, ["json", '{"n": 0}'], 2, "1"]]
    assert pending(r, "other") == [a] and pending(r, "=later") == [b]
    # Nobody else gets it, and the next failure counts on.
    assert due(r, "third")[1:] == [[], []]
    assert commit(r, "other", [a, "retry", 2, 0]) == [1]
    assert due(r, "third")[2] == [[a, ["json", '{"n": 0}'], 3, "2"]]
    assert commit(r, "third", done(a)) == [1]
    assert r.hgetall(TRIES) == {b: "3"}


def test_due_respects_its_count_and_deleted_entries(r):
    publish(r, 5)
    ids = take(r, "me")
    assert commit(r, "me", *[[i, "retry", 1, 0] for i in ids]) == [1] * 5
    r.xdel(STREAM, ids[1])
    next_ms, lost, entries = due(r, "me", 2)
    assert next_ms == 0 and lost == [ids[1]]
    assert [e[0] for e in entries] == [ids[0]]
    assert due(r, "me", 0) == [0, [], []]
    next_ms, lost, entries = due(r, "me")
    assert (next_ms, lost, len(entries)) == (-1, [], 3)
    assert pending(r) == [ids[0], *ids[2:]] and not r.exists(LATER)
    assert ids[1] not in r.hgetall(TRIES)


def test_due_times_that_were_lost_are_made_again(r):
    publish(r, 2)
    a, b = take(r, "me")
    commit(r, "me", [a, "retry", 1, 60000], [b, "retry", 1, 60000])
    r.zrem(LATER, a)
    assert due(r, "me")[2] == []
    assert [e[0] for e in due(r, "me", repair=1)[2]] == [a]
    assert r.zrange(LATER, 0, -1) == [b]


def test_retry_of_an_entry_that_is_gone_lets_it_go(r):
    publish(r, 2)
    a, b = take(r, "me")
    r.xdel(STREAM, a, b)
    assert commit(r, "me", [a, "retry", 1, 5], [b, "dead", 1, "r", ""]) == [2, 2]
    assert pending(r) == [] and not r.exists(LATER, TRIES, DEAD)


# --- life and death ----------------------------------------------------------

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
    assert [(e[0], e[2], e[3]) for e in entries] == [(i, 2, 0) for i in ids]
    assert pending(r, "me") == ids
    assert forget(r, "alive") == 1


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
    assert commit(r, "me", [ids[0], "retry", 1, 60000]) == [1]
    assert rescue(r, "=later", "me")[0] == 0
    assert forget(r, "=later") == 0


def test_regaining_our_own(r):
    beat(r, "me")
    publish(r, 3)
    a, b, c = take(r, "me")
    commit(r, "me", done(a))
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


def test_consumers_go_only_when_they_hold_nothing(r):
    publish(r, 1)
    a, = take(r, "dead")
    assert forget(r, "dead") == 0
    assert pending(r, "dead") == [a]
    commit(r, "dead", done(a))
    assert forget(r, "dead") == 1
    assert r.xinfo_consumers(STREAM, "t") == []
    assert forget(r, "nobody") == 1
    r.xgroup_destroy(STREAM, "t")
    assert forget(r, "dead") == 1
