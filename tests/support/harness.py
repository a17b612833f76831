# SPDX-License-Identifier: MIT
"""Private servers and real daemons for tests: start, wait, look, kill.

Every process that is started here carries a mark in its environment, which
its children inherit, so that "nothing is left behind" can be seen, and what a
failed test leaves can be killed, without touching anything else.  Nothing
sleeps for a guess: eventually() polls with a deadline, logs are waited for.

RD_BUILD         the build directory (default: build in the source tree)
RD_REDIS_SERVER  another server program, e.g. valkey-server
"""
import atexit
import base64
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

import redis

REPO = Path(__file__).resolve().parents[2]
SUPPORT = REPO / "tests/support"
BUILD = Path(os.environ.get("RD_BUILD", REPO / "build")).resolve()
REDIS_SERVER = os.environ.get("RD_REDIS_SERVER", "redis-server")
PYTHON = "/usr/bin/python3"
PATIENCE = 15.0         # seconds until something that must happen has failed

PROGRAMS = {
    "redistribute": BUILD / "src/redistribute",
    "gateway": BUILD / "gateway/redistribute-gateway",
    "worker": BUILD / "workers/redistribute-worker",
}

# A shell without job control lets what it runs in the background ignore SIGINT
# and SIGQUIT, and their children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# Everything that was opened; a failed test prints it.
opened = []


def eventually(fn, deadline=PATIENCE, what=None, interval=0.01):
    """Calls fn until it gives something true, and returns that."""
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            last = fn()
            if last:
                return last
        except (AssertionError, OSError, redis.RedisError, LookupError) as e:
            last = e
        if time.monotonic() >= end:
            raise AssertionError(
                f"not within {deadline} s: {what or fn}; last: {last!r}")
        time.sleep(interval)


def holds(fn, seconds, what=None, interval=0.05):
    """fn stays true for a while: for what must not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert fn(), what or "it did not stay so"
        time.sleep(interval)


# --- ports -------------------------------------------------------------------

# Below the range that the kernel takes for outgoing connections.
_next_port = random.Random(os.getpid() ^ time.time_ns()).randrange(15000, 31000)


def _is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count=1):
    """The first of count free ports in a row; given out once."""
    global _next_port
    while True:
        if _next_port + count > 32000:
            _next_port = 15000
        first = _next_port
        _next_port += count
        if all(_is_free(first + i) for i in range(count)):
            return first


# --- processes ---------------------------------------------------------------

MARK = "RD_TEST_MARK"


def new_mark():
    return f"{os.getpid()}.{base64.b32encode(os.urandom(10)).decode()}"


def process_state(pid):
    """The letter of /proc, or None for no process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return f.read().rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    return process_state(pid) not in (None, "Z", "X")


def parent_of(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return int(f.read().rpartition(b")")[2].split()[1])


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def session_of(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return int(f.read().rpartition(b")")[2].split()[3])


def survivors(mark, session):
    """{pid: command} of living processes that carry the mark, or are of the
    session (a Redis writes its title over its environment)."""
    want = f"{MARK}={mark}".encode()
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        try:
            with open(f"/proc/{name}/environ", "rb") as f:
                ours = want in f.read().split(b"\0")
            if (ours or session_of(pid) == session) and alive(pid):
                found[pid] = command_of(pid)
        except OSError:
            continue
    return found


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def kill(pid, sig=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def sanitized(program="gateway"):
    """Built with AddressSanitizer: memory figures mean nothing then."""
    return b"__asan_init" in PROGRAMS[program].read_bytes()


# --- logs --------------------------------------------------------------------

SANITIZER = re.compile(r"(Address|Leak|Thread|Memory)Sanitizer|runtime error:")
_HEAD = re.compile(r"^(?P<time>\S+Z) (?P<level>debug|info|warn|error) "
                   r"(?P<role>[\w-]+)\[(?P<pid>\d+)\](?P<rest> .*)?$")
_FIELD = re.compile(r' ([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE = re.compile(r'\\(x[0-9a-f]{2}|.)')


def _unquote(text):
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(
        lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 3 else m[1],
        text[1:-1])


class Event(dict):
    """The fields of one log line; level, role and pid of the speaker too (the
    line's own fields win, so the speaker's pid is also .speaker)."""

    def __init__(self, line):
        super().__init__()
        self.line = line
        self.speaker = None
        self.level = None
        self.role = None
        if line.startswith("{"):
            self._json(line)
            return
        m = _HEAD.match(line)
        if m is None:
            return
        self.speaker = int(m["pid"])
        self.level = m["level"]
        self.role = m["role"]
        for key, value in _FIELD.findall(m["rest"] or ""):
            self[key] = _unquote(value)

    def _json(self, line):
        with contextlib.suppress(ValueError):
            self.update(json.loads(line))
            self.speaker = self.get("pid")
            self.level = self.get("level")
            self.role = self.get("role")

    def matches(self, event, fields):
        if event is not None and self.get("event") != event:
            return False
        for key, value in fields.items():
            mine = {"speaker": self.speaker, "level": self.level,
                    "by": self.role}.get(key, self.get(key))
            if str(mine) != str(value):
                return False
        return True


class Log:
    """Lines of a stream, collected by a thread; waited for by event name.
    While reading is clear nobody reads them."""

    def __init__(self, stream):
        self.reading = threading.Event()
        self.reading.set()
        self.events = []
        self.changed = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self._collect, args=(stream,),
                                       daemon=True)
        self.thread.start()

    def _collect(self, stream):
        for line in iter(stream.readline, b""):
            self.reading.wait()
            text = line.decode(errors="replace").rstrip("\n")
            with self.changed:
                self.events.append(Event(text))
                self.changed.notify_all()
        stream.close()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, event=None, since=0, **fields):
        with self.changed:
            return [e for e in self.events[since:] if e.matches(event, fields)]

    def position(self):
        """For since=: what is logged from now on."""
        with self.changed:
            return len(self.events)

    def wait(self, event, deadline=PATIENCE, since=0, count=1, **fields):
        """Waits for the count-th such event; returns it."""
        end = time.monotonic() + deadline
        with self.changed:
            while True:
                found = [e for e in self.events[since:]
                         if e.matches(event, fields)]
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if left <= 0 or self.ended:
                    why = "the log ended" if self.ended else f"{deadline} s"
                    raise AssertionError(
                        f"no event {event} {fields} within: {why}\n" +
                        "\n".join(e.line for e in self.events[-20:]))
                self.changed.wait(left)

    def text(self):
        with self.changed:
            return "\n".join(e.line for e in self.events)


# --- one process -------------------------------------------------------------

# Where supervisors are found that a verb is not told of: not the user's own.
STATE = tempfile.mkdtemp(prefix="rd-state-")
atexit.register(shutil.rmtree, STATE, ignore_errors=True)


def clean_environment(more=None):
    """Ours without the settings of another Redistribute."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("REDISTRIBUTE_", "NOTIFY_", "JOURNAL_"))}
    env["XDG_STATE_HOME"] = STATE
    env.update(more or {})
    return env


# What systemd does with the sockets of a unit: sd_listen_fds(3).
ACTIVATOR = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(n), fcntl.F_DUPFD_CLOEXEC, 100)
       for n in sys.argv[1].split(",")]
os.closerange(3, 100)
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)),
                  LISTEN_FDNAMES=":".join(["x"] * len(fds)))
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(argv, sockets):
    """The command that runs argv with sockets handed over."""
    return [PYTHON, "-c", ACTIVATOR,
            ",".join(str(s.fileno()) for s in sockets), *argv]


class Process:
    """A program with its log, in a session of its own, marked.  sockets:
    handed over to it, from descriptor 3 on."""

    def __init__(self, argv, env=None, stdin=None, stdout=None, cwd=None,
                 sockets=()):
        self.argv = [str(a) for a in argv]
        if sockets:
            self.argv = activated(self.argv, sockets)
        self.mark = new_mark()
        self.popen = subprocess.Popen(
            self.argv, env=clean_environment({**(env or {}), MARK: self.mark}),
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stdout=stdout if stdout is not None else subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True, cwd=cwd,
            pass_fds=[s.fileno() for s in sockets])
        self.log = Log(self.popen.stderr)
        opened.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def describe(self):
        return f"$ {' '.join(self.argv)}   (exit {self.popen.poll()})"

    def transcript(self):
        return self.log.text()

    def reports(self):
        """What sanitizers of the compiler have found."""
        return [e.line for e in self.log.find() if SANITIZER.search(e.line)]

    def send(self, sig):
        self.popen.send_signal(sig)

    def wait(self, deadline=PATIENCE):
        """The exit status."""
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still running after {deadline} s: {self.argv}") from None

    def wait_event(self, event, deadline=PATIENCE, **fields):
        return self.log.wait(event, deadline, **fields)

    def left(self):
        return survivors(self.mark, self.pid)

    def stop(self, deadline=40, sig=signal.SIGTERM):
        """A clean stop: the exit status; nothing may be left behind."""
        self.send(sig)
        status = self.wait(deadline)
        eventually(lambda: not self.left(), 2,
                   f"left behind: {self.left()}")
        self.log.thread.join(5)
        return status

    def close(self):
        """Whatever state it is in: no process of it stays."""
        self.log.reading.set()
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        for pid in self.left():
            kill(pid)
        eventually(lambda: not self.left(), 10)
        self.log.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- Redis -------------------------------------------------------------------

class RedisServer:
    """A private server on a unix socket, and on a TCP port where asked to."""

    def __init__(self, *args, tcp=False, persist=False, password=None):
        self.dir = Path(tempfile.mkdtemp(prefix="rd-redis-"))
        self.path = self.dir / "s"
        self.port = free_ports() if tcp else 0
        self.password = password
        self.args = list(args)
        if persist:
            self.args += ["--appendonly", "yes", "--appendfsync", "always"]
        if password:
            self.args += ["--requirepass", password]
        self.process = None
        self.stopped = False
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        self.process = Process(
            [REDIS_SERVER, "--port", self.port, "--bind", "127.0.0.1",
             "--unixsocket", self.path, "--unixsocketperm", "700",
             "--dir", self.dir, "--save", "", "--loglevel", "warning",
             "--logfile", self.dir / "log", *self.args])
        self.stopped = False
        client = self.client()
        eventually(client.ping, 30, f"no PING: {self.log_text()}")
        client.close()

    def log_text(self):
        with contextlib.suppress(OSError):
            return (self.dir / "log").read_text(errors="replace")
        return ""

    @property
    def pid(self):
        return self.process.pid

    @property
    def uri(self):
        if self.password:
            return f"unix://{self.path}?password={quote(self.password)}"
        return f"unix://{self.path}"

    @property
    def tcp_uri(self):
        who = f":{quote(self.password)}@" if self.password else ""
        return f"redis://{who}127.0.0.1:{self.port}"

    def client(self, **more):
        """A foreign client: python3-redis."""
        return redis.Redis(unix_socket_path=str(self.path),
                           password=self.password, **more)

    def cli(self, *words, stdin=None):
        """Another one: redis-cli.  Its output."""
        argv = ["redis-cli", "-s", str(self.path)]
        if self.password:
            argv += ["-a", self.password, "--no-auth-warning"]
        done = subprocess.run(argv + [str(w) if not isinstance(w, bytes) else w
                                      for w in words],
                              input=stdin, capture_output=True, timeout=20,
                              check=True)
        return done.stdout.decode().strip()

    def stop(self):
        """Orderly: it keeps what it has, where it persists."""
        self.resume()
        self.process.stop()

    def crash(self):
        self.process.popen.kill()
        self.process.popen.wait()

    def freeze(self):
        self.process.send(signal.SIGSTOP)
        self.stopped = True

    def resume(self):
        if self.stopped:
            self.process.send(signal.SIGCONT)
        self.stopped = False

    def close(self):
        if self.process:
            self.process.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FakeRedis:
    """Something that speaks the protocol of Redis and answers every command
    with the same words."""

    def __init__(self, answer=b"-ERR this is not the server you want\r\n"):
        self.answer = answer
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.commands = []
        self.links = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.sock.accept()
                self.links.append(link)
                threading.Thread(target=self._serve, args=(link,),
                                 daemon=True).start()

    def _serve(self, link):
        with contextlib.suppress(OSError, ValueError), link, \
                link.makefile("rb") as lines:
            while True:
                head = lines.readline()
                if not head:
                    return
                words = []
                for _ in range(int(head[1:])):
                    n = int(lines.readline()[1:])
                    words.append(lines.read(n + 2)[:n])
                self.commands.append(words)
                link.sendall(self.answer)

    def close(self):
        self.sock.close()
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- the daemons -------------------------------------------------------------

class Daemon(Process):
    """`redistribute start` with free ports and a directory of its own.

    redis: a RedisServer or a URI; None: the embedded server.  wait=False: do
    not wait until it is ready.
    """

    def __init__(self, *args, redis=None, gateways=1, workers=0, wait=True,
                 env=None, data_dir=None, port=None, prefix=None,
                 deadline=30, sockets=()):
        self.own_dir = None
        if data_dir is None:
            self.own_dir = Path(tempfile.mkdtemp(prefix="rd-data-"))
            data_dir = self.own_dir
        self.data_dir = Path(data_dir)
        first = free_ports(1 + max(1, gateways))
        self.port = port or first
        self.ops_port = first + 1
        self.gateways = gateways
        argv = [PROGRAMS["redistribute"], "start",
                "--port", self.port, "--ops-port", self.ops_port,
                "--gateways", gateways, "--workers", workers,
                "--data-dir", self.data_dir]
        if redis is not None:
            self.uri = redis.uri if isinstance(redis, RedisServer) else redis
            # Not on the command line, which every user of a machine can read.
            env = {**(env or {}), "REDISTRIBUTE_TARGETS": self.uri}
        else:
            self.uri = None
            argv += ["--redis-server", shutil.which(REDIS_SERVER)]
        if prefix:
            argv += ["--prefix", prefix]
        super().__init__(argv + list(args), env=env, sockets=sockets)
        if wait:
            try:
                self.wait_event("ready", deadline, speaker=self.pid)
            except BaseException:
                self.close()
                raise

    def children(self, role):
        """{index: pid} of the living children of a role, as the log tells."""
        found = {}
        for e in self.log.find("child.start", speaker=self.pid, role=role):
            found[int(e.get("index", 0))] = int(e["pid"])
        return {i: p for i, p in found.items() if alive(p)}

    def child(self, role, index=0, deadline=PATIENCE):
        """The pid of a living child; waits for it."""
        return eventually(lambda: self.children(role)[index], deadline,
                          f"no {role} {index}")

    def kill_child(self, role, index=0, sig=signal.SIGKILL):
        """Sends a signal to one child; its pid."""
        pid = self.child(role, index)
        kill(pid, sig)
        return pid

    def wait_child(self, role, index=0, other_than=None, deadline=PATIENCE):
        """Waits until a child (another one than that pid) is ready."""
        def ready():
            pid = self.children(role).get(index)
            return (pid if pid and pid != other_than and self.log.find(
                "child.ready", speaker=self.pid, pid=pid) else None)
        return eventually(ready, deadline, f"{role} {index} is not ready")

    def embedded(self, **more):
        """A client of the embedded Redis."""
        path = eventually(lambda: list(self.data_dir.rglob("*.sock")),
                          what="no socket of the embedded Redis")[0]
        return redis.Redis(unix_socket_path=str(path), **more)

    def http(self, path, index=0, port=None, timeout=5):
        """(status, body) from the ops port of one gateway."""
        return http_get(port or self.ops_port + index, path, timeout)

    def close(self):
        super().close()
        if self.own_dir:
            shutil.rmtree(self.own_dir, ignore_errors=True)


def http_get(port, path, timeout=5, method="GET", host="127.0.0.1"):
    """(status, body) by one plain request, written out by hand."""
    with socket.create_connection((host, port), timeout=timeout) as s:
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
                  f"Connection: close\r\n\r\n".encode())
        data = b""
        while True:
            got = s.recv(65536)
            if not got:
                break
            data += got
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode(errors="replace")


def run(*args, deadline=20, env=None, program="redistribute", stdin=None):
    """Runs a verb to its end: (status, stdout, stderr)."""
    if args and args[0] == "check":     # whatever else this machine serves
        first = free_ports(9)
        env = {"REDISTRIBUTE_PORT": str(first),
               "REDISTRIBUTE_OPS_PORT": str(first + 1), **(env or {})}
    done = subprocess.run(
        [str(PROGRAMS[program]), *[str(a) for a in args]],
        env=clean_environment(env), capture_output=True, timeout=deadline,
        input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
        check=False)
    return (done.returncode, done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"))


# --- shapes that several tests need ------------------------------------------

def channel_key(channel, prefix="rd"):
    return f"{prefix}:ch:{channel}"


def xadd(client, channel, fields=None, **named):
    """A foreign XADD; the offset as text."""
    return client.xadd(channel_key(channel), fields or named).decode()


def certificate(directory, name="localhost"):
    """(certificate, key) files, made by openssl; valid for localhost."""
    cert, key = Path(directory) / f"{name}.crt", Path(directory) / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext",
         f"subjectAltName=DNS:{name},IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True, timeout=30)
    return cert, key


def tls_redis(directory):
    """(flags of a redis-server, its port, the certificate to trust)"""
    cert, key = certificate(directory)
    port = free_ports()
    return ["--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
            "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"], port, cert


def exec_handler(mode, *args):
    """A --handler for tests/support/handler.py."""
    words = " ".join(str(a) for a in args)
    return f"exec:{PYTHON} {SUPPORT / 'handler.py'} {mode} {words}".strip()
