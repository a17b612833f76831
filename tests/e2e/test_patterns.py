# SPDX-License-Identifier: MIT
"""Channels that a team divides: each has one worker at a time and keeps its
order, whoever comes and goes, and whatever befalls one of them."""
import collections
import json
import signal
import threading
import time

import pytest

from divided import (TEAM, check_all, emitted, emitted_together, fleet,  # noqa: F401
                     holder, lengths, make_known, names, owner, owners,
                     pending, put, redis_, store, wait_emitted, wait_shared,
                     wait_shared_after_first)
from harness import channel_key, eventually, exec_handler, holds, xadd
from harness import run as run_verb


def verb(server, *args):
    status, out, err = run_verb(*args, env={"REDISTRIBUTE_TARGETS": server.uri})
    assert status == 0, out + err
    return out


def members(store, team=TEAM):
    return {m for m in store.zrange(f"rd:team:{team}", 0, -1) if m[:1] != b"="}


def slots(store, team=TEAM):
    """{slot: "token owner"} of those that have one."""
    return {int(k): v for k, v in store.hgetall(f"rd:slots:{team}").items()
            if k.isdigit() and b" =" not in v}


class Stream(threading.Thread):
    """Numbers into all channels, steadily, until told to stop."""

    def __init__(self, redis, channels, pause=0.01):
        super().__init__(daemon=True)
        self.redis, self.channels, self.pause = redis, channels, pause
        self.over, self.n = threading.Event(), 0
        self.start()

    def run(self):
        client = self.redis.client()
        while not self.over.wait(self.pause):
            put(client, self.channels, [self.n])
            self.n += 1
        client.close()

    def stop(self):
        """How many there are in each."""
        self.over.set()
        self.join()
        return self.n


@pytest.fixture
def obeying(run, tmp_path):
    """A team of handler.py obey, which emits to "out" and notes what it starts:
    obeying(redis, workers, flags...)."""
    path = tmp_path / "notes"
    path.touch()

    def start(redis, workers=1, *flags, **more):
        return run.daemon("--team", TEAM, "--consume", "c:*", "--handler",
                          exec_handler("obey", "out", path), "--discover",
                          "500ms", *flags, redis=redis, workers=workers,
                          **{"gateways": 0, **more})
    start.lines = lambda: [tuple(map(int, line.split()))
                           for line in path.read_text().splitlines()]
    start.count = lambda n: sum(1 for line in start.lines() if line[0] == n)
    return start


def came_out(store):
    return [json.loads(f[b"json"])["n"]
            for _, f in store.xrange(channel_key("out"))]


# --- order -------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 4])
def test_each_channel_keeps_its_order(redis_, store, fleet, workers):
    channels = names(60)
    make_known(store, channels)
    put(store, channels, range(50))
    site = fleet(redis_, workers)
    put(store, channels, range(50, 100))
    wait_emitted(store, channels, 100)
    put(store, channels, range(100, 110))
    wait_emitted(store, channels, 110)
    check_all(store, channels, range(110))
    wait_shared(store, channels, workers)
    assert site.stop() == 0


@pytest.mark.parametrize("workers", [1, 4])
def test_each_channel_keeps_its_order_in_any_language(
        redis_, store, fleet, workers):
    """The handler answers in another order than it is asked."""
    channels = names(60)
    make_known(store, channels)
    for n in range(20):
        put(store, channels, [n], ms=n * 7 % 11)
    site = fleet(redis_, workers, handler=exec_handler("timed", "out"))
    for n in range(20, 40):
        put(store, channels, [n], ms=n * 7 % 11)
    eventually(lambda: store.xlen(channel_key("out")) >= 40 * 60, 40)
    eventually(lambda: pending(store, channels) == 0)
    for name, got in emitted_together(store, channels).items():
        assert got == list(range(40)), name
    assert site.stop() == 0


def test_slow_channel_does_not_stop_the_others_of_its_slot(
        redis_, store, fleet):
    slow, fast = channels = ["c:{tag}:slow", "c:{tag}:fast"]
    make_known(store, channels)
    site = fleet(redis_, 1, handler=exec_handler("timed", "out"))
    put(store, [slow], [0], ms=3000)
    put(store, [slow], [1])
    eventually(lambda: pending(store, [slow]) >= 1)
    put(store, [fast], range(50))
    eventually(lambda: len(emitted_together(store, channels)[fast]) == 50, 2)
    assert emitted_together(store, channels)[slow] == []
    eventually(lambda: store.xlen(channel_key("out")) == 52)
    assert emitted_together(store, channels) == {
        slow: [0, 1], fast: list(range(50))}
    assert site.stop() == 0


# --- which channels there are ------------------------------------------------

def test_channel_that_appears_is_handled_within_a_second(
        run, redis_, store, fleet):
    site = fleet(redis_, 2, "--discover", "1h", gateways=1)
    client = run.client(site)
    client.ok("publish", channel="c:0", data={"n": 5})
    eventually(lambda: emitted(store, "c:0") == [5], 1)
    verb(redis_, "publish", "c:1", '{"n":6}')
    eventually(lambda: emitted(store, "c:1") == [6], 1)
    client.ok("publish", channel="other", data={"n": 7})
    client.ok("publish", channel="c:0", data={"n": 8})
    eventually(lambda: emitted(store, "c:0") == [5, 8], 1)
    assert not store.xinfo_groups(channel_key("other"))


def test_channel_of_a_foreign_xadd_is_found(redis_, store, fleet):
    fleet(redis_, 2, "--discover", "1s")
    for i in range(3):
        put(store, [f"c:{i}"], range(3))
        eventually(lambda: emitted(store, f"c:{i}") == [0, 1, 2], 2)


def test_ten_thousand_channels_appear_at_once(redis_, store, fleet):
    channels = names(10000)
    fleet(redis_, 2)
    make_known(store, channels)
    put(store, channels, [0, 1])
    wait_emitted(store, channels, 2, 40)
    check_all(store, channels, [0, 1])


def test_ordered_divides_named_channels_too(redis_, store, fleet):
    channels = ["c:a", "c:b", "c:c", "c:d"]
    site = fleet(redis_, 2, "--ordered", "--consume", "c:b", "--consume", "c:c",
                 consume="c:a")
    # They are there before anybody has made them known.
    put(store, channels, range(200))
    wait_emitted(store, channels[:3], 200)
    check_all(store, channels[:3], range(200))
    assert None not in owners(store, channels[:3]).values()
    assert not store.xinfo_groups(channel_key("c:d"))
    assert site.stop() == 0


def test_named_channel_beside_a_pattern_that_matches_it_is_shared(
        redis_, store, fleet):
    channels = names(3)
    make_known(store, channels)
    site = fleet(redis_, 2, "--consume", "c:1", us=500)
    put(store, channels, range(400))
    wait_emitted(store, channels, 400)
    check_all(store, ["c:0", "c:2"], range(400))
    check_all(store, ["c:1"], range(400), ordered=False)
    fences = {c["name"].decode() for c in
              store.xinfo_consumers(channel_key("c:1"), TEAM)
              if c["name"][:1] == b"="}
    assert len(fences) == 2 and all(f.endswith(".0") for f in fences)
    assert site.stop() == 0


def test_two_teams_each_see_all(redis_, store, fleet):
    channels = names(20)
    make_known(store, channels)
    for team in "one", "two":
        fleet(redis_, 2, team=team, handler=exec_handler("number", team))
    put(store, channels, range(50))
    for team in "one", "two":
        eventually(lambda: store.xlen(channel_key(team)) >= 1000, 30)
        eventually(lambda: pending(store, channels, team) == 0)
        assert emitted_together(store, channels, team) == {
            name: list(range(50)) for name in channels}
        assert wait_shared(store, channels, 2, team)


# --- coming and going --------------------------------------------------------

@pytest.mark.deadline(120)
def test_workers_join_and_leave_under_load(redis_, store, fleet):
    """Only slots that move change their lease; nothing is doubled."""
    channels = names(200)
    make_known(store, channels)
    site = fleet(redis_, 1, us=100)
    wait_shared_after_first(store, channels, 1)
    stream = Stream(redis_, channels)
    had = slots(store)
    for count, sign in ((2, signal.SIGTTIN), (3, signal.SIGTTIN),
                        (4, signal.SIGTTIN), (3, signal.SIGTTOU),
                        (2, signal.SIGTTOU), (1, signal.SIGTTOU)):
        site.send(sign)
        eventually(lambda: len(members(store)) == count)
        quota = -(-256 // count)

        def shared():
            """All slots, once each worker has its part and nobody else any."""
            now = slots(store)
            parts = collections.Counter(v.split()[1] for v in now.values())
            return (now if len(now) == 256 and len(parts) == count and
                    max(parts.values()) == quota else None)
        has = eventually(shared, 20, f"not shared by {count}")
        # Who keeps a slot keeps the lease.
        kept = [s for s in had if had[s].split()[1] == has[s].split()[1]]
        assert len(kept) >= 256 // (count + 1) and all(
            had[s] == has[s] for s in kept)
        had = has
    count = stream.stop()
    want = [0, *range(count)]
    wait_emitted(store, channels, len(want))
    check_all(store, channels, want)
    assert not site.log.find("lane.fenced") and \
        not site.log.find("commit.fenced")
    assert site.stop() == 0


@pytest.mark.deadline(90)
def test_worker_that_stops_hands_over_at_once(redis_, store, fleet):
    channels = names(50)
    make_known(store, channels)
    one = fleet(redis_, 1, "--node", "one")
    two = fleet(redis_, 1, "--node", "two")
    shared = wait_shared_after_first(store, channels)
    its = [c for c, who in shared.items() if who[0] == "one"]
    stream = Stream(redis_, channels)
    wait_emitted(store, channels, 50)
    one.send(signal.SIGTERM)
    began = time.monotonic()
    wait = one.wait
    eventually(lambda: {owner(store, c) for c in its} == {("two", 0)}, 5)
    assert time.monotonic() - began < 0.5
    assert wait() == 0
    count = stream.stop()
    wait_emitted(store, channels, count + 1)
    check_all(store, channels, [0, *range(count)])
    assert two.stop() == 0


@pytest.mark.deadline(90)
def test_worker_that_stops_does_not_wait_for_its_slowest_channel(
        redis_, store, fleet):
    """What is in hand is finished; slots where nothing is go on at once."""
    channels = names(50)
    make_known(store, channels)
    one = fleet(redis_, 1, "--node", "one", handler=exec_handler("timed", "out"))
    fleet(redis_, 1, "--node", "two", handler=exec_handler("timed", "out"))
    put(store, channels, [0])
    eventually(lambda: store.xlen(channel_key("out")) == 50)
    shared = wait_shared(store, channels, 2)
    its = [c for c, who in shared.items() if who[0] == "one"]
    put(store, its[:1], [1], ms=4000)
    put(store, its[:1], [2])
    eventually(lambda: pending(store, its[:1]) > 0)
    one.send(signal.SIGTERM)
    began = time.monotonic()
    put(store, its[1:], [1])
    eventually(lambda: store.xlen(channel_key("out")) == 49 + len(its), 5)
    assert time.monotonic() - began < 1
    assert one.wait() == 0 and time.monotonic() - began > 2
    # The slow one was finished where it was, and the next goes on elsewhere.
    eventually(lambda: emitted_together(store, channels)[its[0]] == [0, 1, 2], 2)


@pytest.mark.deadline(60)
def test_machine_that_dies_is_followed_after_its_lease(
        redis_, store, fleet):
    channels = names(50)
    make_known(store, channels)
    one = fleet(redis_, 1, "--node", "one", "--lease", "2s", us=500)
    fleet(redis_, 1, "--node", "two", "--lease", "2s", us=500)
    wait_shared_after_first(store, channels)
    put(store, channels, range(1, 40))
    eventually(lambda: sum(lengths(store, channels)) > 200)
    one.close()         # kill -9 of all of its processes
    began = time.monotonic()
    put(store, channels, range(40, 50))
    eventually(lambda: set(owners(store, channels).values()) == {("two", 0)}, 6)
    assert time.monotonic() - began < 3
    wait_emitted(store, channels, 50)
    check_all(store, channels, range(50))


# --- what fails --------------------------------------------------------------

def test_message_that_fails_waits_with_all_behind_it(
        redis_, store, obeying):
    make_known(store, ["c:0", "c:1"])
    site = obeying(redis_)
    put(store, ["c:0"], [0], do="retry", ms=1000, times=2)
    put(store, ["c:0"], range(1, 5))
    eventually(lambda: obeying.count(0) == 1)
    put(store, ["c:1"], range(10, 15))
    # Other channels go on.
    eventually(lambda: came_out(store) == list(range(10, 15)), 0.9)
    eventually(lambda: came_out(store) == [*range(10, 15), *range(5)])
    assert [obeying.count(n) for n in range(5)] == [3, 1, 1, 1, 1]
    assert pending(store, ["c:0", "c:1"]) == 0
    assert site.stop() == 0


def test_message_that_fails_lets_others_pass_where_told_to(
        redis_, store, obeying):
    make_known(store, ["c:0"])
    site = obeying(redis_, 1, "--retry", "skip")
    put(store, ["c:0"], [0], do="retry", ms=700, times=2)
    put(store, ["c:0"], range(1, 5))
    eventually(lambda: came_out(store) == [1, 2, 3, 4], 1)
    began = time.monotonic()
    eventually(lambda: came_out(store) == [1, 2, 3, 4, 0], 3)
    assert 0.6 < time.monotonic() - began < 2.5
    assert obeying.count(0) == 3 and pending(store, ["c:0"]) == 0
    assert site.stop() == 0


@pytest.mark.parametrize("how", ["wait", "skip"])
def test_long_retry_outlives_its_worker(redis_, store, obeying, how):
    """It is not run earlier, nor later, than it was put off to."""
    make_known(store, ["c:0"])
    site = obeying(redis_, 2, "--retry", how)
    put(store, ["c:0"], [0], do="retry", ms=3000, times=1)
    put(store, ["c:0"], [1])
    site.wait_event("message.retry")
    began = time.monotonic()
    eventually(lambda: how == "wait" or came_out(store) == [1])
    for _ in range(2):
        index = eventually(lambda: owner(store, "c:0"))[1]
        pid = site.kill_child("worker", index)
        site.wait_child("worker", index, pid)
        eventually(lambda: owner(store, "c:0"))
    holds(lambda: obeying.count(0) == 1, began + 2.8 - time.monotonic())
    eventually(lambda: obeying.count(0) == 2, 1.2)
    eventually(lambda: len(came_out(store)) == 2)
    assert came_out(store) == ([0, 1] if how == "wait" else [1, 0])
    assert obeying.count(0) == 2 and obeying.count(1) == 1


@pytest.mark.parametrize("how", ["wait", "skip"])
def test_attempts_are_counted_and_end_in_the_dead_letters(
        redis_, store, obeying, how):
    make_known(store, ["c:0"])
    site = obeying(redis_, 2, "--retry", how, "--max-attempts", "3")
    id_, = put(store, ["c:0"], [0], do="retry", ms=10)
    put(store, ["c:0"], [1], do="dead", why="not this one")
    put(store, ["c:0"], [2])
    eventually(lambda: came_out(store) == [2])
    eventually(lambda: store.xlen(f"rd:dead:{TEAM}") == 2)
    letters = {json.loads(f[b"json"])["n"]: f
               for _, f in store.xrange(f"rd:dead:{TEAM}")}
    assert letters[0][b"reason"] == b"attempts"
    assert letters[0][b"id"].decode() == id_
    assert letters[0][b"deliveries"] in (b"1", b"3")
    assert letters[1][b"reason"] == b"not this one"
    assert [obeying.count(n) for n in range(3)] == [3, 1, 1]
    assert pending(store, ["c:0"]) == 0
    eventually(lambda: not store.exists("rd:tries:t:{rd:ch:c:0}"))
    assert site.stop() == 0


def test_dead_letter_that_is_given_back_runs_again_within_a_second(
        redis_, store, obeying):
    make_known(store, ["c:0"])
    obeying(redis_, 2)
    put(store, ["c:0"], [0], do="dead", times=1)
    put(store, ["c:0"], [1])
    eventually(lambda: came_out(store) == [1])
    eventually(lambda: store.xlen(f"rd:dead:{TEAM}") == 1)
    verb(redis_, "dead", "retry", "--all", "--team", TEAM)
    eventually(lambda: came_out(store) == [1, 0], 1)
    assert store.xlen(f"rd:dead:{TEAM}") == 0
    eventually(lambda: pending(store, ["c:0"]) == 0)


# --- pause -------------------------------------------------------------------

@pytest.mark.parametrize("what", ["c:0", "c:[0]"])
@pytest.mark.parametrize("by_verb", [False, True])
def test_what_is_paused_waits_and_the_others_go_on(
        redis_, store, fleet, what, by_verb):
    channels = names(20)
    make_known(store, channels)
    site = fleet(redis_, 2)
    wait_shared_after_first(store, channels)
    if by_verb:
        verb(redis_, "pause", what, "--team", TEAM)
    else:
        store.hset(f"rd:conf:{TEAM}", f"pause:{what}", 1)
    # Paused at the latest when this one is through.
    time.sleep(0.3)
    put(store, channels, [1])
    wait_emitted(store, channels[1:], 2)
    holds(lambda: lengths(store, channels[:1]) == [1], 0.7)
    # Also for who comes later.
    pid = site.kill_child("worker", owner(store, "c:0")[1])
    assert pid
    put(store, channels, range(2, 10))
    wait_emitted(store, channels[1:], 10)
    holds(lambda: lengths(store, channels[:1]) == [1], 0.7)
    if by_verb:
        verb(redis_, "resume", what, "--team", TEAM)
    else:
        store.hdel(f"rd:conf:{TEAM}", f"pause:{what}")
    wait_emitted(store, channels[:1], 10, 1)
    check_all(store, channels, range(10))
    assert site.stop() == 0


def test_pause_in_the_middle_of_work_and_back(redis_, store, fleet):
    channels = names(20)
    make_known(store, channels)
    fleet(redis_, 2, us=300)
    stream = Stream(redis_, channels, 0.005)
    for _ in range(5):
        before = sum(lengths(store, channels))
        eventually(lambda: sum(lengths(store, channels)) > before + 200)
        store.hset(f"rd:conf:{TEAM}", "pause:c:*", 1)
        eventually(lambda: pending(store, channels) == 0)
        still = lengths(store, channels)
        holds(lambda: lengths(store, channels) == still, 0.2)
        store.hdel(f"rd:conf:{TEAM}", "pause:c:*")
    count = stream.stop()
    wait_emitted(store, channels, count)
    check_all(store, channels, range(count))


# --- what others do to the data ----------------------------------------------

@pytest.mark.deadline(90)
def test_flushall_under_load(redis_, store, fleet):
    channels = names(50)
    make_known(store, channels)
    site = fleet(redis_, 2, us=200)
    for round_ in range(3):
        put(store, channels, range(50))
        eventually(lambda: sum(lengths(store, channels)) > 500)
        store.flushall()
        # Foreign XADDs, which tell nobody of their channels.
        first = 1000 * (round_ + 1)
        put(store, channels, range(first, first + 30))
        wait_emitted(store, channels, 30)
        check_all(store, channels, range(first, first + 30))
        wait_shared(store, channels, 2)
        store.flushall()
        make_known(store, channels)
    put(store, channels, range(20))
    wait_emitted(store, channels, 20)
    check_all(store, channels, range(20))
    assert site.stop() == 0


def test_channel_that_is_deleted_begins_anew(redis_, store, fleet):
    channels = names(20)
    make_known(store, channels)
    site = fleet(redis_, 2, us=500)
    wait_shared_after_first(store, channels)
    for _ in range(5):
        put(store, channels[:1], range(1, 100))
        store.delete(channel_key("c:0"), channel_key("out:c:0"))
        put(store, channels[:1], range(200, 220))
        wait_emitted(store, channels[:1], 20, 5)
        eventually(lambda: pending(store, channels[:1]) == 0)
        got = emitted(store, "c:0")
        assert got == list(range(200, 220))
    put(store, channels[1:], [1])
    wait_emitted(store, channels[1:], 2, 2)
    check_all(store, channels[1:], [0, 1])
    assert site.stop() == 0


def test_group_that_is_destroyed_begins_anew(redis_, store, fleet):
    """Nothing tells what was acknowledged: all runs again, in order."""
    channels = names(3)
    make_known(store, channels)
    fleet(redis_, 2)
    put(store, channels, range(10))
    wait_emitted(store, channels, 10)
    eventually(lambda: pending(store, channels) == 0)
    store.xgroup_destroy(channel_key("c:0"), TEAM)
    put(store, channels, [10])
    wait_emitted(store, channels, 11)
    eventually(lambda: len(emitted(store, "c:0")) == 21)
    assert emitted(store, "c:0") == [*range(10), *range(11)]
    check_all(store, channels[1:], range(11))


def test_key_of_another_type_stops_only_its_channel(
        redis_, store, fleet):
    channels = names(5)
    store.set(channel_key("c:0"), "x")
    make_known(store, channels)
    site = fleet(redis_, 1)
    put(store, channels[1:], range(20))
    wait_emitted(store, channels[1:], 20)
    store.delete(channel_key("c:1"))
    store.hset(channel_key("c:1"), "f", "v")
    put(store, channels[2:], range(20, 40))
    wait_emitted(store, channels[2:], 40)
    check_all(store, channels[2:], range(40))
    # Once they are gone, it goes on.
    store.delete(channel_key("c:0"), channel_key("c:1"), channel_key("out:c:1"))
    put(store, channels[:2], range(5))
    wait_emitted(store, channels[:2], 5, 5)
    check_all(store, channels[:2], range(5))
    assert store.type(channel_key("out:c:0")) == b"stream"
    assert site.stop() == 0


def test_emit_that_cannot_be_stored_holds_up_its_channel_alone(
        redis_, store, fleet):
    channels = names(3)
    make_known(store, channels)
    site = fleet(redis_, 1, "--retry-delay", "100ms", "--retry-limit", "200ms",
                 "--max-attempts", "1000")
    wait_shared_after_first(store, channels, 1)
    store.rename(channel_key("out:c:0"), "kept")
    store.set(channel_key("out:c:0"), "x")
    put(store, channels, range(1, 30))
    wait_emitted(store, channels[1:], 30)
    site.wait_event("message.retry", count=2)
    store.rename("kept", channel_key("out:c:0"))
    wait_emitted(store, channels, 30, 5)
    check_all(store, channels, range(30))
    assert site.stop() == 0


def test_entries_that_are_deleted_or_trimmed_while_they_wait(
        redis_, store, obeying):
    make_known(store, ["c:0"])
    site = obeying(redis_, 1)
    put(store, ["c:0"], [0], do="retry", ms=1000, times=1)
    ids = put(store, ["c:0"], range(1, 10))
    site.wait_event("message.retry")
    store.xdel(channel_key("c:0"), *ids[:3])
    eventually(lambda: came_out(store) == [0, *range(4, 10)])
    put(store, ["c:0"], [10], do="retry", ms=700, times=1)
    put(store, ["c:0"], [11])
    site.wait_event("message.retry", count=2)
    store.xtrim(channel_key("c:0"), maxlen=0, approximate=False)
    put(store, ["c:0"], [12])
    eventually(lambda: came_out(store)[-1] == 12)
    assert came_out(store) == [0, *range(4, 10), 12]
    assert pending(store, ["c:0"]) == 0
    eventually(lambda: not store.exists("rd:tries:t:{rd:ch:c:0}"))


def test_foreign_entries_stop_nobody(redis_, store, fleet):
    make_known(store, ["c:0"])
    fleet(redis_, 1)
    for fields in ({"json": "no json"}, {"text": "x"}, {"bin": b"\0"},
                   {"msgpack": b"\xc1"}, {"x": b"\xff"}):
        xadd(store, "c:0", fields)
    put(store, ["c:0"], [1])
    wait_emitted(store, ["c:0"], 6)
    check_all(store, ["c:0"], [0, 0, 0, 0, 0, 1])
