# SPDX-License-Identifier: MIT
"""Clients that follow channels from their beginning, over whatever gateway is
there, and resume by offset.  What each was given is its history: messages and
gaps as they came.
"""
import json
import random
import select
import threading

import peer
import sse

OVER = (OSError, peer.Closed, peer.Refused, TimeoutError, ValueError,
        IndexError)
LOOK = 0.3      # seconds between looks whether all is over


class History:
    """What one follower was told of one channel: ("message", offset, n) and
    ("gap", from, offset, epoch)."""

    def __init__(self, who, channel):
        self.who, self.channel = who, channel
        self.events = []
        self.offset, self.epoch = "0", None

    def message(self, offset, n):
        self.events.append(("message", offset, n))
        self.offset = offset

    def gap(self, said, offset, epoch=None):
        self.events.append(("gap", said.get("from"), offset, epoch))
        self.offset, self.epoch = offset, epoch or self.epoch


class _Client(peer.Client):
    """Sorts what is pushed into histories, in the order in which it came."""

    histories = {}

    def _sort_one(self, v):
        kind = v.get("push")
        if kind == "messages":
            for offset, _, data, *_ in v["messages"]:
                self.histories[v["channel"]].message(offset, data["n"])
        elif kind == "gap":
            self.histories[v["channel"]].gap(v, v["offset"], v["epoch"])
        else:
            super()._sort_one(v)


class _Follower(threading.Thread):
    def __init__(self, world, name, channels):
        super().__init__(daemon=True)
        self.world, self.name = world, name
        self.chance = random.Random(f"{world.seed} {name}")
        self.histories = {c: History(name, c) for c in channels}
        self.connections = 0
        self.broken = None

    def run(self):
        while not self.world.over.is_set():
            try:
                self.connections += 1
                self.follow(self.chance.choice(self.world.fleet.ports()))
            except OVER:
                self.world.over.wait(0.05)
            except Exception as e:
                self.broken = e
                raise


class Socket(_Follower):
    """Several channels over one WebSocket."""

    def follow(self, port):
        codec = self.chance.choice(("json", "msgpack"))
        with _Client(port, codec, timeout=8) as client:
            client.histories = self.histories
            for c, h in self.histories.items():
                more = {"epoch": h.epoch} if h.epoch else {}
                said = client.ok("subscribe", channel=c, offset=h.offset,
                                 **more)
                h.epoch = said["epoch"]
            while not self.world.over.is_set():
                try:
                    client.until(self.world.over.is_set, timeout=LOOK)
                except TimeoutError:
                    pass


class Stream(_Follower):
    """One channel as server-sent events."""

    def follow(self, port):
        (channel, h), = self.histories.items()
        query, last = ("?offset=0", None) if h.offset == "0" else ("", h.offset)
        stream = sse.Stream(port, channel, query, last, timeout=8)
        try:
            while stream.status == 200 and not self.world.over.is_set():
                # Half an event is waited for.
                if not stream.data and \
                        not select.select([stream.sock], [], [], LOOK)[0]:
                    continue
                event = stream.event(8)
                if event is None:
                    break
                data = json.loads(event.data)
                if event.kind == "redistribute.gap":
                    h.gap(data, event.id)
                else:
                    h.message(event.id, data["n"])
        finally:
            stream.close()
        self.world.over.wait(0.05)


class Followers:
    def __init__(self, world):
        p = world.profile
        chance = random.Random(f"{world.seed} followers")
        inputs = [*p.divided_names, *p.shared_names]
        names = inputs + [f"out:{c}" for c in inputs]
        always = [p.divided_names[0], f"out:{p.divided_names[0]}"]
        self.threads = [
            Socket(world, f"websocket {i}", dict.fromkeys(
                always + chance.sample(names, min(p.follows, len(names)))))
            for i in range(p.followers)]
        self.threads += [
            Stream(world, f"events {i}", [chance.choice(names)])
            for i in range(p.streams)]

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        for t in self.threads:
            t.join(30)
            if t.broken:
                raise t.broken

    def histories(self):
        return [h for t in self.threads for h in t.histories.values()]

    def count(self):
        return sum(len(h.events) for h in self.histories())
