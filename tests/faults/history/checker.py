# SPDX-License-Identifier: MIT
"""The promises, judged by what Redis holds, what publishers were answered and
what followers were given.

A violation is final (nothing can mend it: doubled, out of order) or may still
be mended (not handled yet); those are waited for while anything moves.
"""
import json
import re
import time
import typing

from harness import channel_key
from history.fleet import SECOND, TEAM, cpu_seconds

PAGE = 2000             # replies of one pipeline
CPU_MAX = 0.3           # of a processor, for one process when all is quiet
COMMANDS_MAX = 150      # a second, for each process, when all is quiet
QUIET_WITHIN = 25       # seconds until it must be


def key(offset):
    ms, _, seq = offset.partition("-")
    return int(ms), int(seq or 0)


class Allowed:
    """What the faults of this round may have caused."""

    def __init__(self):
        self.windows = []       # [from, to] in ms: stored then, perhaps lost
        self.gone = {}          # channel -> ids that may be missing
        self.odd = {}           # channel -> ids: handled or not, in any order
        self.again = set()      # channels that may be handled again

    def lose(self, since):
        """The window; [1] is set when the loss is over."""
        self.windows.append([since, float("inf")])
        return self.windows[-1]

    def vanish(self, channel, ids):
        self.gone.setdefault(channel, set()).update(ids)

    def out_of_turn(self, channel, ids):
        self.odd.setdefault(channel, set()).update(ids)

    def repeat(self, channel):
        # What is emitted twice is taken twice by the next team.
        self.again.update((channel, f"out:{channel}"))

    def may_lack(self, channel, offset):
        ms = key(offset)[0]
        return offset in self.gone.get(channel, ()) or \
            any(a <= ms <= b for a, b in self.windows)

    def any_loss(self):
        return bool(self.windows or self.gone)


class Still(typing.NamedTuple):
    """A message waited, and nothing of its channel was finished."""

    ms: int = 0             # for so long
    channel: str = ""
    n: int = 0
    since: int = 0          # by the clock of Redis, ms


class Violation:
    def __init__(self, promise, text, final=False):
        self.promise, self.text, self.final = promise, text, final

    def __str__(self):
        return f"{self.promise}: {self.text}"


def number_of(fields):
    return json.loads(fields[b"json"])["n"]


class Snapshot:
    """All streams that matter, as they are in Redis now."""

    def __init__(self, store, channels):
        self.streams = {}       # channel -> [(offset, n)]
        for at in range(0, len(channels), PAGE):
            part = channels[at:at + PAGE]
            pipe = store.pipeline(transaction=False)
            for c in part:
                pipe.xrange(channel_key(c))
            for c, rows in zip(part, pipe.execute()):
                self.streams[c] = [(i.decode(), number_of(f))
                                   for i, f in rows]


class Checker:
    def __init__(self, world):
        self.world = world
        p = world.profile
        self.inputs = [*p.divided_names, *p.shared_names]
        self.outs = [f"out:{c}" for c in self.inputs]
        self.lates = [f"late:{c}" for c in self.inputs] if p.late else []
        self.seconds = [f"out:out:{c}" for c in p.divided_names] \
            if p.second else []
        self.still = Still()    # the longest of all
        self.still_after = Still()      # the longest after the last fault
        self.rate = 0           # commands a second when all was quiet

    # --- has it moved? --------------------------------------------------------

    def progress(self):
        """Something that is equal while nothing happens; and how many are
        not handled, roughly."""
        names = self.inputs + self.outs + self.seconds + self.lates
        lengths = []
        for at in range(0, len(names), PAGE):
            pipe = self.world.store.pipeline(transaction=False)
            for c in names[at:at + PAGE]:
                pipe.xlen(channel_key(c))
            lengths += pipe.execute()
        n = len(self.inputs)
        left = sum(max(0, a - b) for a, b in zip(lengths[:n], lengths[n:]))
        return (sum(lengths), self.world.followers.count()), left

    # --- promises -------------------------------------------------------------

    def violations(self):
        # Things may still move: what follows from something is read before it.
        self.still = self.still_after = Still()
        told = [(h, list(h.events)) for h in self.world.followers.histories()]
        snapshot = Snapshot(self.world.store, self.seconds + self.lates +
                            self.outs + self.inputs)
        return [*self.stored(snapshot), *self.handled(snapshot),
                *self.delivered(snapshot, told), *self.settled(),
                *self.shared_out()]

    def stored(self, snapshot):
        """Every answered publish is in its channel, at its offset; every other
        one at most once."""
        allowed = self.world.allowed
        held = {c: dict(snapshot.streams[c]) for c in self.inputs}
        times = {}
        for c in self.inputs:
            for _, n in snapshot.streams[c]:
                times[c, n] = times.get((c, n), 0) + 1
        for a in self.world.publishers.attempts():
            if a.state == "answered":
                if held[a.channel].get(a.offset) != a.n and \
                        not allowed.may_lack(a.channel, a.offset):
                    yield Violation("an answered publish is stored",
                                    f"{a} is not", True)
            elif a.state == "refused" and times.get((a.channel, a.n)):
                yield Violation("a refused publish is not stored",
                                f"{a} is", True)
            if times.get((a.channel, a.n), 0) > 1:
                yield Violation("a publish is stored once", f"{a} is "
                                f"there {times[a.channel, a.n]} times", True)

    def source(self, snapshot, channel):
        """What went into a channel and must come out, in order: what is there,
        and what is not there any more and was answered."""
        rows = dict(snapshot.streams[channel])
        if gone := self.world.allowed.gone.get(channel):
            for a in self.answered.get(channel, ()):
                if a.offset in gone:
                    rows.setdefault(a.offset, a.n)
        return sorted(((o, n) for o, n in rows.items()
                       if (channel, n) not in self.mute),
                      key=lambda row: key(row[0]))

    def handled(self, snapshot):
        self.answered = {}
        self.mute = {(a.channel, a.n) for a in self.world.publishers.attempts()
                     if "mute" in a.more}
        for a in self.world.publishers.attempts():
            if a.state == "answered":
                self.answered.setdefault(a.channel, []).append(a)
        p = self.world.profile
        divided = set(p.divided_names)
        for c in self.inputs:
            yield from self.pair(snapshot, c, f"out:{c}", c in divided)
        for c in p.divided_names if p.second else ():
            yield from self.pair(snapshot, f"out:{c}", f"out:out:{c}", True)
        if self.lates:
            yield from self.delayed(snapshot)

    def pair(self, snapshot, source, target, ordered):
        """What was emitted from one channel into another."""
        allowed = self.world.allowed
        rows = self.source(snapshot, source)
        place = {n: i for i, (_, n) in enumerate(rows)}
        optional = allowed.odd.get(source, set()) | \
            allowed.gone.get(source, set())
        seen, last = {}, -1
        for offset, n in snapshot.streams[target]:
            if n not in place:
                if not allowed.any_loss():
                    yield Violation("an emit has a cause", f"{target} "
                                    f"{offset} n={n}: nothing in {source}",
                                    True)
                continue
            at = place[n]
            if n in seen:
                if source not in allowed.again:
                    yield Violation(
                        "an emit appears exactly once", f"{source} "
                        f"{rows[at][0]} n={n} is in {target} at {seen[n]} "
                        f"and at {offset}", True)
                continue
            seen[n] = offset
            if rows[at][0] in optional or source in allowed.again:
                continue
            if ordered and at < last:
                yield Violation(
                    "a divided channel keeps its order", f"{source} "
                    f"{rows[at][0]} n={n} was handled ({target} {offset}) "
                    f"after {rows[last][0]} n={rows[last][1]}", True)
            else:
                last = at
        missing = [(o, n) for o, n in rows if n not in seen
                   and o not in optional]
        if missing:
            yield Violation("every message of a team is handled",
                            f"{source}: {len(missing)} of {len(rows)} are "
                            f"not, first {missing[0][0]} n={missing[0][1]}, "
                            f"last {missing[-1][0]} n={missing[-1][1]}; "
                            f"{self.where(source, missing[0][0])}")
        if ordered:
            yield from self.moves(source, rows, snapshot.streams[target])

    def where(self, channel, offset):
        """In whose hands a message is."""
        team = SECOND if channel.startswith("out:") else TEAM
        try:
            found = self.world.store.xpending_range(
                channel_key(channel), team, offset, offset, 1)
        except Exception as e:
            return str(e)
        return f"it is pending with {found[0]['consumer'].decode()}" \
            if found else "it is pending with nobody"

    def moves(self, channel, rows, out):
        """For how long something waited there and nothing was finished."""
        begun, before = {n: key(o)[0] for o, n in rows}, 0
        over = self.world.over_ms
        for offset, n in out:
            at = key(offset)[0]
            if n in begun:
                since = max(before, begun[n])
                self.still = max(self.still, Still(at - since, channel, n,
                                                   since))
                since = max(since, over)
                self.still_after = max(self.still_after, Still(
                    at - since, channel, n, since))
                if at - since > self.world.profile.still_most * 1000:
                    yield Violation(
                        "a channel moves when the faults are over",
                        f"{channel} n={n} waited {(at - since) / 1000:.1f} s",
                        True)
            before = at

    def delayed(self, snapshot):
        """Delayed emits: exactly once, too."""
        want = {(a.channel, a.n) for a in self.world.publishers.attempts()
                if "late" in a.more}
        allowed = self.world.allowed
        for c in self.inputs:
            seen = set()
            for offset, n in snapshot.streams[f"late:{c}"]:
                if n in seen and c not in allowed.again:
                    yield Violation("a delayed emit appears exactly once",
                                    f"late:{c} {offset} n={n}", True)
                seen.add(n)
            optional = allowed.odd.get(c, set()) | allowed.gone.get(c, set())
            missing = [n for o, n in self.source(snapshot, c)
                       if (c, n) in want and n not in seen
                       and o not in optional]
            if missing:
                yield Violation("a delayed emit appears", f"late:{c}: "
                                f"{len(missing)} do not, first {missing[0]}")

    def delivered(self, snapshot, told):
        """Every follower was given everything once and in order, or told of
        a gap."""
        allowed = self.world.allowed
        for h, events in told:
            held = dict(snapshot.streams[h.channel])
            who = f"{h.who}, {h.channel}"
            got, gaps, last = set(), [], (0, 0)
            for kind, offset, *more in events:
                if kind == "gap":
                    end = key(more[0])
                    gaps.append((key(offset) if offset else (0, 0), end))
                    if not allowed.any_loss():
                        yield Violation("a gap is told where something is "
                                        "lost", f"{who}: {offset} to "
                                        f"{more[0]}, and nothing was", True)
                    elif end < last or more[1]:
                        last = (0, 0)
                    continue
                if key(offset) <= last:
                    yield Violation("a follower is given everything once and "
                                    "in order", f"{who}: {offset} after "
                                    f"{last[0]}-{last[1]}", True)
                last = key(offset)
                got.add(offset)
                if held.get(offset, more[0]) != more[0] or (
                        offset not in held and not allowed.any_loss()):
                    yield Violation("a follower is given what was stored",
                                    f"{who}: {offset} n={more[0]}, stored is "
                                    f"{held.get(offset)}", True)
            missing = [o for o in held if o not in got and not any(
                a < key(o) <= b for a, b in gaps)]
            if missing:
                yield Violation("every message is delivered to every follower",
                                f"{who}: {len(missing)} of {len(held)} are "
                                f"not, first {missing[0]}",
                                key(missing[0]) < last)

    # --- nothing is left ------------------------------------------------------

    def settled(self):
        """Nothing is pending, no companion and no name of the dead is left."""
        store, p = self.world.store, self.world.profile
        teams = [(c, TEAM) for c in self.inputs]
        if p.second:
            teams += [(f"out:{c}", SECOND) for c in p.divided_names]
        alive = {n.decode() for t in (TEAM, SECOND)
                 for n in store.zrange(f"rd:team:{t}", 0, -1)}
        for at in range(0, len(teams), PAGE):
            part = teams[at:at + PAGE]
            pipe = store.pipeline(transaction=False)
            for c, team in part:
                pipe.xinfo_consumers(channel_key(c), team)
            for (c, team), rows in zip(part, pipe.execute(
                    raise_on_error=False)):
                for row in rows if isinstance(rows, list) else ():
                    yield from self.consumer(c, row, alive)
        for name in store.scan_iter("rd:*", 5000):
            name = name.decode()
            if re.match(r"rd:(tries:|later:|delayed)", name):
                yield Violation("no key is left behind", name)
            elif re.match(r"rd:(gw|node):", name) and store.ttl(name) == -1:
                yield Violation("no key is left behind",
                                f"{name} does not expire")
        if n := store.xlen(f"rd:dead:{TEAM}"):
            yield Violation("nothing is a dead letter that did not fail",
                            f"{n} are", True)

    def consumer(self, channel, row, alive):
        name, pending = row["name"].decode(), row["pending"]
        intruder = name == "intruder"
        if pending and not (intruder and channel in self.world.allowed.odd):
            yield Violation("nothing is pending at the end",
                            f"{channel}: {pending} with {name}")
        life = re.sub(r"^=(.*)\.[\d-]+$", r"\1", name)
        if not intruder and life not in alive and not name.startswith("=l"):
            yield Violation("no name of the dead is left",
                            f"{channel}: {name}")

    def shared_out(self):
        """Every slot belongs to somebody who lives, nobody has too many."""
        store = self.world.store
        if not self.world.profile.divided:
            return
        slots = {k.decode(): v.decode() for k, v in
                 store.hgetall(f"rd:slots:{TEAM}").items()}
        alive = [n.decode() for n in store.zrange(f"rd:team:{TEAM}", 0, -1)
                 if not n.startswith(b"=")]
        owned = {}
        for slot, value in slots.items():
            if slot.isdigit():
                owner = value.partition(" ")[2]
                owned[owner] = owned.get(owner, 0) + 1
        quota = -(-256 // max(1, len(alive)))
        for owner, n in owned.items():
            if owner not in alive or n > quota:
                yield Violation("slots are shared out evenly", f"{owner} has "
                                f"{n}, quota {quota}, alive {alive}")

    def spinning(self):
        """Violations, where after a while there still is no quiet."""
        end = time.monotonic() + QUIET_WITHIN
        while True:
            found = self._busy(2.0)
            if not found or time.monotonic() > end:
                return found

    def _busy(self, seconds):
        fleet, store = self.world.fleet, self.world.store
        pids = [x for kind in ("redis", "supervisor", "gateway", "worker")
                for x in fleet.pids(kind)]
        def commands():
            return store.info("stats")["total_commands_processed"]
        before = {pid: cpu_seconds(pid) for _, pid in pids}
        count, began = commands(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        self.rate = (commands() - count) / took
        # Each lane is looked at once in a lease, by a few commands.
        most = (COMMANDS_MAX * len(pids) +
                3 * len(self.inputs) / self.world.profile.lease)
        found = [Violation("no process spins", f"{what} uses "
                           f"{(cpu_seconds(pid) - before[pid]) / took:.0%} of "
                           "a processor when all is quiet", True)
                 for what, pid in pids
                 if (cpu_seconds(pid) - before[pid]) / took > CPU_MAX]
        if self.rate > most:
            found.append(Violation(
                "no process spins", f"Redis runs {self.rate:.0f} commands a "
                "second when all is quiet", True))
        return found
