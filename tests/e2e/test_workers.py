# SPDX-License-Identifier: MIT
"""Teams: every message of a channel is handled by somebody, whoever dies; what
handlers emit appears exactly once."""
import json
import os
import random
import signal
import threading
import time
from collections import Counter

import pytest

from harness import (PROGRAMS, alive, channel_key, eventually, exec_handler,
                     holds, xadd)
from harness import run as run_verb
from peer import Client


def pending(store, channel, team):
    return store.xpending(channel_key(channel), team)["pending"]


def lag_is_none(store, channel, team):
    """Everything was read and is acknowledged."""
    key = channel_key(channel)
    last = store.xinfo_stream(key)["last-generated-id"]
    group, = [g for g in store.xinfo_groups(key)
              if g["name"] == team.encode()] or [{}]
    return group.get("last-delivered-id") == last and group["pending"] == 0


def numbers(store, channel):
    return [json.loads(f[b"json"])["n"]
            for _, f in store.xrange(channel_key(channel))]


def put(store, channel, orders):
    """Publishes {"n": n, ...} for each (n, order)."""
    pipe = store.pipeline(transaction=False)
    for n, order in orders:
        pipe.xadd(channel_key(channel), {"json": json.dumps({"n": n, **order})})
    return [i.decode() for i in pipe.execute()]


def plain(first, last):
    return [(n, {}) for n in range(first, last)]


def dead_letters(store, team):
    return [f for _, f in store.xrange(f"rd:dead:{team}")]


class Notes:
    """What handlers have started, from the file that obey writes."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def lines(self):
        return [tuple(map(int, line.split()))
                for line in self.path.read_text().splitlines()]

    def counts(self):
        return Counter(n for n, _, _ in self.lines())

    def pids(self):
        return {pid for _, _, pid in self.lines()}


@pytest.fixture
def notes(tmp_path):
    return Notes(tmp_path / "notes")


@pytest.fixture
def team(run, server, channel, notes):
    """Starts workers that obey: team(redis, workers, flags...).  The team is a
    new one, without a history in the Redis that tests share."""
    run.add(server.client()).delete("rd:team:t")

    def start(redis, workers=1, *flags, out="out", **more):
        return run.daemon("--team", "t", "--consume", channel, "--handler",
                          exec_handler("obey", f"{channel}-{out}", notes.path),
                          *flags, redis=redis, workers=workers, **more)
    return start


def wait_done(store, channel, team="t", deadline=30):
    eventually(lambda: lag_is_none(store, channel, team), deadline,
               f"{channel} is not finished")


# --- the seed's statistic worker ---------------------------------------------

def last_totals(client, channel, messages, timeout=20):
    """Waits for that count of messages; (totals, all TOTALS messages)."""
    box = client.inbox.setdefault(channel, [])
    client.until(lambda: box and box[-1][2]["messages"] >= messages,
                 "not all were counted", timeout)
    totals = {}
    for _, type_, data in box:
        assert type_ == "TOTALS"
        for field, values in data["totals"].items():
            for value, n in values.items():
                assert n > totals.get((field, value), 0), "a total went down"
                totals[field, value] = n
    return totals, box


def test_statistic_of_messages_from_everywhere(run, server, channel):
    """{agent, ip} by redis-cli, by another Redis client, by the publish verb
    and by a WebSocket client, shared by a team of 2."""
    to = f"{channel}-totals"
    site = run.daemon("--team", "statistics", "--consume", channel,
                      "--handler", f"statistic:fields=agent+ip,to={to}",
                      redis=server, workers=2)
    store = server.client()
    client = run.client(site)
    client.ok("subscribe", channel=to)
    want = Counter()

    def visit(i):
        agent, ip = f"agent {i % 7}", f"10.0.0.{i % 13}"
        want["agent", agent] += 1
        want["ip", ip] += 1
        return agent, ip

    for i in range(40):
        agent, ip = visit(i)
        server.cli("XADD", channel_key(channel), "*", "agent", agent, "ip", ip)
    for i in range(200):
        agent, ip = visit(i)
        xadd(store, channel, {"agent": agent, "ip": ip})
    for i in range(200):
        agent, ip = visit(i)
        xadd(store, channel, json=json.dumps({"agent": agent, "ip": ip}))
    for i in range(3):
        agent, ip = visit(i)
        status, out, err = run_verb(
            "publish", channel, json.dumps({"agent": agent, "ip": ip}),
            env={"REDISTRIBUTE_TARGETS": server.uri})
        assert status == 0, err
    for i in range(100):
        agent, ip = visit(i)
        client.ok("publish", channel=channel, type="VISIT",
                  data={"agent": agent, "ip": ip})
    other = run.client(site, "msgpack")
    for i in range(100):
        agent, ip = visit(i)
        other.ok("publish", channel=channel, data={"agent": agent, "ip": ip})
    total = 40 + 200 + 200 + 3 + 100 + 100
    totals, box = last_totals(client, to, total)
    assert totals == dict(want)
    assert box[-1][2]["messages"] == total
    assert box[-1][2]["channel"] == channel
    wait_done(store, channel, "statistics")


def test_message_that_is_no_visit_does_not_stop_the_statistic(run, server, channel):
    to = f"{channel}-totals"
    site = run.daemon("--team", "statistics", "--consume", channel,
                      "--handler", f"statistic:fields=agent,to={to}",
                      redis=server, workers=1)
    store = server.client()
    for fields in ({"json": "[1,2]"}, {"text": "x"}, {"bin": b"\0"},
                   {"msgpack": b"\xc1"}, {"other": "x"}, {"json": '{"agent":5}'},
                   {"agent": b"\xff\xfe"}, {"agent": ""}, {"agent": "x" * 5000}):
        xadd(store, channel, fields)
    xadd(store, channel, {"agent": "the last"})
    client = run.client(site)
    client.ok("subscribe", channel=to, offset="0")
    box = client.inbox.setdefault(to, [])
    client.until(lambda: box and any(
        m[2]["totals"].get("agent", {}).get("the last") == 1 for m in box))
    wait_done(store, channel, "statistics")
    assert dead_letters(store, "statistics") == []


# --- sharing -----------------------------------------------------------------

def test_team_of_two_shares_each_handled_once(run, server, channel, notes, team):
    site = team(server, 2)
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 0.002})
                         for n in range(400)])
    wait_done(store, channel)
    assert notes.counts() == Counter(range(400))
    assert len(notes.pids()) == 2
    assert sorted(numbers(store, f"{channel}-out")) == list(range(400))
    assert all(deliveries == 1 for _, deliveries, _ in notes.lines())
    assert site.stop() == 0


def test_two_teams_each_see_all(run, server, channel, notes, tmp_path, team):
    team(server, 2)
    others = Notes(tmp_path / "others")
    run.daemon("--team", "others", "--consume", channel, "--handler",
               exec_handler("obey", f"{channel}-o", others.path),
               redis=server, workers=1)
    store = server.client()
    put(store, channel, plain(0, 100))
    wait_done(store, channel)
    wait_done(store, channel, "others")
    assert notes.counts() == others.counts() == Counter(range(100))


def test_two_supervisors_make_one_team(run, server, channel, notes, team):
    a, b = team(server, 1), team(server, 1)
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 0.005})
                         for n in range(200)])
    wait_done(store, channel)
    assert notes.counts() == Counter(range(200))
    assert len(notes.pids()) == 2
    assert a.stop() == 0
    put(store, channel, plain(200, 210))
    wait_done(store, channel)
    assert notes.counts() == Counter(range(210))
    assert b.stop() == 0


def test_what_was_published_before_the_team_and_without_it_is_handled(
        server, channel, notes, team):
    """Groups start at 0, and a stop destroys nothing: the seed lost both."""
    store = server.client()
    put(store, channel, plain(0, 20))
    first = team(server, 1, gateways=0)
    wait_done(store, channel)
    assert first.stop() == 0
    put(store, channel, plain(20, 40))
    team(server, 1, gateways=0)
    wait_done(store, channel)
    assert notes.counts() == Counter(range(40))


def test_one_team_on_several_channels(run, server, channel, notes):
    names = [f"{channel}-{i}" for i in range(5)]
    run.daemon("--team", "t", *[w for n in names for w in ("--consume", n)],
               "--handler", exec_handler("obey", f"{channel}-out", notes.path),
               redis=server, workers=2)
    store = server.client()
    for i, n in enumerate(names):
        put(store, n, plain(i * 100, i * 100 + 50))
    for n in names:
        wait_done(store, n)
    assert sorted(numbers(store, f"{channel}-out")) == [
        i * 100 + j for i in range(5) for j in range(50)]


def test_trimming_never_eats_unfinished_work(run, server, channel, notes, team):
    """The seed delivered 200 of 3,000 to a slow team."""
    site = team(server, 1, "--maxlen", "50")
    store = server.client()
    client = run.client(site)
    put(store, channel, [(0, {"do": "slow", "seconds": 1.5})])
    for n in range(1, 1500):
        client.ask("publish", channel=channel, data={"n": n})
    client.until(lambda: len(client.replies) == 1499)
    wait_done(store, channel)
    assert notes.counts() == Counter(range(1500))

    # What is finished is trimmed, by those who publish.
    def publish():
        for _ in range(100):
            client.ask("publish", channel=f"{channel}-out", data={"n": -1})
        client.until(lambda: all(i in client.replies for i in
                                 range(1, client.last_id + 1)))
        return store.xlen(channel_key(f"{channel}-out")) <= 400
    eventually(publish, what="what is above maxlen stays for ever")


# --- death -------------------------------------------------------------------

def kill_in_the_middle(site, store, channel, done_before, sent, chance):
    """Kills a worker while work is under way."""
    out = channel_key(f"{channel}-out")
    eventually(lambda: store.xlen(out) > done_before, 30, "no progress")
    busy = store.xlen(out) < sent
    workers = site.children("worker")
    if not workers:
        workers = {0: site.child("worker")}
    os.kill(chance.choice(sorted(workers.values())), signal.SIGKILL)
    return busy


@pytest.mark.deadline(150)
def test_twenty_thousand_messages_and_ten_deaths(run, server, channel, notes, team):
    site = team(server, 4)
    store = server.client()
    chance = random.Random(7)
    total, busy = 20000, 0
    for i in range(10):
        before = store.xlen(channel_key(f"{channel}-out"))
        put(store, channel, plain(i * 2000, i * 2000 + 2000))
        busy += kill_in_the_middle(site, store, channel, before + 100,
                                   (i + 1) * 2000, chance)
    assert busy >= 5, "the kills came when nothing was to do"
    wait_done(store, channel, deadline=60)
    # Each at least once, what was emitted exactly once, nothing pending.
    assert set(notes.counts()) == set(range(total))
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(total))
    assert pending(store, channel, "t") == 0
    assert dead_letters(store, "t") == []
    exits = site.log.find("child.exit", role="worker")
    assert sum(e.get("signal") == "SIGKILL" for e in exits) == 10
    assert site.stop() == 0


@pytest.mark.deadline(120)
def test_statistic_is_exact_although_workers_are_killed(run, server, channel):
    to = f"{channel}-out"
    site = run.daemon("--team", "t", "--consume", channel, "--handler",
                      f"statistic:fields=agent,to={to}",
                      redis=server, workers=4)
    store = server.client()
    for i in range(10):
        pipe = store.pipeline(transaction=False)
        for n in range(2000):
            pipe.xadd(channel_key(channel), {"agent": f"a{n % 10}"})
        pipe.execute()
        os.kill(random.choice(sorted(eventually(
            lambda: site.children("worker")).values())), signal.SIGKILL)
    wait_done(store, channel, deadline=60)
    client = run.client(site)
    client.ok("subscribe", channel=to, offset="0")
    totals, _ = last_totals(client, to, 20000)
    assert totals == {("agent", f"a{i}"): 2000 for i in range(10)}


class Producer(threading.Thread):
    """Publishes {"n": n} through a gateway, for ever; notes what was answered."""

    def __init__(self, port, channel, total):
        super().__init__(daemon=True)
        self.port, self.channel, self.total = port, channel, total
        self.stored = {}        # n: offset
        self.failed = {}        # n: code
        self.problem = None
        self.start()

    def run(self):
        try:
            self.publish_all()
        except Exception as e:
            self.problem = e

    def publish_all(self):
        client = Client(self.port)
        for first in range(0, self.total, 50):
            batch = {client.ask("publish", channel=self.channel, data={"n": n}): n
                     for n in range(first, first + 50)}
            client.until(lambda b=batch: all(i in client.replies for i in b),
                         "publishes were not answered", 30)
            for i, n in batch.items():
                answer = client.replies.pop(i)
                if "ok" in answer:
                    self.stored[n] = answer["ok"]["offset"]
                else:
                    self.failed[n] = answer["error"]["code"]
            if self.failed and "unavailable" in self.failed.values():
                time.sleep(0.02)    # a pace, not a wait: Redis is away
        client.kill()

    def finish(self, deadline=60):
        self.join(deadline)
        assert not self.is_alive() and self.problem is None, self.problem


@pytest.mark.deadline(150)
def test_embedded_redis_dies_and_nothing_that_was_answered_is_lost(
        channel, notes, team):
    site = team(None, 4)
    producer = Producer(site.port, channel, 20000)
    eventually(lambda: len(producer.stored) > 4000, 30)
    old = site.kill_child("redis")
    new = site.wait_child("redis", other_than=old)
    assert new != old
    # While it goes on, the workers die as well.
    for i in range(4):
        before = len(producer.stored)
        eventually(lambda: len(producer.stored) > before or
                   not producer.is_alive(), 30)
        site.kill_child("worker", i)
    producer.finish()
    store = site.embedded()
    assert len(producer.stored) > 10000
    assert set(producer.failed.values()) <= {"unavailable", "unknown"}
    wait_done(store, channel, deadline=60)
    kept = {i.decode(): json.loads(f[b"json"])["n"]
            for i, f in store.xrange(channel_key(channel))}
    for n, offset in producer.stored.items():
        assert kept.get(offset) == n, f"message {n} was answered and is lost"
    assert set(notes.counts()) >= set(kept.values())
    assert Counter(numbers(store, f"{channel}-out")) == Counter(kept.values())
    assert pending(store, channel, "t") == 0
    # Nothing that was refused as "nothing was stored" is there.
    refused = {n for n, c in producer.failed.items() if c == "unavailable"}
    assert not refused & set(kept.values())
    store.close()
    assert site.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGABRT])
def test_messages_of_a_dead_worker_are_taken_over_at_once(
        server, channel, notes, team, how):
    """The supervisor reports the death: nobody waits for the lease (60 s)."""
    site = team(server, 2, "--lease", "60s")
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 0.2}) for n in range(6)])
    eventually(lambda: len(notes.lines()) >= 2)
    begin = time.monotonic()
    site.kill_child("worker", 0, how)
    wait_done(store, channel, deadline=20)
    assert time.monotonic() - begin < 10
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(6))


def test_only_worker_dies_and_its_successor_takes_over(server, channel, notes,
                                                       team):
    site = team(server, 1, "--lease", "60s")
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 0.1}) for n in range(10)])
    eventually(lambda: len(notes.lines()) >= 2)
    site.kill_child("worker", 0)
    wait_done(store, channel, deadline=20)
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(10))


def test_reported_death_counts_also_when_the_team_was_away(server, channel, notes,
                                                          team):
    """Nobody beat for long (a deployment, Redis away), so nobody is taken over
    by mere silence for one lease.  A death that was seen is another matter."""
    store = server.client()
    now = int(time.time() * 1000)
    store.zadd("rd:team:t", {"=beat": now - 600000, "=since": now - 900000})
    site = team(server, 2, "--lease", "60s")
    put(store, channel, [(n, {"do": "slow", "seconds": 0.2}) for n in range(6)])
    eventually(lambda: len(notes.lines()) >= 2)
    begin = time.monotonic()
    site.kill_child("worker", 0)
    wait_done(store, channel, deadline=20)
    assert time.monotonic() - begin < 10


def test_handler_process_dies_with_its_worker(server, channel, notes, team):
    """Also one that hangs: who was given up must not go on working."""
    site = team(server, 1)
    put(server.client(), channel, [(0, {"do": "hang"})])
    eventually(notes.lines)
    (handler,) = notes.pids()
    site.kill_child("worker")
    eventually(lambda: not alive(handler), 5, "its handler lives on")


def test_other_machine_takes_over_after_the_lease(run, server, channel, notes,
                                                  team):
    """A whole supervisor dies, nobody reports."""
    a = team(server, 1, "--lease", "1s")
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 0.1}) for n in range(20)])
    eventually(lambda: len(notes.lines()) >= 2)
    b = team(server, 1, "--lease", "1s")
    b.child("worker")
    a.send(signal.SIGKILL)
    a.wait()
    eventually(lambda: not a.left(), what="left behind by a killed supervisor")
    wait_done(store, channel, deadline=20)
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(20))


def test_stopped_worker_that_comes_back_late_emits_nothing(server, channel, notes,
                                                           team):
    """SIGSTOP past the lease: its messages are rescued; when it wakes up with
    the answers of its handler in the pipe, none of them counts."""
    site = team(server, 2, "--lease", "1s")
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 0.01})
                         for n in range(300)])
    eventually(lambda: len(notes.lines()) >= 20)
    sleeper = site.kill_child("worker", 0, signal.SIGSTOP)
    # All of them, so also those that the sleeper holds.
    wait_done(store, channel, deadline=30)
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(300))
    assert max(notes.counts().values()) >= 2, "the sleeper held nothing"
    os.kill(sleeper, signal.SIGCONT)
    put(store, channel, plain(300, 400))
    wait_done(store, channel)
    holds(lambda: pending(store, channel, "t") == 0, 1)
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(400))
    assert len(site.children("worker")) == 2
    assert site.stop() == 0


def test_busy_worker_keeps_what_it_holds(server, channel, notes, team):
    """A handler that takes longer than the lease is not robbed."""
    team(server, 2, "--lease", "1s")
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 3}) for n in range(2)])
    wait_done(store, channel, deadline=20)
    assert notes.counts() == Counter(range(2))


def test_stop_loses_nothing_and_doubles_nothing(server, channel, notes, team):
    store = server.client()
    put(store, channel, [(n, {"do": "slow", "seconds": 0.005})
                         for n in range(600)])
    for i in range(4):
        site = team(server, 2)
        seen = len(notes.lines())
        eventually(lambda: len(notes.lines()) >= min(600, seen + 50))
        assert site.stop() == 0
        # What was begun is done; what was not is free for others.
        assert len(numbers(store, f"{channel}-out")) == len(notes.lines())
        del i
    team(server, 2)
    wait_done(store, channel)
    assert notes.counts() == Counter(range(600))
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(600))


def test_stop_waits_for_the_handler_but_not_for_ever(server, channel, notes, team):
    site = team(server, 1, "--drain-timeout", "1s")
    store = server.client()
    put(store, channel, [(0, {"do": "hang"})])
    eventually(notes.lines)
    begin = time.monotonic()
    assert site.stop() == 0
    assert time.monotonic() - begin < 8
    assert pending(store, channel, "t") == 1


# --- handlers that fail ------------------------------------------------------

QUICK = ("--retry-delay", "20ms", "--retry-limit", "100ms", "--max-attempts", "3")


@pytest.mark.parametrize("order,times", [
    ({"do": "retry", "ms": 10}, 2), ({"do": "crash"}, 1), ({"do": "exit"}, 1),
    ({"do": "exit", "status": 3}, 1), ({"do": "garbage"}, 1),
    ({"do": "wrong"}, 1), ({"do": "hang"}, 1), ({"do": "silent"}, 1),
    ({"do": "both"}, 1), ({"do": "bad emit"}, 1)],
    ids=lambda v: v.get("do") if isinstance(v, dict) else str(v))
def test_failing_handler_is_tried_again_and_others_go_on(
        server, channel, notes, team, order, times):
    """One bad message among good ones, bad only at first."""
    team(server, 1, "--handler-timeout", "700ms", *QUICK)
    store = server.client()
    put(store, channel, plain(0, 10) + [(10, {**order, "times": times})] +
        plain(11, 20))
    wait_done(store, channel, deadline=30)
    assert Counter(numbers(store, f"{channel}-out")) == Counter(range(20))
    assert notes.counts()[10] >= times + 1
    assert dead_letters(store, "t") == []


@pytest.mark.parametrize("order", [
    {"do": "retry", "ms": 10}, {"do": "crash"}, {"do": "garbage"},
    {"do": "hang"}], ids=lambda o: o["do"])
def test_message_that_always_fails_becomes_a_dead_letter(
        run, server, channel, notes, order):
    team = f"dead-{order['do']}"
    site = run.daemon("--team", team, "--consume", channel, "--handler",
                      exec_handler("obey", f"{channel}-out", notes.path),
                      "--handler-timeout", "300ms", *QUICK,
                      redis=server, workers=1)
    store = server.client()
    ids = put(store, channel, plain(0, 5) + [(5, order)] + plain(6, 10))
    wait_done(store, channel, team, deadline=30)
    letter, = eventually(lambda: dead_letters(store, team))
    assert json.loads(letter[b"json"]) == {"n": 5, **order}
    assert letter[b"channel"].decode() == channel
    assert letter[b"id"].decode() == ids[5]
    assert int(letter[b"deliveries"]) >= 3
    assert letter[b"reason"] and letter[b"worker"] and int(letter[b"time"]) > 0
    # What innocent ones did is there once, and the team goes on.
    put(store, channel, plain(10, 15))
    wait_done(store, channel, team)
    assert Counter(numbers(store, f"{channel}-out")) == Counter(
        n for n in range(15) if n != 5)
    assert dead_letters(store, team) == [letter]
    assert site.stop() == 0


def test_handler_buries_with_its_reason_at_once(server, channel, notes, team):
    team(server, 1)
    store = server.client()
    put(store, channel, [(0, {"do": "dead", "why": "no such öwner"})] +
        plain(1, 3))
    wait_done(store, channel)
    letter, = dead_letters(store, "t")[-1:]
    assert letter[b"reason"].decode() == "no such öwner"
    assert notes.counts()[0] == 1
    assert numbers(store, f"{channel}-out") == [1, 2]


def test_retry_waits_and_lets_others_pass(server, channel, notes, team):
    team(server, 1)
    store = server.client()
    begin = time.monotonic()
    put(store, channel, [(0, {"do": "retry", "ms": 1500, "times": 1})] +
        plain(1, 50))
    eventually(lambda: len(numbers(store, f"{channel}-out")) == 49, 5)
    assert time.monotonic() - begin < 1.4
    wait_done(store, channel)
    assert 1.4 < time.monotonic() - begin < 6
    assert numbers(store, f"{channel}-out")[-1] == 0


def test_retries_survive_the_worker(server, channel, notes, team):
    site = team(server, 1)
    store = server.client()
    put(store, channel, [(0, {"do": "retry", "ms": 1000, "times": 1})])
    eventually(notes.lines)
    site.kill_child("worker")
    wait_done(store, channel, deadline=20)
    assert numbers(store, f"{channel}-out") == [0]


def test_words_of_a_handler_reach_the_log(server, channel, notes, team):
    site = team(server, 1)
    put(server.client(), channel, [(77, {"loud": True})])
    eventually(lambda: "handled 77" in site.transcript())


def test_handler_that_cannot_be_started_is_said(run, server, channel):
    """Not a loop of restarts without a word."""
    site = run.daemon("--team", "t", "--consume", channel, "--handler",
                      "exec:/does/not/exist", redis=server, workers=1,
                      wait=False)
    eventually(lambda: "/does/not/exist" in site.transcript().split(
        "event=", 1)[-1], 10)


def test_emit_to_a_key_that_is_no_stream_fails_that_message_alone(
        run, server, channel, notes):
    store = server.client()
    store.set(channel_key(f"{channel}-out"), "not a stream")
    run.daemon("--team", "t", "--consume", channel, "--handler",
               exec_handler("obey", f"{channel}-out", notes.path), *QUICK,
               redis=server, workers=1)
    put(store, channel, plain(0, 3))
    wait_done(store, channel)
    letters = [x for x in dead_letters(store, "t")
               if x[b"channel"].decode() == channel]
    assert len(letters) == 3
    assert store.get(channel_key(f"{channel}-out")) == b"not a stream"


# --- what others do to the data ----------------------------------------------

def test_group_that_was_destroyed_is_made_again(server, channel, notes, team):
    team(server, 2)
    store = server.client()
    put(store, channel, plain(0, 10))
    wait_done(store, channel)
    store.delete(channel_key(channel))
    put(store, channel, plain(10, 20))
    eventually(lambda: set(notes.counts()) >= set(range(20)), 30)
    store.xgroup_destroy(channel_key(channel), "t")
    put(store, channel, plain(20, 30))
    eventually(lambda: set(notes.counts()) >= set(range(30)), 30)
    wait_done(store, channel)


def test_entry_that_vanishes_while_pending_is_let_go(server, channel, notes, team):
    site = team(server, 1)
    store = server.client()
    ids = put(store, channel, [(0, {"do": "slow", "seconds": 0.5})] +
              plain(1, 50))
    eventually(notes.lines)
    site.kill_child("worker")
    store.xdel(channel_key(channel), *ids[30:40])
    eventually(lambda: pending(store, channel, "t") == 0 and
               len(numbers(store, f"{channel}-out")) >= 40, 20)
    assert alive(site.child("worker"))


def test_worker_runs_without_a_supervisor(run, server, channel, notes):
    worker = run.process(
        [PROGRAMS["worker"], "--team", "t", "--consume", channel, "--handler",
         exec_handler("obey", f"{channel}-out", notes.path)],
        env={"REDISTRIBUTE_TARGETS": server.uri,
             "REDISTRIBUTE_DATA_DIR": str(notes.path.parent)})
    worker.wait_event("ready")
    store = server.client()
    put(store, channel, plain(0, 10))
    wait_done(store, channel)
    assert worker.stop() == 0
    assert notes.counts() == Counter(range(10))


def test_dead_consumers_do_not_pile_up(server, channel, notes, team):
    site = team(server, 2)
    store = server.client()
    for i in range(5):
        put(store, channel, plain(i * 100, i * 100 + 100))
        old = site.kill_child("worker", i % 2)
        site.wait_child("worker", i % 2, other_than=old)
    wait_done(store, channel, deadline=30)

    def names():
        put(store, channel, plain(1000, 1020))
        found = [c["name"].decode() for c in
                 store.xinfo_consumers(channel_key(channel), "t")]
        return len([n for n in found if not n.startswith("=")]) <= 2
    eventually(names, 30, "consumers of the dead stay for ever", interval=0.2)


def test_client_sees_what_a_handler_emits_live(run, server, channel, notes, team):
    """The whole road: client, gateway, Redis, worker, Redis, gateway, client."""
    site = team(server, 2)
    clients = [run.client(site), run.client(site, "msgpack")]
    for c in clients:
        c.ok("subscribe", channel=f"{channel}-out")
    for n in range(200):
        clients[0].ask("publish", channel=channel, data={"n": n})
    for c in clients:
        got = c.messages(f"{channel}-out", 200)
        assert sorted(m[2]["n"] for m in got) == list(range(200))
