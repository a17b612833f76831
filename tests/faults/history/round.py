# SPDX-License-Identifier: MIT
"""One round: a fleet, a load, the faults of a seed, then quiet and the
judgement."""
import collections
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import redis

from history import faults, schedule
from history.checker import Allowed, Checker, Violation
from history.fleet import TEAM, Fleet
from history.followers import Followers
from history.publishers import Publishers

AWAY = (LookupError, OSError, redis.RedisError, subprocess.SubprocessError)


class World:
    """What everybody in a round knows."""

    def __init__(self, profile, seed, say):
        self.profile, self.seed, self.say = profile, seed, say
        self.channels = [*profile.divided_names, *profile.shared_names]
        self.quiet = threading.Event()  # nobody publishes any more
        self.over = threading.Event()   # nobody follows any more
        self.allowed = Allowed()
        self.story = []                 # what was done, in words
        self.began = time.monotonic()
        self.began_ms = 0               # the same by the clock of Redis
        self.over_ms = float("inf")     # when the faults were over
        self.steps = []                 # when they began, in seconds
        self.fleet = Fleet(profile)
        self.store = self.fleet.client()
        # What a fault does with a Redis that is away must not stop the others.
        self.hand = self.fleet.store.client(socket_timeout=1)
        self.publishers = Publishers(self)
        self.followers = Followers(self)

    def note(self, what):
        """What a fault has hit."""
        self.story.append(f"           -> {what}")

    def tell(self, text):
        self.story.append(f"{time.monotonic() - self.began:7.2f} s  {text}")

    def server_ms(self):
        with self.fleet.client() as client:
            seconds, micros = client.time()
        return seconds * 1000 + micros // 1000

    def ids_after(self, channel, offset, last="+"):
        return [i.decode() for i, _ in self.hand.xrange(
            f"rd:ch:{channel}", f"({offset}", last)]

    def is_settled(self, channel, last):
        """The team has finished all up to there."""
        return self.group_at(channel) == last and \
            self.hand.xpending(f"rd:ch:{channel}", TEAM)["pending"] == 0

    def group_at(self, channel):
        """LookupError: the team has no group there yet."""
        found = [g["last-delivered-id"].decode()
                 for g in self.hand.xinfo_groups(f"rd:ch:{channel}")
                 if g["name"] == TEAM.encode()]
        return found[0]


class Round:
    def __init__(self, name, seed, say, **more):
        self.profile = schedule.Profile(name, **more)
        self.seed = seed
        self.steps = schedule.draw(self.profile, seed)
        self.say = say
        self.found = []         # violations
        self.logs = None        # where the logs of a failure are
        self.world = None
        self.checker = None

    def run(self):
        """Violations; none: the promises were kept."""
        world = self.world = World(self.profile, self.seed, self.say)
        try:
            self.checker = Checker(world)
            world.fleet.start()
            world.began, world.began_ms = time.monotonic(), world.server_ms()
            world.followers.start()
            world.publishers.start()
            self.attack(self.steps, self.profile.seconds)
            self.found = self.settle()
            if not self.found and self.profile.after:
                self.attack(schedule.draw_after(self.profile, self.seed))
                self.found = self.settle()
            if not self.found:
                self.say("quiet?")
                self.found = self.checker.spinning()
            world.over.set()
            world.followers.stop()
            if not self.found:
                self.found = [Violation("all stop as they are told", text)
                              for text in world.fleet.stop()]
        except Exception as e:
            # What was seen before it still counts.
            self.found = [*self.found, Violation("the harness works",
                                                 f"{type(e).__name__}: {e}")]
            world.tell(f"failed: {e!r}")
            if not isinstance(e, (AssertionError, *AWAY)):
                self.save()
                raise
        finally:
            world.quiet.set()
            world.over.set()
            if self.found:
                self.save()
            world.fleet.close()
        return self.found

    def attack(self, steps, seconds=0):
        """Faults begin when it is their time, and are undone; all that for so
        many seconds at least."""
        world, began = self.world, time.monotonic()
        todo = [(s.at, i, s, None) for i, s in enumerate(steps)]
        todo.append((seconds, len(steps), None, iter(())))
        while todo:
            todo.sort(key=lambda x: x[:2])
            at, order, step, under_way = todo[0]
            now = time.monotonic() - began
            if now < at:
                self.say(f"{now:.0f} s, {world.publishers.count()} published, "
                         f"{len(todo)} to come")
                time.sleep(min(at - now, 0.2))
                world.fleet.tend()
                continue
            todo.pop(0)
            try:
                if under_way is None:
                    world.tell(str(step).split("s  ", 1)[1])
                    world.steps.append(time.monotonic() - world.began)
                    under_way = faults.begin(world, step)
                wait = next(under_way)
                todo.append((time.monotonic() - began + wait, order, step,
                             under_way))
            except StopIteration:
                pass
            except AWAY as e:
                world.note(f"nothing: {e}")
        world.quiet.set()
        world.publishers.stop()
        world.tell("all faults are over")
        world.fleet.heal()
        world.over_ms = world.server_ms()

    def settle(self):
        """Waits while anything moves; what is violated then."""
        world, last, moved = self.world, None, time.monotonic()
        while True:
            world.fleet.tend()
            progress, left = self.checker.progress()
            now = time.monotonic()
            if progress != last:
                last, moved = progress, now
            self.say(f"waiting, {left} not handled")
            stuck = now - moved > self.profile.patience
            if left == 0 or stuck or now - moved > 3 or world.fleet.broken:
                found = self.checker.violations()
                found += [Violation("nobody dies or stands still", text, True)
                          for text in world.fleet.broken]
                if not found or stuck or any(v.final for v in found):
                    world.tell("judged")
                    return sorted(found, key=lambda v: not v.final)
            time.sleep(0.25 if left < 1000 else 1)

    def sums(self):
        """What it was about, in figures."""
        states = collections.Counter(
            a.state for a in self.world.publishers.attempts())
        text = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
        text += f", {self.world.followers.count()} followed"
        if self.checker and self.checker.rate:
            text += f", {self.checker.rate:.0f} commands a second when quiet"
        if self.profile.still and self.checker:
            text += (f"; the longest that a channel stood still: "
                     f"{self.told(self.checker.still)}; when the faults were "
                     f"over: {self.checker.still_after.ms / 1000:.1f} s")
        return text

    def told(self, still):
        """When it was, and what was done meanwhile."""
        since = (still.since - self.world.began_ms) / 1000
        until = since + still.ms / 1000
        within = [at for at in self.world.steps if since <= at <= until]
        return (f"{still.ms / 1000:.1f} s, {still.channel} n={still.n} from "
                f"{since:.1f} s to {until:.1f} s, {len(within)} faults "
                "meanwhile")

    def save(self):
        """Keeps what is needed to understand a failure."""
        if self.logs is None:
            self.logs = Path(tempfile.mkdtemp(
                prefix=f"rd-history-{self.profile.name}-{self.seed}-"))
        self.world.fleet.save_logs(self.logs)
        (self.logs / "story").write_text("\n".join(
            [*self.world.story, "", *map(str, self.found)]) + "\n")
        (self.logs / "publishes").write_text("\n".join(
            map(repr, self.world.publishers.attempts())) + "\n")
        (self.logs / "followed").write_text("\n".join(
            f"{h.who} {h.channel} {e}"
            for h in self.world.followers.histories()
            for e in h.events) + "\n")
