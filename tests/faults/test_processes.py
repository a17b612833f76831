# SPDX-License-Identifier: MIT
"""Processes that harm each other: what is left behind floods a pipe, nobody
reads a log, a child runs and does not work, one name is taken twice."""
import json
import signal

import pytest

from divided import make_known
from harness import (BUILD, PYTHON, SUPPORT, alive, channel_key, eventually,
                     holds, kill)

OUT = channel_key("out")


@pytest.fixture
def redis_(run):
    return run.redis()


@pytest.fixture
def store(redis_):
    client = redis_.client()
    yield client
    client.close()


def put(store, channel, n, **order):
    return store.xadd(channel_key(channel),
                      {"json": json.dumps({"n": n, **order})})


def emitted(store):
    return {json.loads(f[b"json"])["n"] for _, f in store.xrange(OUT)}


def obeying(path, after=""):
    """An exec handler that does what the message says, and what its shell does
    when that has ended."""
    path.touch()
    return (f"exec:{PYTHON} {SUPPORT / 'handler.py'} obey out {path}; "
            f"{after} exit 3")


# --- what handlers leave behind ----------------------------------------------

@pytest.mark.deadline(90)
def test_what_a_handler_leaves_behind_floods_its_pipes(run, redis_, store,
                                                       channel, tmp_path):
    """A process of a session of its own has the handler's stderr, and writes
    faster than it is logged.  The handler crashes: the worker goes on."""
    there = tmp_path / "there"
    flood = f"touch {there}; exec yes >&2"
    site = run.daemon(
        "--consume", channel, "--max-crashes", "1", "--handler", obeying(
            tmp_path / "runs", f"setsid sh -c '{flood}' & "
            f"while ! test -e {there}; do sleep .01; done;"),
        redis=redis_, workers=1, gateways=0)
    put(store, channel, 1)
    eventually(lambda: emitted(store) == {1}, 30)
    put(store, channel, 2, do="crash")
    put(store, channel, 3)
    eventually(lambda: emitted(store) == {1, 3}, 30)
    assert not site.log.find("child.exit"), "the worker itself has ended"
    assert site.stop() == 0


# --- a log that nobody reads -------------------------------------------------

@pytest.mark.deadline(120)
def test_a_log_that_nobody_reads(run, channel, tmp_path):
    """Everything goes on, also at the level debug, and SIGTERM ends it; what
    was dropped is counted, and said to whoever reads again."""
    site = run.daemon("--consume", channel, "--log-level", "debug",
                      "--log-buffer", "8k", "--lease", "1s", "--batch", "100",
                      "--handler", obeying(tmp_path / "runs"), workers=2)
    store = site.embedded()
    site.log.reading.clear()
    for n in range(3000):
        put(store, channel, n, loud=True)
    eventually(lambda: len(emitted(store)) == 3000, 60)
    supervisor = next(k for k in store.scan_iter("rd:node:*.supervisor.0"))
    # It still reports, which its loop does.
    before = store.hget(supervisor, "time_ms")
    eventually(lambda: store.hget(supervisor, "time_ms") != before)
    workers = list(store.scan_iter("rd:node:*.worker.*"))
    eventually(lambda: sum(int(store.hget(w, "log_dropped") or 0)
                           for w in workers) > 0)
    site.log.reading.set()
    site.wait_event("log.dropped", by="worker")
    site.log.reading.clear()
    for n in range(3000, 6000):
        put(store, channel, n, loud=True)
    eventually(lambda: len(emitted(store)) == 6000, 60)
    site.send(signal.SIGTERM)
    assert site.wait(40) == 0
    assert not site.left()


# --- a child that runs and does not work -------------------------------------

@pytest.mark.deadline(90)
@pytest.mark.parametrize("role", ["worker", "gateway"])
def test_a_child_whose_loop_does_not_turn(run, redis_, store, channel, role):
    """It neither ends nor works, and says nothing: it is replaced, and that is
    counted."""
    site = run.daemon("--consume", channel, "--handler", "relay:to=out",
                      "--watchdog", "2s", redis=redis_, workers=1)
    pid = site.child(role)
    kill(pid, signal.SIGSTOP)
    site.wait_event("child.stuck", 30, role=role, pid=pid)
    site.wait_event("child.exit", 30, role=role, pid=pid)
    site.wait_child(role, other_than=pid)
    put(store, channel, 1)
    eventually(lambda: emitted(store) == {1})
    supervisor = next(k for k in store.scan_iter("rd:node:*.supervisor.0"))
    eventually(lambda: store.hget(supervisor, f"{role}_stuck") == b"1")
    assert store.hget(supervisor, f"{role}_deaths") == b"0"
    assert site.stop() == 0


@pytest.mark.deadline(90)
def test_nobody_is_taken_for_stuck(run, redis_, store, channel):
    """A handler takes longer than the watchdog, then Redis is frozen for
    longer: the loops turn."""
    site = run.daemon("--consume", channel, "--watchdog", "3s",
                      "--handler", f"{BUILD / 'tests/numbers.so'}:6000000",
                      redis=redis_, workers=1)
    put(store, channel, 1)
    out = channel_key(f"out:{channel}")
    eventually(lambda: store.xlen(out) == 1, 30)
    redis_.freeze()
    holds(lambda: not site.log.find("child.stuck"), 6)
    redis_.resume()
    put(store, channel, 2)
    eventually(lambda: store.xlen(out) == 2, 30)
    assert not site.log.find("child.stuck") and not site.log.find("child.exit")
    assert site.stop() == 0


# --- messages that kill ------------------------------------------------------

@pytest.mark.deadline(120)
def test_twelve_messages_that_kill_their_worker(run, redis_, store, channel):
    """Each runs alone and is counted, so their worker comes back at once: the
    waits do not add up."""
    poison = [{"n": n, "do": "crash"} for n in range(12)]
    for order in poison:
        store.xadd(channel_key(channel), {"json": json.dumps(order)})
    site = run.daemon("--consume", channel, "--handler",
                      BUILD / "tests/numbers.so", redis=redis_, workers=1,
                      gateways=0, wait=False)
    put(store, channel, 12)
    eventually(lambda: store.xlen(channel_key(f"out:{channel}")) == 1, 90)
    eventually(lambda: store.xlen("rd:dead:workers") == 12, 90)
    assert len(site.log.find("child.recycle", role="worker")) == 12 * 3
    # The first ones died of messages that nobody suspected yet.
    assert len(site.log.find("child.backoff")) <= 4
    assert site.stop() == 0


@pytest.mark.deadline(120)
def test_twelve_messages_that_kill_their_program(run, redis_, store, channel,
                                                 tmp_path):
    """The same where the handler is a process of its own."""
    for n in range(12):
        put(store, channel, n, do="crash")
    site = run.daemon("--consume", channel, "--handler",
                      obeying(tmp_path / "runs"), redis=redis_, workers=1,
                      gateways=0)
    put(store, channel, 12)
    eventually(lambda: emitted(store) == {12}, 90)
    eventually(lambda: store.xlen("rd:dead:workers") == 12, 90)
    assert len(site.log.find("exec.exit")) >= 12 * 3
    assert site.stop() == 0


# --- a supervisor and the one before it --------------------------------------

def killed(site):
    """Its supervisor is killed; its children end by themselves."""
    site.popen.kill()
    site.popen.wait()


@pytest.mark.deadline(120)
def test_the_leases_of_a_killed_supervisor_are_not_waited_for(run, channel):
    """Its workers died with it, and their leases are long: whoever takes the
    lock of the data directory says so."""
    flags = ("--consume", f"{channel}-*", "--handler",
             BUILD / "tests/numbers.so", "--lease", "600s")
    names = [f"{channel}-{i}" for i in range(20)]
    first = run.daemon(*flags, workers=2)
    store = first.embedded()
    make_known(store, names)
    for name in names:
        put(store, name, 0)
        put(store, name, 1)
    eventually(lambda: all(store.xlen(channel_key(f"out:{name}")) == 2
                           for name in names))
    old = {m for m in store.zrange("rd:team:workers", 0, -1) if m[:1] != b"="}
    killed(first)
    second = run.daemon(*flags, workers=2, data_dir=first.data_dir)
    second.wait_event("death.former", count=2, team="workers")
    dead = second.log.find("death.former")
    assert {e["consumer"].encode() for e in dead} == old and len(old) == 2
    store = second.embedded()
    for name in names:
        put(store, name, 2)
    eventually(lambda: all(store.xlen(channel_key(f"out:{name}")) == 3
                           for name in names), 60)
    assert second.stop() == 0


@pytest.mark.deadline(90)
def test_a_worker_that_outlives_its_supervisor_is_left_alone(run, redis_, store,
                                                             channel):
    """With a Redis elsewhere it finishes what it has in hand: nobody calls it
    dead meanwhile."""
    flags = ("--consume", channel, "--handler", BUILD / "tests/numbers.so",
             "--lease", "600s")
    first = run.daemon(*flags, redis=redis_, workers=1, gateways=0)
    entry = put(store, channel, 1, do="slow", ms=6000)
    eventually(lambda: store.xpending(channel_key(channel), "workers")
               ["pending"] == 1)
    worker = first.child("worker")
    killed(first)
    second = run.daemon(*flags, redis=redis_, workers=1, gateways=0,
                        data_dir=first.data_dir)
    pending, = store.xpending_range(channel_key(channel), "workers", entry,
                                    entry, 1)
    assert alive(worker) and pending["times_delivered"] == 1
    eventually(lambda: not alive(worker), 20)
    assert store.xlen(channel_key(f"out:{channel}")) == 1
    assert not second.log.find("death.former")
    assert second.stop() == 0


@pytest.mark.deadline(120)
def test_two_supervisors_of_one_name(run, redis_, store, channel):
    """The second one does nothing, says whose the name is, and ends; where the
    first has ended or died the name is free."""
    flags = ("--node", "twin", "--consume", channel)
    first = run.daemon(*flags, redis=redis_, workers=1, gateways=0)
    second = run.daemon(*flags, redis=redis_, workers=1, gateways=0, wait=False)
    refused = second.wait_event("node.refused", 30)
    assert f"process {first.pid} " in refused["by"]
    assert second.wait(20) == 78
    assert not second.log.find("child.start")
    key = "rd:node:twin.supervisor.0"
    eventually(lambda: store.hget(key, "pid") == str(first.pid).encode())
    # One that was killed, somewhere else: it is waited for, and then it is not.
    killed(first)
    third = run.daemon(*flags, redis=redis_, workers=1, gateways=0)
    third.log.wait("node.taken")
    assert third.stop() == 0
    fourth = run.daemon(*flags, redis=redis_, workers=1, gateways=0)
    assert not fourth.log.find("node.taken")
    assert fourth.stop() == 0


# --- an append-only file that ends in the middle -----------------------------

def tear(directory, key):
    """Cuts the file off inside a script's MULTI, behind its XADD to key."""
    path = max(directory.glob("appendonlydir/*.incr.aof"),
               key=lambda p: int(p.name.split(".")[-3]))
    data = path.read_bytes()
    at = data.rindex(b"$%d\r\n%s\r\n" % (len(key), key))
    assert data.rindex(b"MULTI", 0, at) > data.rindex(b"EXEC", 0, at)
    path.write_bytes(data[:data.index(b"\r\n*", at) + 5])


@pytest.mark.deadline(120)
@pytest.mark.parametrize("crash", [False, True])
def test_a_torn_file_emits_nothing_twice(run, channel, crash):
    """Redis by itself leaves half of the script in the file, and runs it at
    the start after the next.  The message is handled again, and emits once."""
    flags = ("--consume", channel, "--handler", BUILD / "tests/numbers.so")
    site = run.daemon(*flags, workers=1)
    store = site.embedded()
    out = channel_key(f"out:{channel}")
    for n in range(3):
        put(store, channel, n)
    eventually(lambda: store.xlen(out) == 3)
    if crash:
        killed(site)
        eventually(lambda: not site.left())
    else:
        assert site.stop() == 0
    tear(site.data_dir, out.encode())
    for _ in range(3):
        site = run.daemon(*flags, workers=1, data_dir=site.data_dir)
        store = site.embedded()
        eventually(lambda: store.xlen(out) == 3 and store.xpending(
            channel_key(channel), "workers")["pending"] == 0)
        assert [json.loads(f[b"json"])["n"] for _, f in store.xrange(out)] \
            == [0, 1, 2]
        put(store, "other", 1)
        assert site.stop() == 0
