# SPDX-License-Identifier: MIT
"""Fixtures of the tests that run real daemons; see tests/README.md.

Whatever a fixture has started is gone when its scope ends, also when a test
fails; a failed test shows the logs of all that was running.
"""
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent / "support"))
pytest.register_assert_rewrite("harness", "peer", "divided", "documents")

# No proxy stands between us and loopback.
for name in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(name, None)
    os.environ.pop(name.upper(), None)

import harness  # noqa: E402
import peer     # noqa: E402

DEADLINE = 60   # seconds for one test, unless it is marked otherwise


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "deadline(seconds): how long this test may take")

    # Told to end (a runner's time limit), tests still end what they started.
    def ended(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, ended)


def pytest_collection_modifyitems(items):
    daemons = any({"e2e", "faults", "docs"} & set(i.path.parts) for i in items)
    needs = [p for p in harness.PROGRAMS.values() if not p.exists()]
    if daemons and needs:
        pytest.exit(f"not built: {needs[0]} (set RD_BUILD)", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A test that hangs fails, and its fixtures are still torn down."""
    mark = item.get_closest_marker("deadline")
    seconds = mark.args[0] if mark else DEADLINE

    def late(*_):
        raise TimeoutError(f"the test took more than {seconds} s")

    ours = threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGALRM, late)
        signal.alarm(seconds)
    yield
    if ours:
        signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed and not getattr(item, "logs_shown", False):
        item.logs_shown = True
        for thing in harness.opened:
            lines = thing.transcript().splitlines()
            if lines:
                report.sections.append(
                    (thing.describe(), "\n".join(lines[-150:])))
    del call


@pytest.fixture(autouse=True)
def forget_closed():
    """What is over is shown by the test in which it ended, and no other."""
    yield
    harness.opened[:] = [p for p in harness.opened if p.popen.poll() is None]


class Started:
    """What one scope has started, ended in reverse order."""

    def __init__(self):
        self.things = []

    def add(self, thing):
        self.things.append(thing)
        return thing

    def redis(self, *args, **more):
        return self.add(harness.RedisServer(*args, **more))

    def daemon(self, *args, **more):
        return self.add(harness.Daemon(*args, **more))

    def process(self, *args, **more):
        return self.add(harness.Process(*args, **more))

    def client(self, daemon, codec="json", **more):
        port = daemon if isinstance(daemon, int) else daemon.port
        return self.add(peer.Client(port, codec, **more))

    def peer(self, daemon, path="/", **more):
        port = daemon if isinstance(daemon, int) else daemon.port
        return self.add(peer.Peer(port, path, **more))

    def end(self):
        errors = []
        for thing in reversed(self.things):
            try:
                (thing.kill if isinstance(thing, peer.Peer) else thing.close)()
                for line in getattr(thing, "reports", list)():
                    raise AssertionError(line)
            except Exception as e:      # the others must be ended all the same
                errors.append(e)
        if errors:
            raise errors[0]


@pytest.fixture
def run():
    """Starts things for one test."""
    started = Started()
    yield started
    started.end()


@pytest.fixture(scope="module")
def run_once():
    """Starts things for all tests of a file."""
    started = Started()
    yield started
    started.end()


@pytest.fixture(scope="module")
def server(run_once):
    """A Redis that the tests of a file share."""
    return run_once.redis()


@pytest.fixture(autouse=True)
def new_teams(request):
    """What a team of this name consumed, and what clients might do, in an
    earlier test on the Redis that a file shares is forgotten: here it begins
    anew."""
    if "server" in request.fixturenames:
        client = request.getfixturevalue("server").client()
        for pattern in ("*:conf:*", "*:rules"):
            for key in client.scan_iter(pattern):
                client.delete(key)
        client.close()


@pytest.fixture(scope="module")
def site(run_once, server):
    """One gateway on that Redis, for tests that do not disturb it."""
    return run_once.daemon(redis=server)


@pytest.fixture
def store(server):
    """python3-redis on the shared server."""
    client = server.client()
    yield client
    client.close()


_count = iter(range(1, 1 << 30))


@pytest.fixture
def channel(request):
    """A channel name that no other test uses."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return f"{name[:60]}-{next(_count)}"


@pytest.fixture
def client(run, site):
    """A JSON client of the shared gateway."""
    return run.client(site)
