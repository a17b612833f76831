# SPDX-License-Identifier: MIT
"""Whatever happens, in whatever order: each client is given every message
once, in order, and what it is not given is told by a gap, with the right
number where there is one.

A driver does random things to channels, clients and gateways, and writes down
what stands in the streams before anything is taken away.  Each client writes
down what it is told.  In the end the two are compared, word by word.

RD_SEED=N repeats a run (as far as timing lets it); RD_LONG=1 goes on for two
minutes.
"""
import collections
import os
import random
import time

import pytest

import peer
from harness import channel_key, eventually

LONG = bool(os.environ.get("RD_LONG"))
SECONDS = 120 if LONG else 12
SEED = int(os.environ.get("RD_SEED") or time.time_ns() % 1000000)
CHANNELS = ["p0", "p1", "{tag}p2"]
GATEWAYS = 2
PROTOCOLS = ["json", "msgpack"]


class Truth:
    """All that ever stood in one channel, in order; DELETED where the stream
    was deleted.  Looked at before anything is removed."""
    DELETED = "deleted"

    def __init__(self, store, channel):
        self.store = store
        self.key = channel_key(channel)
        self.events = []
        self.last = "-"

    def look(self):
        for offset, _ in self.store.xrange(self.key, self.last):
            self.events.append(offset.decode())
            self.last = "(" + self.events[-1]

    def trim(self, keep):
        """MULTI, so that nothing is trimmed that was not looked at."""
        pipe = self.store.pipeline(transaction=True)
        pipe.xrange(self.key, self.last)
        pipe.xtrim(self.key, maxlen=keep, approximate=False)
        for offset, _ in pipe.execute()[0]:
            self.events.append(offset.decode())
            self.last = "(" + self.events[-1]

    def delete(self):
        pipe = self.store.pipeline(transaction=True)
        pipe.xrange(self.key, self.last)
        pipe.delete(self.key)
        pipe.time()
        got = pipe.execute()
        self.events += [offset.decode() for offset, _ in got[0]]
        self.events.append(self.DELETED)
        self.last = "-"
        # Ids of the same millisecond might be given again.
        gone = got[2][0], got[2][1] // 1000
        eventually(lambda: (self.store.time()[0],
                            self.store.time()[1] // 1000) > gone, interval=0)


class Follower:
    """One client and what it was told, over all of its connections."""

    def __init__(self, number, rng, port):
        self.number = number
        self.rng = rng
        self.port = port
        self.codec = rng.choice(PROTOCOLS)
        self.told = {c: [] for c in CHANNELS}   # in order: tuples
        self.at = {c: None for c in CHANNELS}   # [offset, epoch, count]
        self.waits = {}                         # id of a request: channel
        self.paused = False
        self.client = None
        self.connect()

    def connect(self):
        self.waits = {}
        def try_it():
            try:
                self.client = Recorder(self, self.port, self.codec,
                                       rcvbuf=self.rng.choice([None, 8192]))
            except (peer.Closed, peer.Refused, OSError):
                return False
            return True
        eventually(try_it, 20, "no gateway takes a client")
        for c in CHANNELS:
            self.subscribe(c)

    def subscribe(self, channel):
        place = {"offset": self.rng.choice(["0", "$", "-5"])}
        at = self.at[channel]
        if at and (at[0] != "0-0" or at[2] is not None):
            place = {"offset": at[0], "epoch": at[1]}
            if at[2] is not None and self.rng.random() < 0.8:
                place["count"] = at[2]
            else:
                at[2] = None
        else:
            self.at[channel] = None
            self.told[channel].append(("anew",))
        try:
            number = self.client.ask("subscribe", channel=channel, **place)
        except peer.Closed:
            self.client.eof = True
            return
        self.waits[number] = channel

    def take(self, v):
        push, channel = v.get("push"), v.get("channel")
        if push is None and v.get("id") in self.waits:
            channel = self.waits.pop(v["id"])
            assert "ok" in v, v
            ok = v["ok"]
            if self.at[channel] is None:
                self.told[channel].append(("begin", ok["offset"]))
                self.at[channel] = [ok["offset"], ok["epoch"], ok["count"]]
        elif push == "messages":
            at = self.at[channel]
            for m in v["messages"]:
                self.told[channel].append(("message", m[0], at[2]))
                at[0] = m[0]
                if at[2] is not None:
                    at[2] += 1
        elif push == "gap":
            at = self.at[channel]
            self.told[channel].append(("gap", v["from"], v["first"], v["lost"],
                                       at[2]))
            at[:] = v["offset"], v["epoch"], v["count"]

    def turn(self):
        """Reads what is there; comes back where the connection has ended."""
        if self.paused:
            return
        try:
            self.client.pump()
            self.client.sort()
        except peer.Closed:
            self.client.eof = True
        if self.client.eof:
            self.client.kill()
            self.connect()


class Recorder(peer.Client):
    def __init__(self, owner, port, codec, **more):
        self.owner = owner
        super().__init__(port, codec, timeout=20, **more)

    def _sort_one(self, v):
        self.owner.take(v)
        super()._sort_one(v)


class Chaos:
    def __init__(self, run, seed):
        self.rng = random.Random(seed)
        self.server = run.redis()
        self.store = self.server.client()
        self.site = run.daemon(
            "--ring-limit", "1m", "--output-limit", "16k",
            redis=self.server, gateways=GATEWAYS)
        self.truth = {c: Truth(self.store, c) for c in CHANNELS}
        self.followers = [Follower(i, self.rng, self.site.port)
                          for i in range(8)]
        self.published = 0
        self.next_kill = time.monotonic() + 2
        self.deeds = [(10, self.publish), (3, self.publish_one),
                      (3, self.publish_here), (3, self.trim),
                      (3, self.pause), (4, self.go_on), (2, self.leave),
                      (2, self.again), (0.3, self.delete),
                      (0.5, self.kill_gateway)]

    def channel(self):
        return self.rng.choice(CHANNELS)

    def payload(self):
        self.published += 1
        return {"json": '{"n":%d,"x":"%s"}' % (
            self.published, "x" * self.rng.choice([0, 10, 100, 3000]))}

    def publish(self):
        """Foreign publishers, each in a hurry."""
        pipe = self.store.pipeline(transaction=False)
        for _ in range(self.rng.randrange(1, 150)):
            pipe.xadd(channel_key(self.channel()), self.payload())
        pipe.execute()

    def publish_one(self):
        self.store.xadd(channel_key(self.channel()), self.payload())

    def publish_here(self):
        """Through a gateway; whether it was stored, the stream tells."""
        for f in self.rng.sample(self.followers, 2):
            if not f.paused and not f.client.eof:
                try:
                    f.client.put({"do": "publish", "channel": self.channel(),
                                  "data": f.number})
                except peer.Closed:
                    f.client.eof = True

    def trim(self):
        self.truth[self.channel()].trim(self.rng.choice([0, 1, 3, 20, 100]))

    def delete(self):
        self.truth[self.channel()].delete()

    def pause(self):
        self.rng.choice(self.followers).paused = True

    def go_on(self):
        self.rng.choice(self.followers).paused = False

    def leave(self):
        """Drops the connection, with all that is on its way."""
        f = self.rng.choice(self.followers)
        f.client.kill()
        f.connect()

    def again(self):
        f = self.rng.choice(self.followers)
        if f.paused or f.client.eof or f.waits:
            return
        channel = self.channel()
        number = f.client.ask("unsubscribe", channel=channel)
        try:
            f.client.reply(number, 20)
        except peer.Closed:
            f.client.eof = True
            return
        f.subscribe(channel)

    def kill_gateway(self):
        if time.monotonic() < self.next_kill:
            return              # the supervisor waits longer each time
        self.next_kill = time.monotonic() + 4
        index = self.rng.randrange(GATEWAYS)
        pid = self.site.kill_child("gateway", index)
        self.site.wait_child("gateway", index, other_than=pid, deadline=60)

    def turns(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for f in self.followers:
                f.turn()
            weights = [w for w, _ in self.deeds]
            self.rng.choices([d for _, d in self.deeds], weights)[0]()

    def settle(self):
        """Everybody reads on; a last message in each channel comes to all."""
        last = {}
        for c in CHANNELS:
            last[c] = self.store.xadd(channel_key(c), self.payload()).decode()
        for f in self.followers:
            f.paused = False

        end = time.monotonic() + 40
        while not all(f.at[c] and f.at[c][0] == last[c]
                      for f in self.followers for c in CHANNELS):
            for f in self.followers:
                f.turn()
            assert time.monotonic() < end, \
                "not everybody was given the last message: " + str(
                    [(f.number, c, f.told[c][-4:], last[c])
                     for f in self.followers for c in CHANNELS
                     if f.at[c] is None or f.at[c][0] != last[c]])
        for t in self.truth.values():
            t.look()


def count_up(events):
    """How many messages stood in the stream before each."""
    counts, n = [], 0
    for e in events:
        counts.append(n)
        n = 0 if e == Truth.DELETED else n + 1
    return counts


def judge(events, told, exact):
    """Compares what one client was told with what there was.  events: offsets
    and DELETED, in order."""
    # What comes within the millisecond of a DEL may have an id again: which of
    # them it was cannot be told (PROTOCOL.md, gap).
    twice = {e for e, n in collections.Counter(events).items() if n > 1}
    place = {e: i for i, e in enumerate(events)}
    counts = count_up(events)
    at = None           # index of the last message given; None: anywhere
    gaps = []           # told since, also on a connection before
    for what in told:
        if what[0] == "anew":
            at, gaps = None, []
        elif what[0] == "begin":
            at = place.get(what[1])
        elif what[0] == "gap":
            gaps.append(what)
        elif what[0] == "message" and what[1] in twice:
            at, gaps = None, []
        elif what[0] == "message":
            index = place[what[1]]
            assert what[2] in (None, counts[index]), \
                f"counted {what[2]}, not {counts[index]}: {what}"
            if at is not None:
                assert index > at, f"double, or out of order: {what}"
                check_gaps(gaps, what, events[at + 1:index], exact)
            at, gaps = index, []


def check_gaps(gaps, message, missed, exact):
    """A gap may be told in parts, where trimming goes on meanwhile."""
    lost = [gap[3] for gap in gaps]
    vague = any(gap[4] is None for gap in gaps)     # the client knew no count
    if not missed:
        assert not gaps or vague, f"nothing is missing: {gaps} {message}"
        return
    if Truth.DELETED in missed:
        # A stream made anew, of which as many have been trimmed as the client
        # had been given of the old one, looks like that (PROTOCOL.md, gap).
        again = len(missed) - 1 - missed[::-1].index(Truth.DELETED)
        assert gaps or len(missed) - 1 - again == message[2], \
            f"a deletion is not told: {message}"
        return
    assert gaps, f"{len(missed)} are missing, and no gap: {message}"
    assert gaps[-1][2] in (None, message[1]), (gaps, message)
    if None not in lost:
        assert sum(lost) == len(missed), (gaps, len(missed))
    elif exact:
        assert vague, f"the number could be told: {gaps}"


@pytest.mark.deadline(SECONDS + 120)
def test_nothing_is_missing_double_or_out_of_order(run):
    print(f"RD_SEED={SEED}")
    chaos = Chaos(run, SEED)
    exact = int(chaos.store.info("server")["redis_version"].split(".")[0]) >= 7
    chaos.turns(SECONDS)
    chaos.settle()
    gaps = 0
    for f in chaos.followers:
        for c in CHANNELS:
            try:
                judge(chaos.truth[c].events, f.told[c], exact)
            except AssertionError as e:
                raise AssertionError(f"client {f.number}, {c}: {e}") from None
            gaps += sum(t[0] == "gap" for t in f.told[c])
    assert chaos.published > 100 and gaps > 0
