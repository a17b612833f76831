# SPDX-License-Identifier: MIT
"""A full Redis (maxmemory, noeviction) refuses what is to be stored, and
nothing else: teams go on, for what they finish can be trimmed."""
import json
import os
import signal

import pytest
from redis.exceptions import ResponseError

from divided import (TEAM, check_all, emitted, fleet, make_known,  # noqa: F401
                     names, pending, put, redis_, store, wait_emitted)
from harness import channel_key, eventually, exec_handler, holds
from harness import run as run_verb


@pytest.fixture
def full(store):
    """full(True): Redis stores nothing any more."""
    return lambda on: store.config_set("maxmemory", 1 if on else 0)


def is_done(store, channels):
    """There is a team, nothing is pending, and nothing was not given."""
    def given(c):
        groups = store.xinfo_groups(channel_key(c))
        last = store.xinfo_stream(channel_key(c))["last-generated-id"]
        return groups and all(g["last-delivered-id"] == last for g in groups)
    return all(map(given, channels)) and pending(store, channels) == 0


@pytest.mark.deadline(120)
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_team_that_stores_nothing_goes_on(redis_, store, fleet, full, tmp_path,
                                          consume):
    """For longer than its leases, and although one of it dies meanwhile."""
    channels = names(20 if consume == "c:*" else 1)
    make_known(store, channels)
    notes = tmp_path / "notes"
    notes.touch()
    site = fleet(redis_, 2, "--lease", "1s", consume=consume,
                 handler=exec_handler("note", notes))
    put(store, channels, [0])
    eventually(lambda: is_done(store, channels))
    pids = [site.kill_child("worker", i, signal.SIGSTOP) for i in range(2)]
    put(store, channels, range(1, 100))
    full(True)
    with pytest.raises(ResponseError, match="OOM|memory"):
        put(store, channels[:1], [0])
    os.kill(pids[0], signal.SIGCONT)
    os.kill(pids[1], signal.SIGKILL)
    eventually(lambda: is_done(store, channels), 30)
    seen = {name: [] for name in channels}
    for line in notes.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        seen[message["channel"]].append(message["data"]["n"])
    for name in channels:
        assert sorted(set(seen[name])) == list(range(100)), name
    # The one that came since is seen, and nobody has lost his lease.
    at = site.log.position()
    site.wait_child("worker", 1, other_than=pids[1])
    holds(lambda: not site.log.find("team.lapsed", since=at), 3)
    status, text, err = run_verb(
        "status", env={"REDISTRIBUTE_TARGETS": redis_.uri})
    assert status == 0 and text.count(".worker.") == 2, text + err
    full(False)
    put(store, channels, [100])
    eventually(lambda: is_done(store, channels))
    assert site.stop() == 0


@pytest.mark.deadline(120)
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_what_is_emitted_waits_for_memory(redis_, store, fleet, full, consume):
    channels = names(10 if consume == "c:*" else 1)
    make_known(store, channels)
    site = fleet(redis_, 1, "--lease", "1s", consume=consume)
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    pid = site.kill_child("worker", 0, signal.SIGSTOP)
    put(store, channels, range(1, 50))
    full(True)
    os.kill(pid, signal.SIGCONT)
    site.log.wait("commit.error")
    holds(lambda: all(emitted(store, c) == [0] for c in channels), 3)
    full(False)
    wait_emitted(store, channels, 50)
    check_all(store, channels, range(50), ordered=consume == "c:*")
    assert not site.log.find("message.retry"), "waiting is no failed attempt"
    assert site.stop() == 0


@pytest.mark.deadline(90)
def test_channels_that_cannot_be_committed_are_handed_over(redis_, store, fleet,
                                                           full):
    """A second worker comes; the first can finish nothing of what it has in
    hand.  After drain-timeout it is left to the other, and emitted once."""
    channels = names(20)
    make_known(store, channels)
    site = fleet(redis_, 1, "--lease", "10s", "--drain-timeout", "1s")
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    pid = site.kill_child("worker", 0, signal.SIGSTOP)
    put(store, channels, range(1, 10))
    full(True)
    os.kill(pid, signal.SIGCONT)
    site.log.wait("commit.error")
    other = fleet(redis_, 1, "--lease", "10s", "--node", "other")
    stuck = site.log.wait("lane.stuck", 30)
    assert stuck["channel"] in channels
    other.log.wait("lease.share", 30, ours="128", quota="128")
    full(False)
    wait_emitted(store, channels, 10)
    check_all(store, channels, range(10))
    eventually(lambda: int(store.hget(
        next(k for k in store.keys("rd:node:*.worker.0")
             if b":other." not in k), "stuck")) >= 1)
    put(store, channels, [10])
    wait_emitted(store, channels, 11)
    check_all(store, channels, range(11))
    assert site.stop() == 0 and other.stop() == 0


@pytest.mark.deadline(90)
def test_team_that_stores_nothing_brings_memory_back(redis_, store, fleet,
                                                     tmp_path):
    """What it has finished is trimmed, and publishers may go on."""
    make_known(store, ["c:0"])
    notes = tmp_path / "notes"
    site = fleet(redis_, 1, "--lease", "1s", "--maxlen", "10",
                 handler=exec_handler("note", notes))
    put(store, ["c:0"], [0])
    eventually(lambda: is_done(store, ["c:0"]))
    pid = site.kill_child("worker", 0, signal.SIGSTOP)
    store.config_set("maxmemory", store.info("memory")["used_memory"] + (8 << 20))
    count = 0
    with pytest.raises(ResponseError, match="OOM|memory"):
        for count in range(1, 1000):
            put(store, ["c:0"], [count], text="x" * 64000)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: put(store, ["c:0"], [count], text="x" * 640000), 30)
    eventually(lambda: is_done(store, ["c:0"]))
    assert [json.loads(line)["data"]["n"] for line in notes.open("rb")] == \
        list(range(count + 1))


@pytest.mark.deadline(90)
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_fleet_that_starts_in_a_full_redis_works_it_off(
        redis_, store, fleet, full, tmp_path, consume):
    """Machines are restarted when something is wrong."""
    notes = tmp_path / "notes"
    make_known(store, ["c:0"])
    put(store, ["c:0"], range(50))
    full(True)
    site = fleet(redis_, 2, consume=consume, gateways=1,
                 handler=exec_handler("note", notes))
    eventually(lambda: is_done(store, ["c:0"]), 30)
    assert sorted(json.loads(line)["data"]["n"]
                  for line in notes.open("rb")) == list(range(50))
    full(False)
    put(store, ["c:0"], [50])
    eventually(lambda: is_done(store, ["c:0"]))
    assert site.stop() == 0
