# SPDX-License-Identifier: MIT
"""Processes that harm each other: what is left behind floods a pipe, nobody
reads a log, a child runs and does not work, one name is taken twice."""
import json
import signal

import pytest

from harness import PYTHON, SUPPORT, alive, channel_key, eventually

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
