# SPDX-License-Identifier: MIT
"""Divided channels for tests: numbers go in, and what comes out of
handlers is looked at.

numbers.c emits {"n":7} of channel c to out:c; handler.py's number and timed
emit {"channel":"c","n":7} to one channel for all.  Fixtures are for
`from divided import redis_, store, fleet`.
"""
import json
import re

import pytest

from harness import BUILD, channel_key, eventually

NUMBERS = BUILD / "tests/numbers.so"
TEAM = "t"


@pytest.fixture
def redis_(run):
    """Its channels are those of one test."""
    return run.redis()


@pytest.fixture
def store(redis_):
    client = redis_.client()
    yield client
    client.close()


@pytest.fixture
def fleet(run):
    """Starts workers of numbers.so: fleet(redis, workers, flags...)."""
    def start(redis, workers=2, *flags, consume="c:*", us=0, handler=None,
              team=TEAM, **more):
        return run.daemon("--team", team, "--consume", consume, "--handler",
                          handler or f"{NUMBERS}:{us}", "--discover", "500ms",
                          *flags, redis=redis, workers=workers,
                          **{"gateways": 0, **more})
    return start


def names(count):
    return [f"c:{i}" for i in range(count)]


def make_known(store, channels):
    """As a publisher does, before its first XADD."""
    pipe = store.pipeline(transaction=False)
    for name in channels:
        pipe.zadd("rd:channels", {name: 0})
        pipe.xadd("rd:new", {"channel": name}, maxlen=10000)
    pipe.execute()


def put(store, channels, numbers, **order):
    """{"n": n} into each of the channels, for each n."""
    pipe = store.pipeline(transaction=False)
    for n in numbers:
        for name in channels:
            pipe.xadd(channel_key(name), {"json": json.dumps({"n": n, **order})})
    return [i.decode() for i in pipe.execute()]


def lengths(store, channels):
    pipe = store.pipeline(transaction=False)
    for name in channels:
        pipe.xlen(channel_key(f"out:{name}"))
    return pipe.execute()


def pending(store, channels, team=TEAM):
    """How many are with anybody, over all channels."""
    pipe = store.pipeline(transaction=False)
    for name in channels:
        pipe.xpending(channel_key(name), team)
    return sum(r["pending"] for r in pipe.execute())


def emitted(store, channel):
    return [json.loads(f[b"json"])["n"]
            for _, f in store.xrange(channel_key(f"out:{channel}"))]


def emitted_together(store, channels, to="out"):
    """{channel: numbers}, of handlers that emit all to one channel."""
    seen = {name: [] for name in channels}
    for _, fields in store.xrange(channel_key(to)):
        message = json.loads(fields[b"json"])
        seen[message["channel"]].append(message["n"])
    return seen


def wait_emitted(store, channels, count, deadline=30):
    """So many in each; what is too much is seen later."""
    eventually(lambda: all(n >= count for n in lengths(store, channels)),
               deadline, f"not {count} from each", interval=0.05)


def check_all(store, channels, numbers, ordered=True):
    """Each emitted exactly once, in order, and nothing is left."""
    eventually(lambda: pending(store, channels) == 0, what="some are pending")
    for name in channels:
        got = emitted(store, name)
        assert (got if ordered else sorted(got)) == list(numbers), name
    assert store.xlen(f"rd:dead:{TEAM}") == 0


def owner(store, channel, team=TEAM):
    """(node, index) of the worker whose fence stands in the channel."""
    for c in store.xinfo_consumers(channel_key(channel), team):
        found = re.fullmatch(r"=([\w.-]+):(\d+)\.(.+)\.(\d+)(-\d+)?",
                             c["name"].decode())
        if found:
            return found[1], int(found[2])
    return None


def owners(store, channels, team=TEAM):
    return {name: owner(store, name, team) for name in channels}


def wait_shared(store, channels, count, team=TEAM):
    """So many workers own channels."""
    return eventually(
        lambda: (lambda o: o if None not in o.values() and
                 len(set(o.values())) == count else None)(
                     owners(store, channels, team)),
        30, f"not {count} owners", interval=0.1)


def wait_shared_after_first(store, channels, count=2):
    """One message has passed everywhere, and all workers have a part."""
    put(store, channels, [0])
    wait_emitted(store, channels, 1)
    return wait_shared(store, channels, count)


def holder(store, channel, entry):
    """(consumer, deliveries) of a pending entry."""
    found = store.xpending_range(channel_key(channel), TEAM, entry, entry, 1)
    return (found[0]["consumer"].decode(), found[0]["times_delivered"]) \
        if found else None
