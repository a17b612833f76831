# SPDX-License-Identifier: MIT
"""Divided channels keep their order and lose and double nothing, whoever dies,
stops, wakes up late, or is cut off at the worst moment."""
import binascii
import json
import os
import random
import signal
import socket
import threading
import time

import pytest

from divided import (TEAM, check_all, emitted, fleet, holder,  # noqa: F401
                     lengths, make_known, names, owner, owners, pending, put,
                     redis_,
                     store, wait_emitted, wait_shared, wait_shared_after_first)
from harness import (alive, channel_key, eventually, exec_handler, holds,
                     process_state)
from harness import run as run_verb
from proxy import Proxy


@pytest.fixture
def proxy(run, redis_):
    return run.add(Proxy(redis_.path))


def stopped(site):
    """(index, pid) of the worker that is stopped."""
    return next(((i, p) for i, p in site.children("worker").items()
                 if process_state(p) == "T"), None)


# --- stopped, and back -------------------------------------------------------

@pytest.mark.deadline(90)
def test_worker_that_stops_between_handler_and_commit_is_fenced(redis_, store,
                                                                fleet):
    """Its handler is done when the process is stopped.  Another owns the
    message when it wakes up: it can neither acknowledge nor emit."""
    channels = names(20)
    make_known(store, channels)
    put(store, channels, range(10))
    site = fleet(redis_, 2, "--lease", "1s")
    wait_emitted(store, channels, 10)
    wait_shared(store, channels, 2)
    entry, = put(store, channels[:1], [10], do="stop", ms=3000)
    index, pid = eventually(lambda: stopped(site))
    sleeper = holder(store, channels[0], entry)
    assert sleeper[1] == 1 and f":{index}." in sleeper[0]
    put(store, channels[1:], [10])
    put(store, channels, range(11, 15))
    second = eventually(
        lambda: (lambda h: h if h and h[1] == 2 else None)(
            holder(store, channels[0], entry)), 20, "it is not taken over")
    assert second[0] != sleeper[0]
    os.kill(pid, signal.SIGCONT)
    # The other one is still at it.
    holds(lambda: holder(store, channels[0], entry) == second, 1,
          "the one that was stopped has touched it")
    assert emitted(store, channels[0]) == list(range(10))
    wait_emitted(store, channels, 15)
    check_all(store, channels, range(15))
    wait_shared(store, channels, 2)
    put(store, channels, range(15, 20))
    wait_emitted(store, channels, 20)
    check_all(store, channels, range(20))
    assert site.stop() == 0


@pytest.mark.deadline(90)
@pytest.mark.parametrize("count", [1, 2])
def test_workers_stopped_past_their_lease_and_back(redis_, store, fleet, count):
    """In the middle of work; of 2 also both at once."""
    channels = names(50)
    make_known(store, channels)
    site = fleet(redis_, 2, "--lease", "1s", us=500)
    wait_shared_after_first(store, channels)
    put(store, channels, range(1, 100))
    eventually(lambda: sum(lengths(store, channels)) > 500)
    pids = [site.kill_child("worker", i, signal.SIGSTOP) for i in range(count)]
    assert sum(lengths(store, channels)) < 100 * len(channels)
    if count == 1:
        # The other one does it all.
        wait_emitted(store, channels, 100)
    else:
        time.sleep(2.5)     # the fault itself: two leases and a half
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    put(store, channels, range(100, 120))
    wait_emitted(store, channels, 120)
    check_all(store, channels, range(120))
    wait_shared(store, channels, 2)
    assert all(alive(p) for p in pids)
    assert site.stop() == 0


@pytest.mark.deadline(90)
def test_read_that_comes_after_the_lease_reads_nothing(run, redis_, store, proxy,
                                                       fleet):
    """A worker looks at its lease, finds it good, and asks for what is new;
    the request arrives when the channel is another's, who has been told of
    the same message and has not read it yet."""
    channels = names(20)
    make_known(store, channels)
    fleet(proxy.uri, 1, "--lease", "1s", "--node", "late")
    fleet(redis_, 1, "--lease", "1s", "--node", "early")
    shared = wait_shared_after_first(store, channels)
    mine = [c for c, who in shared.items() if who == ("late", 0)]
    proxy.hold("requests")
    # Told by the bell, it asks; the request stays with the proxy.
    put(store, mine, [1])
    eventually(lambda: all(owner(store, c) == ("early", 0) for c in mine), 20,
               "the channels are not taken over")
    wait_emitted(store, mine, 2)
    # What is new lies before Redis when the late requests come, and nobody
    # has been told of it.
    writer = socket.socket(socket.AF_UNIX)
    writer.connect(str(redis_.path))
    run.add(writer)
    redis_.freeze()
    writer.sendall(b"".join(
        b"XADD %s * json '{\"n\":2}'\r\n" % channel_key(c).encode()
        for c in mine))
    proxy.release()
    time.sleep(0.2)     # they reach the socket of Redis, which is stopped
    redis_.resume()
    put(store, [c for c in channels if c not in mine], [1, 2])
    put(store, channels, range(3, 20))
    wait_emitted(store, channels, 20)
    check_all(store, channels, range(20))
    wait_shared(store, channels, 2)


@pytest.mark.deadline(90)
def test_worker_that_was_cut_off_past_its_lease(redis_, store, proxy, fleet):
    """Both ways, then all that was on its way arrives, too late."""
    channels = names(20)
    make_known(store, channels)
    fleet(proxy.uri, 1, "--lease", "1s", "--node", "cut", us=2000)
    fleet(redis_, 1, "--lease", "1s", "--node", "whole")
    shared = wait_shared_after_first(store, channels)
    mine = [c for c, who in shared.items() if who == ("cut", 0)]
    put(store, channels, range(1, 50))
    eventually(lambda: sum(lengths(store, mine)) > 2 * len(mine))
    proxy.hold("requests", "replies")
    wait_emitted(store, channels, 50)
    proxy.release()
    put(store, channels, range(50, 60))
    wait_emitted(store, channels, 60)
    check_all(store, channels, range(60))
    wait_shared(store, channels, 2)


# --- Redis stops, links break ------------------------------------------------

@pytest.mark.deadline(90)
def test_redis_pauses_past_the_lease(redis_, store, fleet):
    """All leases have run out when it comes back, and nobody has died."""
    channels = names(50)
    make_known(store, channels)
    site = fleet(redis_, 3, "--lease", "1s", us=500)
    wait_shared_after_first(store, channels, 3)
    put(store, channels, range(1, 100))
    eventually(lambda: sum(lengths(store, channels)) > 500)
    redis_.freeze()
    time.sleep(3)       # the fault itself: three leases
    redis_.resume()
    put(store, channels, range(100, 120))
    wait_emitted(store, channels, 120)
    check_all(store, channels, range(120))
    wait_shared(store, channels, 3)
    assert not site.log.find("child.exit", role="worker")
    assert site.stop() == 0


@pytest.mark.deadline(60)
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_link_breaks_while_the_reply_of_a_read_is_on_its_way(
        redis_, store, proxy, fleet, consume):
    """Redis has given the messages to the worker, which never sees them."""
    channels = names(1)
    make_known(store, channels)
    fleet(proxy.uri, 1, "--lease", "2s", consume=consume)
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    gone = proxy.trap("replies", b'"a mark"', hold="replies")
    put(store, channels, range(1, 10), note="a mark")
    assert gone.wait(10), "the worker has not read"
    eventually(lambda: pending(store, channels) > 0)
    proxy.cut()
    put(store, channels, range(10, 15))
    wait_emitted(store, channels, 15, 20)
    check_all(store, channels, range(15), consume == "c:*")


@pytest.mark.deadline(60)
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_link_breaks_while_the_reply_of_a_commit_is_on_its_way(
        redis_, store, proxy, fleet, consume):
    """Redis has done what it says, and the worker does not know."""
    channels = names(1)
    make_known(store, channels)
    fleet(proxy.uri, 1, "--lease", "2s", consume=consume)
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    gone = proxy.trap("requests", b'{"n":4242}', hold="replies")
    put(store, channels, [4242])
    assert gone.wait(10), "the worker has not committed"
    wait_emitted(store, channels, 2)
    proxy.cut()
    put(store, channels, range(4243, 4250))
    wait_emitted(store, channels, 9, 20)
    check_all(store, channels, [0, *range(4242, 4250)], consume == "c:*")


@pytest.mark.deadline(90)
def test_links_that_break_all_the_time(redis_, store, proxy, fleet):
    channels = names(50)
    make_known(store, channels)
    fleet(proxy.uri, 2, "--lease", "2s", us=500)
    fleet(redis_, 1, "--lease", "2s", us=500)
    wait_shared_after_first(store, channels, 3)
    for i in range(8):
        put(store, channels, range(1 + i * 20, 21 + i * 20))
        before = sum(lengths(store, channels))
        eventually(lambda: sum(lengths(store, channels)) > before + 20)
        proxy.cut()
    wait_emitted(store, channels, 161)
    check_all(store, channels, range(161))


# --- quiet -------------------------------------------------------------------

def slot_of(channel):
    return binascii.crc_hqx(channel.encode(), 0) % 256


@pytest.mark.deadline(90)
def test_it_is_not_always_the_same_channels_that_wait_for_all_others(
        redis_, store, fleet):
    """Who is served last after a take-over is also handed over first.  In a
    team that changes all the time it must not be the same ones each time."""
    channels = sorted({slot_of(c): c for c in names(4000)}.values(),
                      key=slot_of)
    make_known(store, channels)
    site = fleet(redis_, 2, "--lease", "1s")
    wait_shared_after_first(store, channels)
    places = []     # of the first served, among those that were taken over
    for n in range(1, 9):
        taken = [c for c, (_, index) in owners(store, channels).items()
                 if index == 1]
        pid = site.kill_child("worker", 1, signal.SIGSTOP)
        put(store, channels, [n])
        wait_emitted(store, channels, n + 1)
        os.kill(pid, signal.SIGCONT)
        served = {c: store.xrevrange(channel_key(f"out:{c}"), count=1)[0][0]
                  for c in taken}
        first = min(taken, key=lambda c: [int(x) for x in
                                          served[c].split(b"-")])
        places.append(taken.index(first) / len(taken))
        wait_shared(store, channels, 2)
    assert max(places) > 0.25, places
    assert site.stop() == 0


@pytest.mark.deadline(90)
def test_a_quiet_worker_gives_its_channels_away(redis_, store, fleet):
    """It finishes what it has in hand, stays in the team, and others have all
    channels; where nobody else is there, the next one has."""
    channels = names(20)
    make_known(store, channels)
    site = fleet(redis_, 2)
    owned = wait_shared_after_first(store, channels)
    quiet = site.kill_child("worker", 0, 0)
    name = next(c for c in channels if owned[c][1] == 0)
    entry, = put(store, [name], [1], do="slow", ms=3000)
    before = eventually(lambda: holder(store, name, entry))
    os.kill(quiet, signal.SIGTSTP)
    put(store, [c for c in channels if c != name], [1])
    put(store, channels, range(2, 5))
    wait_emitted(store, channels, 5)
    check_all(store, channels, range(5))
    assert before[1] == 1
    assert {o[1] for o in owners(store, channels).values()} == {1}
    # It is still there, and is the only one now.
    other = site.child("worker", 1)
    members = [m for m in store.zrange(f"rd:team:{TEAM}", 0, -1)
               if not m.startswith(b"=")]
    assert len(members) == 2 and alive(quiet)
    os.kill(other, signal.SIGTSTP)
    site.log.wait("worker.quiet", speaker=other)
    report = next(k for k in store.scan_iter("rd:node:*.worker.1"))
    eventually(lambda: store.hget(report, "slots") == b"0")
    put(store, channels, [5])
    os.kill(quiet, signal.SIGTERM)
    site.wait_child("worker", 0, other_than=quiet)
    wait_emitted(store, channels, 6)
    check_all(store, channels, range(6))
    assert site.stop() == 0


# --- deaths ------------------------------------------------------------------

@pytest.mark.deadline(120)
def test_exec_handler_keeps_order_while_workers_die(run, redis_, store):
    """The same in any language: each message is emitted with its channel."""
    channels = names(50)
    make_known(store, channels)
    site = run.daemon("--team", TEAM, "--consume", "c:*", "--handler",
                      exec_handler("number", "out"), redis=redis_, gateways=0,
                      workers=3)
    chance = random.Random(11)
    for i in range(5):
        put(store, channels, range(i * 40, i * 40 + 40))
        before = store.xlen(channel_key("out"))
        eventually(lambda: store.xlen(channel_key("out")) > before + 100, 30)
        site.kill_child("worker", chance.randrange(3))
    total = 200 * len(channels)
    eventually(lambda: store.xlen(channel_key("out")) >= total, 60,
               interval=0.1)
    eventually(lambda: pending(store, channels) == 0)
    seen = {name: [] for name in channels}
    for _, fields in store.xrange(channel_key("out")):
        message = json.loads(fields[b"json"])
        seen[message["channel"]].append(message["n"])
    for name in channels:
        assert seen[name] == list(range(200)), name


class Killer(threading.Thread):
    """kill -9 of some worker, once a second, until told to stop."""

    def __init__(self, site):
        super().__init__(daemon=True)
        self.site, self.over, self.kills = site, threading.Event(), 0
        self.chance = random.Random(3)
        self.start()

    def run(self):
        while not self.over.wait(1):
            workers = sorted(self.site.children("worker").values())
            if workers:
                os.kill(self.chance.choice(workers), signal.SIGKILL)
                self.kills += 1

    def stop(self):
        self.over.set()
        self.join()


def scale(server, site, to):
    status, out, err = run_verb("scale", to, "--team", TEAM, "--wait", "0",
                                env={"REDISTRIBUTE_TARGETS": server.uri})
    assert status == 0, out + err
    site.wait_event("scale", role="worker", to=to)


@pytest.mark.deadline(240)
def test_hundred_thousand_messages_while_workers_die_and_the_team_is_scaled(
        redis_, store, fleet):
    """1,000 channels; a worker is killed every second, and the team goes from
    1 to 8 to 3 meanwhile: each emitted exactly once, in order."""
    channels = names(1000)
    make_known(store, channels)
    site = fleet(redis_, 1, us=50)
    killer = Killer(site)
    begin = time.monotonic()
    for first in range(0, 100, 5):
        if first == 20:
            scale(redis_, site, 8)
        elif first == 60:
            scale(redis_, site, 3)
        put(store, channels, range(first, first + 5))
        # A pace of some 10,000 a second: there is work for ten deaths.
        time.sleep(max(0, begin + first * 0.1 - time.monotonic()))
    killer.stop()
    wait_emitted(store, channels, 100, 90)
    check_all(store, channels, range(100))
    assert killer.kills >= 8
    wait_shared(store, channels, 3)
    assert site.stop() == 0


@pytest.mark.deadline(120)
@pytest.mark.parametrize("do,reason", [("crash", b"crashes"),
                                       ("hang", b"attempts")],
                         ids=["crash", "hang"])
@pytest.mark.parametrize("consume", ["c:*", "c:0"], ids=["divided", "named"])
def test_poison_message_among_ten_thousand(redis_, store, fleet, consume, do,
                                           reason):
    """It ends its worker whenever it is run.  Nothing else is buried with it,
    and nothing is emitted twice or not at all."""
    channels = names(100 if consume == "c:*" else 1)
    make_known(store, channels)
    total = 10000 // len(channels)
    middle = total // 2
    put(store, channels, range(middle))
    poison, = put(store, channels[:1], [middle], do=do)
    put(store, channels[1:], [middle])
    put(store, channels, range(middle + 1, total))
    site = fleet(redis_, 2, "--max-crashes", "2", "--max-attempts", "3",
                 "--handler-timeout", "500ms", "--retry-delay", "20ms",
                 consume=consume)
    wait_emitted(store, channels[:1], total - 1, 60)
    wait_emitted(store, channels[1:], total)
    eventually(lambda: pending(store, channels) == 0, 60)
    (_, letter), = store.xrange(f"rd:dead:{TEAM}")
    assert letter[b"reason"] == reason
    assert letter[b"id"].decode() == poison
    assert letter[b"channel"].decode() == channels[0]
    assert json.loads(letter[b"json"]) == {"n": middle, "do": do}
    want = [n for n in range(total) if n != middle]
    if consume == "c:*":
        assert emitted(store, channels[0]) == want
    else:
        assert sorted(emitted(store, channels[0])) == want
    for name in channels[1:]:
        assert emitted(store, name) == list(range(total))
    # 2 that count, and those before which it was not known.
    assert 2 <= len(site.log.find("child.exit", role="worker")) <= 5
    assert site.stop() == 0
