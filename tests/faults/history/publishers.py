# SPDX-License-Identifier: MIT
"""Numbered messages, by several roads.  Each attempt is recorded: answered
(with its offset), refused, or unknown, which may have been stored once.

A message is {"n": NUMBER}, NUMBER unique in its channel; with more for the
handler, see tests/support/numbers.c.
"""
import json
import random
import threading
import time

import redis

import peer
import sse
from harness import channel_key

EACH = 1 << 20          # numbers of one publisher
WINDOW = 50             # requests under way on one WebSocket
NOT_STORED = {"unavailable", "busy", "backlog", "rate", "timeout"}


class Attempt:
    __slots__ = ("channel", "n", "road", "more", "state", "offset", "why")

    def __init__(self, channel, n, road, more):
        self.channel, self.n, self.road, self.more = channel, n, road, more
        self.state = "unknown"
        self.offset = self.why = None

    def answered(self, offset):
        self.state, self.offset = "answered", offset

    def failed(self, code):
        self.why = code
        if code in NOT_STORED:
            self.state = "refused"

    def body(self):
        return {"n": self.n, **self.more}

    def __repr__(self):
        return (f"{self.channel} n={self.n} by {self.road}: {self.state} "
                f"{self.offset or self.why or ''}")


class _Publisher(threading.Thread):
    """One road; publishes until told to end."""

    def __init__(self, world, number, road, rate):
        super().__init__(daemon=True)
        self.world, self.road, self.rate = world, road, rate
        self.chance = random.Random(f"{world.seed} {road} {number}")
        self.next = number * EACH
        self.attempts = []
        self.broken = None
        self.client = None

    def attempt(self, channel=None, **more):
        p = self.world.profile
        if channel is None:
            if self.chance.random() < p.hot:
                channel = p.divided_names[0]
            else:
                channel = self.chance.choice(self.world.channels)
        if not more and self.chance.random() < p.late:
            more["late"] = self.chance.randint(1, 1500)
        self.next += 1
        made = Attempt(channel, self.next, self.road, more)
        self.attempts.append(made)
        return made

    def run(self):
        act = {"foreign": self.foreign, "post": self.post,
               "websocket": self.websocket}[self.road]
        began, count = time.monotonic(), 0
        try:
            while not self.world.quiet.is_set():
                behind = (time.monotonic() - began) * self.rate - count
                if behind < 1:
                    self.world.quiet.wait(0.01)
                    continue
                n = min(int(behind), WINDOW)
                act([self.attempt() for _ in range(n)])
                # What was not published while nothing answered is not made up.
                count += max(n, int(behind) - WINDOW)
        except Exception as e:
            self.broken = e
            raise

    # --- roads ---------------------------------------------------------------

    def foreign(self, attempts, then=None):
        """XADD by python3-redis.  then(pipe): adds one command more, which
        happens at the same moment; its answer is returned."""
        try:
            if self.client is None:
                self.client = self.world.fleet.client()
            pipe = self.client.pipeline(transaction=then is not None)
            for a in attempts:
                pipe.xadd(channel_key(a.channel),
                          {"json": json.dumps(a.body())})
            if then:
                then(pipe)
            answers = pipe.execute(raise_on_error=False)
            for a, got in zip(attempts, answers):
                if isinstance(got, bytes):
                    a.answered(got.decode())
                elif isinstance(got, redis.ResponseError):
                    a.failed("unavailable")
            if then and isinstance(answers[-1], redis.ResponseError):
                raise LookupError(answers[-1])      # no group yet
            return answers[-1]
        except (OSError, redis.RedisError):
            self.again()
            return None

    def port(self):
        return self.chance.choice(self.world.fleet.ports())

    def post(self, attempts):
        for a in attempts:
            if self.world.quiet.is_set():
                self.attempts.remove(a)     # never sent
                continue
            try:
                status, said = sse.post(self.port(), a.channel,
                                        json.dumps(a.body()),
                                        "application/json")
                if status == 200:
                    a.answered(said["offset"])
                else:
                    a.failed(said["error"]["code"])
            except ConnectionRefusedError:
                a.failed("unavailable")
            except (OSError, ValueError, IndexError, KeyError):
                self.world.quiet.wait(0.05)

    def websocket(self, attempts):
        waiting = {}
        try:
            if self.client is None:
                self.client = peer.Client(self.port(), timeout=8)
            for a in attempts:
                waiting[self.client.ask("publish", channel=a.channel,
                                        data=a.body())] = a
            for number, a in waiting.items():
                answer = self.client.reply(number)
                if "ok" in answer:
                    a.answered(answer["ok"]["offset"])
                else:
                    a.failed(answer["error"]["code"])
                self.client.replies.pop(number)
        except (OSError, peer.Closed, peer.Refused, TimeoutError, ValueError,
                IndexError):
            for number, a in waiting.items():
                if a.state == "unknown" and self.client and \
                        number in self.client.replies:
                    answer = self.client.replies[number]
                    if "ok" in answer:
                        a.answered(answer["ok"]["offset"])
            self.again()

    def again(self):
        client, self.client = self.client, None
        if client is not None:
            getattr(client, "kill", client.close)()
        self.world.quiet.wait(0.05)


class Publishers:
    def __init__(self, world):
        roads = world.profile.roads
        self.world = world
        self.threads = [
            _Publisher(world, i + 1, road, world.profile.rate / len(roads))
            for i, road in enumerate(roads)]
        # By hand, for faults.
        self.mine = _Publisher(world, len(roads) + 1, "foreign", 0)

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        for t in self.threads:
            t.join(60)
            if t.is_alive():
                raise RuntimeError(f"the publisher by {t.road} hangs")
            if t.broken:
                raise t.broken

    def foreign_now(self, channel, count, then=None, **more):
        return self.mine.foreign([self.mine.attempt(channel, **more)
                                  for _ in range(count)], then)

    def last_words(self, channels):
        self.mine.foreign([self.mine.attempt(c) for c in channels])

    def attempts(self):
        return [a for t in [*self.threads, self.mine] for a in t.attempts]

    def count(self):
        return sum(len(t.attempts) for t in [*self.threads, self.mine])
