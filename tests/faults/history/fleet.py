# SPDX-License-Identifier: MIT
"""What is attacked: a Redis, the proxy before it, and supervisors with their
gateways and workers.  Who was killed is started again by tend().
"""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import redis

import harness
from history.proxy import Proxy

TEAM, SECOND = "t", "u"
HANDLER = harness.BUILD / "tests/numbers.so"
CONFIG = 78     # the exit status of who cannot start as it is told
FATAL = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"}


class Store(harness.RedisServer):
    """A Redis that can lose what it has written last."""

    def __init__(self, persist, config):
        words = [w for k, v in config.items() for w in (f"--{k}", v)]
        super().__init__("--auto-aof-rewrite-percentage", "0", *words,
                         persist=persist)

    def log_file(self):
        """The append-only file that is being written."""
        files = [f for f in self.dir.rglob("*.aof*") if f.is_file()
                 and ".base." not in f.name and ".manifest" not in f.name]
        return max(files, key=lambda f: f.stat().st_mtime)

    def mark(self):
        """(ms, bytes): all that was answered before ms is within bytes."""
        with self.client() as client:
            seconds, micros = client.time()
        return seconds * 1000 + micros // 1000, self.log_file().stat().st_size

    def crash_and_forget(self, size):
        """kill -9, and what was written behind `size` is lost."""
        path = self.log_file()
        self.crash()
        os.truncate(path, size)
        # Half a transaction would be repaired by Redis in a way of its own.
        subprocess.run(["redis-check-aof", "--fix", str(path)], input=b"y\n",
                       capture_output=True, check=False, timeout=60)
        self.start()

    def is_up(self):
        return self.process.popen.poll() is None

    def need(self):
        """LookupError: it is down already."""
        if self.stopped or not self.is_up():
            raise LookupError("Redis is away")

    def ensure(self):
        self.resume()
        if not self.is_up():
            self.start()


class Node:
    """A supervisor with its children, started again where it has ended."""

    def __init__(self, fleet, name, team, consume, workers, gateways):
        self.fleet, self.name, self.team = fleet, name, team
        self.dir = Path(tempfile.mkdtemp(prefix=f"rd-history-{name}-"))
        self.gateways, self.workers = gateways, workers
        self.port = harness.free_ports(1 + max(1, gateways))
        self.words = ["--team", team, "--node", name, "--handler",
                      f"{HANDLER}:{fleet.profile.us}"]
        for channel in consume:
            self.words += ["--consume", channel]
        for key, value in fleet.profile.flags.items():
            self.words += [f"--{key}", value]
        self.daemon = None
        self.lives = []         # every Daemon that there was
        self.killed = False

    def start(self, wait=False):
        self.killed = False
        self.daemon = harness.Daemon(
            *self.words, redis=self.fleet.proxy.uri, port=self.port,
            data_dir=self.dir, workers=self.workers, gateways=self.gateways,
            wait=wait)
        self.lives.append(self.daemon)

    def alive(self):
        return self.daemon.popen.poll() is None

    def children(self, role):
        return sorted(self.daemon.children(role).items())

    def kill(self, sig=signal.SIGKILL):
        self.killed = sig == signal.SIGKILL
        self.daemon.send(sig)

    def close(self):
        for daemon in self.lives:
            daemon.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Fleet:
    def __init__(self, profile):
        self.profile = profile
        self.store = Store(profile.persist, profile.config)
        self.dir = Path(tempfile.mkdtemp(prefix="rd-history-"))
        self.proxy = None
        self.nodes = []
        self.stopped = set()    # pids that are stopped
        self.verbs = []         # threads: an operator's words under way
        self.broken = []        # what has ended as nothing may end
        self.seen = {}          # Daemon -> how much of its log was looked at

    def start(self):
        p = self.profile
        self.proxy = Proxy(self.dir / "p", self.store.path)
        for i in range(p.nodes):
            self.nodes.append(Node(self, "AB"[i] if i < 2 else f"N{i}", TEAM,
                                   ["c:*", *p.shared_names], p.workers,
                                   p.gateways))
        if p.second:
            self.nodes.append(Node(self, "U", SECOND, ["out:c:*"], 1, 0))
        for node in self.nodes:
            node.start()
        self.ready()

    def ready(self, deadline=60):
        """Waits until every supervisor is ready."""
        for node in self.nodes:
            harness.eventually(lambda n=node: self.tend() or n.daemon.log.find(
                "ready", speaker=n.daemon.pid), deadline,
                f"supervisor {node.name} is not ready", 0.05)

    def client(self, **more):
        return self.store.client(socket_timeout=30, **more)

    def tend(self):
        """Starts those again that have ended; looks for deaths of their
        own."""
        for node in self.nodes:
            self._look(node)
            if not node.alive():
                status = node.daemon.popen.returncode
                if status < 0 and not node.killed:
                    self.broken.append(f"supervisor {node.name} has ended by "
                                       f"signal {-status}")
                if status == CONFIG:
                    raise RuntimeError(f"supervisor {node.name} refuses: "
                                       f"{node.daemon.log.text()[-300:]}")
                node.start()

    def _look(self, node):
        log = node.daemon.log
        since, self.seen[node.daemon] = (self.seen.get(node.daemon, 0),
                                         log.position())
        for e in log.find("child.exit", since):
            if e.get("signal") in FATAL or e.get("why") in FATAL:
                self.broken.append(e.line)
        for e in log.find(None, since):
            if harness.SANITIZER.search(e.line) or "Assertion" in e.line:
                self.broken.append(e.line)

    def pids(self, kind):
        """[(what, pid)] of the living processes of a kind."""
        if kind == "redis":
            return [("redis", self.store.pid)]
        if kind == "supervisor":
            return [(f"supervisor {n.name}", n.daemon.pid)
                    for n in self.nodes if n.alive()]
        return [(f"{kind} {n.name}.{i}", pid) for n in self.nodes
                for i, pid in n.children(kind)]

    def signal(self, kind, pick, sig):
        """To one process of a kind; (what, pid)."""
        found = self.pids(kind)
        if not found:
            raise LookupError(f"no {kind}")
        what, pid = found[int(pick * len(found))]
        if kind == "supervisor":
            node = next(n for n in self.nodes if n.daemon.pid == pid)
            node.kill(sig)
        else:
            harness.kill(pid, sig)
        if sig == signal.SIGSTOP:
            self.stopped.add(pid)
        return what, pid

    def resume(self, pid):
        if pid in self.stopped:
            self.stopped.discard(pid)
            harness.kill(pid, signal.SIGCONT)

    def verb(self, *words):
        """An operator's verb, on the Redis itself; it is not waited for,
        because Redis may be away."""
        self.verbs.append(threading.Thread(daemon=True, target=harness.run,
            args=words, kwargs={
                "deadline": 40,
                "env": {"REDISTRIBUTE_TARGETS": self.store.uri}}))
        self.verbs[-1].start()

    def verbs_done(self):
        while self.verbs:
            self.verbs.pop().join()

    def ports(self):
        return [n.port for n in self.nodes if n.gateways]

    def heal(self):
        """No fault is left; everybody is there again."""
        for pid in list(self.stopped):
            harness.kill(pid, signal.SIGCONT)
        self.stopped.clear()
        self.store.ensure()
        with self.client() as client:
            client.config_set("maxmemory", 0)
            self.verbs_done()
            paused = [f.decode().partition(":")[2]
                      for f in client.hkeys(f"rd:conf:{TEAM}")
                      if f.startswith(b"pause:")]
        self.proxy.heal()
        self.ready()
        for what in paused:
            self.verb("resume", "--team", TEAM, what)
        self.verbs_done()

    def stop(self):
        """Orderly; what was not as it should be, in words."""
        wrong = []
        for node in self.nodes:
            node.daemon.send(signal.SIGTERM)
        end = time.monotonic() + 40
        for node in self.nodes:
            try:
                status = node.daemon.wait(max(1, end - time.monotonic()))
            except AssertionError as e:
                wrong.append(f"supervisor {node.name} does not stop: {e}")
                continue
            if status != 0:
                wrong.append(f"supervisor {node.name} stopped with {status}")
            self._look(node)
        for node in self.nodes:
            for daemon in node.lives:
                try:
                    harness.eventually(lambda d=daemon: not d.left(), 10)
                except AssertionError:
                    wrong.append(f"left behind by {node.name}: {daemon.left()}")
        return wrong + self.broken

    def close(self):
        for node in self.nodes:
            node.close()
        if self.proxy:
            self.proxy.close()
        self.store.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def save_logs(self, folder):
        for node in self.nodes:
            for i, daemon in enumerate(node.lives):
                (folder / f"{node.name}.{i}.log").write_text(
                    daemon.log.text() + "\n")
        (folder / "redis.log").write_text(self.store.log_text())
        with contextlib.suppress(OSError, redis.RedisError):
            with self.client() as client:
                client.save()
            shutil.copy(self.store.dir / "dump.rdb", folder)


def cpu_seconds(pid):
    """What a process has used so far; 0: it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            words = f.read().rpartition(b")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
