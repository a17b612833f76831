# SPDX-License-Identifier: MIT
"""A worker's name says who it is, not when it spoke: what it said before its
link broke counts for nothing afterwards, and whatever lies under its name
without being in its hands comes back in order."""
import json
import os
import signal
import time

import pytest

from divided import (TEAM, check_all, emitted, fleet, holder,  # noqa: F401
                     make_known, names, owners, pending, put, redis_, store,
                     wait_emitted)
from harness import channel_key, eventually, exec_handler
from harness import run as run_verb
from proxy import Proxy


@pytest.fixture
def proxy(run, redis_):
    return run.add(Proxy(redis_.path))


def calls(store):
    """How many commands Redis has executed."""
    return store.info("stats")["total_commands_processed"]


def is_calm(store, seconds=3, a_second=300):
    """A fleet with nothing to do asks for little."""
    before = calls(store)
    time.sleep(seconds)     # the time in which is counted
    return calls(store) - before < seconds * a_second


def wait_idle(store, channels):
    eventually(lambda: pending(store, channels) == 0, what="some are pending")


# --- what comes late ---------------------------------------------------------

@pytest.mark.deadline(60)
def test_read_that_comes_after_a_reconnect_takes_nothing(redis_, store, proxy,
                                                         fleet):
    """The worker has asked for what is new; its links break with the request
    still on its way.  It comes back, claims and goes on; then Redis gets the
    old request, when there is something new again."""
    channel, = channels = names(1)
    make_known(store, channels)
    site = fleet(proxy.uri, 1, "--lease", "10s")
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    wait_idle(store, channels)
    asked = proxy.trap("requests", channel_key(channel).encode(),
                       hold="requests")
    put(store, channels, [1])
    assert asked.wait(10), "the worker does not read"
    proxy.orphan()
    wait_emitted(store, channels, 2)
    wait_idle(store, channels)
    # While the worker cannot read it itself.
    pid = site.kill_child("worker", 0, signal.SIGSTOP)
    entry, = put(store, channels, [2])
    before = calls(store)
    proxy.release()
    eventually(lambda: calls(store) > before + 1, what="the late one came")
    late = holder(store, channel, entry)
    os.kill(pid, signal.SIGCONT)
    put(store, channels, range(3, 6))
    wait_emitted(store, channels, 6)
    check_all(store, channels, range(6))
    assert late is None


@pytest.mark.deadline(60)
def test_claim_that_comes_after_a_later_one_takes_nothing(redis_, store, proxy,
                                                          fleet):
    channel, = channels = names(1)
    make_known(store, channels)
    put(store, channels, [0])
    asked = proxy.trap("requests", b"rd:tries:t:", hold="requests")
    fleet(proxy.uri, 1, "--lease", "10s")
    assert asked.wait(10), "the worker does not claim"
    proxy.orphan()
    wait_emitted(store, channels, 1)
    put(store, channels, [1])
    wait_emitted(store, channels, 2)
    proxy.release()
    put(store, channels, range(2, 10))
    wait_emitted(store, channels, 10)
    check_all(store, channels, range(10))


# --- what lies under a name and is in nobody's hands -------------------------

@pytest.mark.deadline(90)
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_redis_forgets_an_acknowledgement(run, store, redis_, fleet, consume):
    """A Redis that was restored from a copy that is a second old."""
    channel, = channels = names(1)
    make_known(store, channels)
    site = fleet(redis_, 1, "--lease", "2s", consume=consume)
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    entry, = put(store, channels, [1], do="slow", ms=1500)
    eventually(lambda: holder(store, channel, entry))
    store.save()
    wait_emitted(store, channels, 2)
    wait_idle(store, channels)
    redis_.crash()
    redis_.start()
    assert holder(store, channel, entry), "the copy is too young"
    put(store, channels, range(2, 10))
    wait_emitted(store, channels, 10, 30)
    check_all(store, channels, range(10), ordered=consume == "c:*")
    assert site.stop() == 0


@pytest.mark.deadline(90)
@pytest.mark.parametrize("thief", ["stranger", "worker"])
def test_foreign_xreadgroup_strands_nothing(redis_, store, fleet, thief):
    """Somebody reads with the team's name, perhaps even the worker's: nothing
    of it is lost, and the order is that of the channel."""
    channel, = channels = names(1)
    make_known(store, channels)
    site = fleet(redis_, 1, "--lease", "1s")
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    wait_idle(store, channels)
    name = thief
    if thief == "worker":
        name, = [c["name"] for c in store.xinfo_consumers(channel_key(channel),
                                                          TEAM)
                 if not c["name"].startswith(b"=")]
    pid = site.kill_child("worker", 0, signal.SIGSTOP)
    put(store, channels, [1, 2])
    taken = store.xreadgroup(TEAM, name, {channel_key(channel): ">"})
    assert len(taken[0][1]) == 2
    os.kill(pid, signal.SIGCONT)
    wait_emitted(store, channels, 3)
    put(store, channels, range(3, 10))
    wait_emitted(store, channels, 10)
    check_all(store, channels, range(10))
    assert is_calm(store)


@pytest.mark.deadline(60)
def test_entries_stolen_while_nothing_rings(redis_, store, fleet):
    """XCLAIM by a foreign hand is no change that rings: found by the sweep."""
    channel, = channels = names(1)
    make_known(store, channels)
    site = fleet(redis_, 1, "--lease", "1s")
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    wait_idle(store, channels)
    entry, = store.xrevrange(channel_key(channel), count=1)
    store.xclaim(channel_key(channel), TEAM, "stranger", 0, [entry[0]],
                 force=True, justid=True)
    # It was done before; whoever has it forced upon him does it again.
    wait_emitted(store, channels, 2)
    wait_idle(store, channels)
    site.log.wait("lane.regain")


# --- bells -------------------------------------------------------------------

@pytest.mark.deadline(90)
def test_lost_bell_is_a_delay_of_a_sweep(redis_, store, proxy, fleet):
    """Redis says that the channel has changed, and the word is lost."""
    channel, = channels = names(1)
    make_known(store, channels)
    site = fleet(proxy.uri, 1, "--lease", "2s")
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    wait_idle(store, channels)
    lost = proxy.trap("replies", b"__redis__:invalidate\r\n*1\r\n$%d\r\n%s\r\n" % (
        len(channel_key(channel)), channel_key(channel).encode()), hold=None)
    before = calls(store)
    put(store, channels, [1])
    assert lost.wait(10), "no word came"
    wait_emitted(store, channels, 2)
    assert calls(store) - before < 1000
    site.log.wait("doorbell.lost")
    put(store, channels, range(2, 5))
    wait_emitted(store, channels, 5)
    check_all(store, channels, range(5))


@pytest.mark.deadline(60)
@pytest.mark.parametrize("to", ["$", "0"])
def test_foreign_setid_costs_nothing_but_what_it_says(redis_, store, fleet, to):
    """Forwards: what was skipped is skipped.  Backwards: it comes again."""
    channel, = channels = names(1)
    make_known(store, channels)
    site = fleet(redis_, 1, "--lease", "1s")
    put(store, channels, [0, 1])
    wait_emitted(store, channels, 2)
    wait_idle(store, channels)
    pid = site.kill_child("worker", 0, signal.SIGSTOP)
    put(store, channels, [2])
    store.xgroup_setid(channel_key(channel), TEAM, to)
    os.kill(pid, signal.SIGCONT)
    if to == "0":
        wait_emitted(store, channels, 5)
    assert is_calm(store)
    put(store, channels, [3])
    wait_emitted(store, channels, 3 if to == "$" else 6)
    assert emitted(store, channel) == (
        [0, 1, 3] if to == "$" else [0, 1, 0, 1, 2, 3])


def retries(store, channels, due):
    """The last entry of each waits for its retry, as `dead retry` does it."""
    for name in channels:
        key = channel_key(name)
        (entry, _), = store.xrevrange(key, count=1)
        store.zadd(f"rd:later:{TEAM}:{{{key}}}", {entry: due})
        store.xclaim(key, TEAM, "=later", 0, [entry], force=True, justid=True)
        store.expire(key, 1000)     # it rings, and there is nothing new
        store.persist(key)


@pytest.mark.deadline(90)
@pytest.mark.parametrize("how", ["handed over", "given back"])
def test_retries_do_not_starve_behind_a_backlog(run, redis_, store, tmp_path,
                                                how):
    """With retry = skip they have their turn when they are due, although the
    worker that put them off has died, or an operator gives one back."""
    make_known(store, ["c:0"])
    site = run.daemon(
        "--team", TEAM, "--consume", "c:*", "--retry", "skip", "--lease", "2s",
        "--handler", exec_handler("obey", "out", tmp_path / "notes"),
        redis=redis_, gateways=0, workers=1)
    out = channel_key("out")
    put(store, ["c:0"], [1], **({"do": "retry", "ms": 3000, "times": 1}
                                if how == "handed over" else
                                {"do": "dead", "times": 1}))
    put(store, ["c:0"], [2])
    eventually(lambda: store.xlen(out) == 1)
    put(store, ["c:0"], range(3, 1500), do="slow", seconds=0.01)
    if how == "handed over":
        site.kill_child("worker", 0)
    else:
        (letter, _), = store.xrange(f"rd:dead:{TEAM}")
        eventually(lambda: store.xlen(out) > 3)
        status, text, err = run_verb(
            "dead", "retry", letter.decode(), "--team", TEAM,
            env={"REDISTRIBUTE_TARGETS": redis_.uri})
        assert status == 0, text + err
    eventually(lambda: {"n": 1} in [json.loads(f[b"json"])
                                    for _, f in store.xrange(out)],
               40, interval=0.2)
    assert store.xlen(out) < 1400, "it came with the end of the backlog"


# --- slots -------------------------------------------------------------------

@pytest.mark.deadline(90)
def test_slot_is_given_back_although_a_question_was_under_way(
        redis_, store, proxy, fleet):
    """A second worker comes while the first asks whether retries are due."""
    channels = names(20)    # about half of which go
    make_known(store, channels)
    site = fleet(proxy.uri, 1, "--lease", "10s", "--retry", "skip")
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    wait_idle(store, channels)
    shared = proxy.trap("requests", b"rd:slots:t\r\n$9\r\nrd:team:t\r\n",
                        hold="replies")
    other = fleet(redis_, 1, "--lease", "10s", "--node", "other")
    assert shared.wait(10), "the worker does not ask for its share"
    # The question for retries waits behind the answer, and comes after it.
    asked = proxy.trap("requests", b"rd:later:t:", hold="requests")
    retries(store, channels, int((time.time() + 3600) * 1000))
    assert asked.wait(10), "the worker does not ask for retries"
    proxy.release("replies")
    site.log.wait("lease.share", revoked="128")
    proxy.release()
    other.log.wait("lease.share", ours="128", quota="128")
    eventually(lambda: None not in owners(store, channels).values() and
               len(set(owners(store, channels).values())) == 2)
    retries(store, channels, 1)
    put(store, channels, [1])
    wait_emitted(store, channels, 3)
    wait_idle(store, channels)
    assert site.stop() == 0
