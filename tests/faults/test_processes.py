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
