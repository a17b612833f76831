# SPDX-License-Identifier: MIT
"""What a seed stands for: a profile says what runs and which faults there are,
the seed draws which of them come when.  The same seed gives the same schedule;
what the processes make of it is theirs.
"""
import random

from history import faults

# What a profile leaves out.
BASE = {
    "about": "",
    "seconds": 14,          # during which faults begin
    "nodes": 2,             # supervisors
    "workers": 2,           # of each
    "gateways": 1,          # of each
    "flags": {"lease": "1s", "batch": 20, "discover": "500ms",
              "drain-timeout": "4s", "answer-timeout": "2s"},
    "us": 200,              # a handler's work on one message
    "divided": 40,          # channels c:0, c:1, ... of the pattern c:*
    "shared": 2,            # named channels s0, s1, ...
    "second": True,         # another team takes what the first one emits
    "rate": 400,            # messages a second, of all publishers
    "roads": ("websocket", "post", "foreign"),
    "hot": 0.5,             # part of the messages that goes to one channel
    "late": 0.02,           # part that has a delayed emit too
    "followers": 3,         # clients; each follows some channels
    "follows": 8,
    "streams": 2,           # of server-sent events
    "wide": 0.3,            # how often all links of a kind are hurt at once
    "pause": (0.1, 1.5),    # seconds between two faults
    "faults": {},           # name -> weight
    "after": (),            # faults when all is quiet, then one message more
    "only": None,           # names of faults: no others
    "persist": True,
    "config": {},           # CONFIG SET of Redis
    "still": False,         # tell how long the longest channel stood still
}

PROFILES = {
    "all": {
        "about": "a bit of everything",
        "faults": {"kill": 4, "stop": 3, "hold": 3, "cut": 3, "late": 3,
                   "delay": 2, "deaf": 2, "restart": 1, "crash": 1, "freeze": 1,
                   "full": 1, "flush_scripts": 1, "kill_clients": 1,
                   "scale": 3, "replace": 1, "reload": 1, "pause": 1,
                   "forget": 1},
        "after": ("deaf_end",),
    },
    "calm": {"about": "no fault at all: whatever fails here is the harness",
             "seconds": 5},
    "workers": {
        "about": "the teams' side: no gateway is hurt",
        "gateways": 1, "followers": 1, "streams": 0,
        "faults": {"kill": 2, "stop": 2, "hold": 2, "cut": 3, "late": 4,
                   "delay": 2, "deaf": 2, "scale": 3, "crash": 1,
                   "replace": 1},
        "kinds": ("worker", "supervisor"),
        "links": ("worker", "worker.bell", "worker.read", "worker.reader"),
        "after": ("deaf_end",),
    },
    "gateways": {
        "about": "the clients' side: gateways die, sleep and are cut off",
        "workers": 1, "divided": 10, "followers": 6, "streams": 4,
        "roads": ("websocket", "post"), "second": False,
        "faults": {"kill": 4, "stop": 3, "hold": 3, "cut": 4, "late": 2,
                   "delay": 2, "deaf": 3, "restart": 1, "crash": 1,
                   "freeze": 1, "kill_clients": 1, "replace": 2, "reload": 1},
        "kinds": ("gateway", "supervisor"),
        "links": ("gateway", "gateway.bell", "gateway.read"),
    },
    "handover": {
        "about": "nobody dies, only scale, under load, with slow answers",
        "divided": 2000, "shared": 0, "second": False, "gateways": 0,
        "roads": ("foreign",), "rate": 1500, "hot": 0.05, "nodes": 1,
        "workers": 3, "followers": 0, "streams": 0, "late": 0, "us": 0,
        "pause": (0.1, 0.7), "seconds": 12, "wide": 1,
        "faults": {"scale": 1, "delay": 1}, "links": ("worker",),
    },
    "late": {
        "about": "reads that arrive after their worker has begun anew",
        "divided": 8, "shared": 1, "second": False, "gateways": 0,
        "roads": ("foreign",), "rate": 300, "hot": 0.3, "nodes": 1,
        "followers": 0, "streams": 0, "late": 0, "us": 1500, "seconds": 10,
        "flags": {"batch": 5, "lease": "2s", "discover": "500ms"},
        "pause": (0.3, 1.0), "faults": {"late": 1, "cut": 0.3},
        "links": ("worker.read",),
    },
    "bell": {
        "about": "words of the doorbell that are lost, and foreign hands",
        "divided": 20, "shared": 1, "second": False, "gateways": 0,
        "roads": ("foreign",), "rate": 100, "hot": 0, "nodes": 1,
        "followers": 0, "streams": 0, "late": 0, "seconds": 8,
        "pause": (0.3, 1.0), "links": ("worker.bell",),
        "faults": {"deaf": 3, "steal": 1, "skip": 1}, "after": ("deaf_end",),
    },
    "second": {
        "about": "Redis loses its last second",
        "divided": 20, "shared": 1, "second": False, "gateways": 0,
        "roads": ("foreign",), "rate": 300, "nodes": 1, "followers": 0,
        "streams": 0, "late": 0, "seconds": 8, "pause": (2.0, 3.0),
        "us": 4000, "faults": {"forget": 3},
    },
    "full": {
        "about": "a team that only consumes, and a Redis that is full",
        "divided": 4, "shared": 0, "second": False, "gateways": 0,
        "roads": ("foreign",), "rate": 50, "followers": 0, "streams": 0,
        "late": 0, "seconds": 5, "pause": (1.5, 2.0),
        "faults": {"full_of_work": 1},
    },
    "foreign": {
        "about": "foreign hands in Redis",
        "divided": 20, "rate": 200, "pause": (0.5, 1.5),
        "faults": {"steal": 2, "skip": 1, "rewind": 1, "trim": 1, "delete": 2,
                   "destroy": 1, "flush_all": 0.5, "kill_clients": 1},
    },
    "ten": {
        "about": "ten minutes: 20,000 channels, scale every 2 s, deaths",
        "seconds": 600, "divided": 20000, "shared": 0, "second": False,
        "nodes": 2, "workers": 4, "gateways": 0, "roads": ("foreign",),
        "rate": 1000, "hot": 0.02, "followers": 0, "streams": 0, "late": 0,
        "us": 0, "pause": (2.0, 2.0), "still": True,
        "config": {"auto-aof-rewrite-percentage": "100"},
        "flags": {"lease": "2s", "discover": "2s", "drain-timeout": "4s"},
        "faults": {"scale_kill": 1}, "kinds": ("worker",) * 6 +
                  ("supervisor",) * 2 + ("redis",),
    },
}


class Profile:
    """What a profile says, with what it leaves out; and names."""

    def __init__(self, name, **more):
        if name not in PROFILES:
            raise ValueError(f"no profile {name}: expected one of "
                             f"{', '.join(PROFILES)}")
        self.name = name
        self.kinds = ("worker", "gateway", "supervisor")
        self.links = ("worker", "worker.bell", "worker.read", "worker.reader",
                      "gateway", "gateway.bell", "gateway.read", "supervisor")
        for key, value in {**BASE, **PROFILES[name], **more}.items():
            setattr(self, key, value)
        if self.only is not None:
            self.faults = {n: w for n, w in self.faults.items()
                           if n in self.only}
            self.after = tuple(n for n in self.after if n in self.only)
        self.flags = {**BASE["flags"], **self.flags}
        if not self.gateways:
            self.kinds = tuple(k for k in self.kinds if k != "gateway")
            self.links = tuple(k for k in self.links
                               if not k.startswith("gateway"))
        self.lease = float(self.flags["lease"].removesuffix("s"))

    @property
    def divided_names(self):
        return [f"c:{i}" for i in range(self.divided)]

    @property
    def shared_names(self):
        return [f"s{i}" for i in range(self.shared)]

    @property
    def patience(self):
        """Seconds without any progress after which something is stuck: a few
        leases on a busy machine and, where words are lost, a sweep of the
        doorbell (every bell within a minute, four of them a second)."""
        deaf = {"deaf", "deaf_end"} & {*self.faults, *self.after}
        sweep = min(60, self.divided / 4) if deaf else 0
        return sweep + 4 * self.lease + 10

    @property
    def still_most(self):
        """Seconds that a message may wait for the first of its channel to be
        finished, when the faults are over: the same, and a thousand channels
        are taken over in each second, however busy the machine is."""
        return self.patience + self.divided / 1000


class Step:
    """One fault: when it begins, which, with what."""

    def __init__(self, at, name, args):
        self.at, self.name, self.args = at, name, args

    def __str__(self):
        words = " ".join(f"{k}={v:.2f}" if isinstance(v, float) else f"{k}={v}"
                         for k, v in self.args.items())
        return f"{self.at:7.2f} s  {self.name} {words}".rstrip()


def draw(profile, seed):
    """The steps of a seed."""
    chance = random.Random(f"{profile.name} {seed}")
    names = list(profile.faults)
    steps, at = [], 0.5
    while at < profile.seconds and names:
        name = chance.choices(names, profile.faults.values())[0]
        steps.append(Step(at, name, faults.draw(name, chance, profile)))
        at += chance.uniform(*profile.pause)
    return steps


def draw_after(profile, seed):
    chance = random.Random(f"{profile.name} {seed} after")
    return [Step(0.0, name, faults.draw(name, chance, profile))
            for name in profile.after]
