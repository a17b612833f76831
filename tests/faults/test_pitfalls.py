# SPDX-License-Identifier: MIT
"""Pitfalls of consumer groups (workers/PITFALLS.md) that no other test shows."""
import json
import re
import signal
import time
from collections import Counter

import pytest

from divided import (NUMBERS, TEAM, check_all, emitted, fleet,  # noqa: F401
                     lengths, make_known, names, pending, put, redis_, store,
                     wait_emitted)
from harness import PYTHON, channel_key, eventually, holds, kill
from harness import run as run_verb

BOTH = pytest.mark.parametrize("consume", ["c:0", "c:*"],
                               ids=["named", "divided"])


def named(channels):
    """Flags for the channels after the first."""
    return [w for name in channels[1:] for w in ("--consume", name)]


def check(server, tmp_path):
    """{check: finding} of `redistribute check`, and its status."""
    status, out, err = run_verb("check", "--json", "--data-dir", tmp_path,
                                env={"REDISTRIBUTE_TARGETS": server.uri})
    assert out, err
    return status, {c["check"]: c for c in json.loads(out)["checks"]}


def calls(store):
    return {name: row["calls"] for name, row in store.info("commandstats").items()}


# --- what Redis is asked -------------------------------------------------------

def test_redis_that_evicts_is_warned_of(run, tmp_path):
    server = run.redis("--maxmemory-policy", "allkeys-lru")
    status, found = check(server, tmp_path)
    assert status == 0
    assert found["maxmemory-policy"]["verdict"] == "warn"
    assert "noeviction" in found["maxmemory-policy"]["text"]


def test_cluster_is_refused(run, tmp_path):
    server = run.redis("--cluster-enabled", "yes")
    status, found = check(server, tmp_path)
    assert status == 78
    assert found["kind"]["verdict"] == "bad"
    assert "Cluster" in found["kind"]["text"]


def test_replica_is_refused(run, tmp_path):
    server = run.redis("--replicaof", "127.0.0.1", "1")
    status, found = check(server, tmp_path)
    assert status == 78
    assert "takes no writes" in found["kind"]["text"]


def test_embedded_redis_keeps_everything_and_has_small_streams(run):
    site = run.daemon("--consume", "a", gateways=0, workers=1)
    store = run.add(site.embedded())
    said = {name: store.config_get(name)[name] for name in
            ("appendonly", "appendfsync", "maxmemory-policy",
             "stream-node-max-bytes")}
    assert said == {"appendonly": "yes", "appendfsync": "always",
                    "maxmemory-policy": "noeviction",
                    "stream-node-max-bytes": "1024"}


@BOTH
def test_nobody_is_robbed_because_it_is_idle(redis_, store, fleet,  # noqa: F811
                                             consume):
    """Neither XAUTOCLAIM, nor the history of a consumer, nor a lone XACK."""
    make_known(store, ["c:0"])
    site = fleet(redis_, 2, "--lease", "2s", consume=consume, us=2000)
    put(store, ["c:0"], range(200))
    wait_emitted(store, ["c:0"], 10)
    for i in (0, 1):
        old = site.kill_child("worker", i)
        site.wait_child("worker", i, other_than=old)
    wait_emitted(store, ["c:0"], 200)
    check_all(store, ["c:0"], range(200), ordered=consume == "c:*")
    assert "cmdstat_xautoclaim" not in calls(store)


def test_quiet_team_asks_little(redis_, store, fleet):  # noqa: F811
    """Nobody sweeps the pending lists of all channels."""
    channels = names(300)
    make_known(store, channels)
    fleet(redis_, 4, "--consume", "a", "--consume", "b", us=0)
    put(store, channels + ["a", "b"], [0])
    wait_emitted(store, channels + ["a", "b"], 1)
    eventually(lambda: pending(store, channels) == 0)

    def asked(seconds):
        before = calls(store)
        time.sleep(seconds)
        return {k: n - before.get(k, 0) for k, n in calls(store).items()
                if n != before.get(k, 0)}
    # The sweep of the doorbell reads a few keys a second; that is not much.
    eventually(lambda: sum(asked(1).values()) < 300, 20, "it is not quiet")
    seen = asked(3)
    for name in ("xpending", "xclaim", "xack", "xautoclaim", "xreadgroup"):
        assert seen.get("cmdstat_" + name, 0) < 60, seen


def test_taking_over_quiet_channels_reads_none(redis_, store,  # noqa: F811
                                               fleet):
    """Most of very many channels are: a look is enough for them, which leaves
    nothing behind that the next owner would have to remove."""
    channels = names(300)
    make_known(store, channels)
    site = fleet(redis_, 1)
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    eventually(lambda: pending(store, channels) == 0)
    assert site.stop() == 0
    store.config_resetstat()
    site = fleet(redis_, 1)
    eventually(lambda: sum(
        n for name, n in calls(store).items()
        if name.startswith("cmdstat_xinfo")) >= 3 * 300, 20,
        "not all are looked at")
    if "lag" in store.xinfo_groups(channel_key(channels[0]))[0]:
        assert calls(store).get("cmdstat_xreadgroup", 0) < 30
    put(store, channels, [1])   # and all bells hang
    wait_emitted(store, channels, 2, deadline=10)
    check_all(store, channels, range(2))
    assert site.stop() == 0


# --- reads ---------------------------------------------------------------------

def test_count_is_for_all_channels_together(redis_, store, fleet):  # noqa: F811
    channels = names(8)
    put(store, channels, range(50))
    fleet(redis_, 1, "--batch", "10", *named(channels), consume="c:0", us=2000)
    most = 0
    while min(lengths(store, channels)) < 50:
        most = max(most, pending(store, channels))
        time.sleep(0.01)
    assert 0 < most <= 2 * 10 + len(channels)
    check_all(store, channels, range(50), ordered=False)


@pytest.mark.parametrize("flags", [[], ["--ordered"]], ids=["named", "divided"])
def test_busy_channel_starves_no_quiet_one(redis_, store, fleet,  # noqa: F811
                                           flags):
    fleet(redis_, 1, "--batch", "20", "--consume", "c:1", *flags, consume="c:0",
          us=2000)
    put(store, ["c:0"], range(3000))
    wait_emitted(store, ["c:0"], 50)
    for n in range(5):
        put(store, ["c:1"], [n])
        wait_emitted(store, ["c:1"], n + 1, deadline=2)
    assert lengths(store, ["c:0"])[0] < 3000


@BOTH
def test_message_for_one_that_sleeps_is_handled_by_others(
        redis_, store, fleet, consume):  # noqa: F811
    """Redis serves those who wait in turn, also one that will not wake up."""
    make_known(store, ["c:0"])
    site = fleet(redis_, 2, "--lease", "1s", consume=consume)
    put(store, ["c:0"], [0])
    wait_emitted(store, ["c:0"], 1)
    sleeper = site.kill_child("worker", 0, signal.SIGSTOP)
    for n in range(1, 6):
        put(store, ["c:0"], [n])
    wait_emitted(store, ["c:0"], 6, deadline=10)
    kill(sleeper, signal.SIGCONT)
    put(store, ["c:0"], [6])
    wait_emitted(store, ["c:0"], 7)
    holds(lambda: lengths(store, ["c:0"]) == [7], 1, "it was doubled")
    check_all(store, ["c:0"], range(7), ordered=consume == "c:*")


@BOTH
def test_entry_that_is_gone_before_it_is_read_stops_nobody(
        redis_, store, fleet, consume):  # noqa: F811
    make_known(store, ["c:0"])
    fleet(redis_, 2, consume=consume)
    for n in range(20):
        with store.pipeline(transaction=True) as both:
            both.xadd(channel_key("c:0"), {"json": '{"n":99}'}, id=f"{n + 1}-1")
            both.xdel(channel_key("c:0"), f"{n + 1}-1")
            both.execute()
        store.xadd(channel_key("c:0"), {"json": json.dumps({"n": n})},
                   id=f"{n + 1}-2")
    wait_emitted(store, ["c:0"], 20)
    eventually(lambda: pending(store, ["c:0"]) == 0)
    assert sorted(set(emitted(store, "c:0")) - {99}) == list(range(20))


@BOTH
def test_group_that_is_set_back_runs_all_again(redis_, store, fleet,  # noqa: F811
                                               consume):
    """Whoever does so wants it.  Nothing gets stuck, and whatever counts Redis
    kept of what was delivered, nobody is suspected."""
    make_known(store, ["c:0"])
    fleet(redis_, 2, consume=consume)
    put(store, ["c:0"], range(50))
    wait_emitted(store, ["c:0"], 50)
    eventually(lambda: pending(store, ["c:0"]) == 0)
    store.xgroup_setid(channel_key("c:0"), "t", "0")
    put(store, ["c:0"], [50])
    wait_emitted(store, ["c:0"], 101)
    eventually(lambda: pending(store, ["c:0"]) == 0)
    assert Counter(emitted(store, "c:0")) == Counter(
        {**{n: 2 for n in range(50)}, 50: 1})
    assert not store.exists("rd:dead:t")


# --- rights --------------------------------------------------------------------

@pytest.mark.deadline(90)
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_emit_that_is_forbidden_stops_nobody_for_ever(run, store, redis_, fleet,
                                                      consume):  # noqa: F811
    """The worker's user may not write where the handler emits to."""
    store.execute_command(
        "ACL", "SETUSER", "w", "on", ">pw", "+@all", "&*", "~rd:[^c]*",
        "~rd:ch:c:*", "~rd:con*", "~rd:channels", "~rd:check")
    make_known(store, ["c:0"])
    ids = put(store, ["c:0"], range(3))
    site = run.daemon("--team", TEAM, "--consume", consume, "--handler",
                      f"{NUMBERS}:0", "--max-attempts", "1",
                      redis=f"unix://{redis_.path}?user=w&password=pw",
                      workers=1, gateways=0)
    site.log.wait("commit.error")
    eventually(lambda: store.xlen(f"rd:dead:{TEAM}") == 3, 60)
    letters = [f for _, f in store.xrange(f"rd:dead:{TEAM}")]
    assert sorted(f[b"id"].decode() for f in letters) == ids
    assert all(b"NOPERM" in f[b"error"] for f in letters)
    eventually(lambda: pending(store, ["c:0"]) == 0)


def test_plain_acknowledgement_that_comes_late_settles_for_whoever_has_it(
        run, redis_, store, tmp_path):  # noqa: F811
    """A message that asks for nothing is acknowledged without a look at who has
    it: whoever does so first decides, and the other one notices."""
    program = tmp_path / "slow.py"
    program.write_text("""
import json, os, sys, time
for line in sys.stdin:
    message = json.loads(line)
    with open(sys.argv[1], "a") as f:
        f.write(f"{os.getppid()} {message['data']['n']}\\n")
    time.sleep(3)
    print(json.dumps({"seq": message["seq"]}), flush=True)
""")
    seen = tmp_path / "seen"
    seen.touch()
    key = channel_key("late")

    def site(name):
        return run.daemon("--lease", "1s", "--consume", "late", "--node", name,
                          "--team", "t", "--handler",
                          f"exec:{PYTHON} {program} {seen}", redis=redis_,
                          gateways=0, workers=1)
    first = site("first")
    for n in range(4):
        store.xadd(key, {"json": json.dumps({"n": n})})
    eventually(lambda: "0" in seen.read_text())
    sleeper = first.kill_child("worker", 0, signal.SIGSTOP)
    second = site("second")
    eventually(lambda: any(c["pending"] and c["name"].startswith(b"second")
                           for c in store.xinfo_consumers(key, "t")), 20)
    kill(sleeper, signal.SIGCONT)
    eventually(lambda: store.xpending(key, "t")["pending"] == 0, 60)
    lines = [line.split()[1] for line in seen.read_text().splitlines()]
    assert set(lines) == {"0", "1", "2", "3"}
    store.xadd(key, {"json": '{"n":4}'})
    eventually(lambda: "4" in seen.read_text().split())
    eventually(lambda: store.xpending(key, "t")["pending"] == 0, 20)
    assert not store.exists("rd:dead:t") and not store.zcard("rd:later:t:late")
    for one in (first, second):
        assert not re.search(r"^\S+ error ", one.transcript(), re.M)
