# SPDX-License-Identifier: MIT
"""A proxy between the programs and Redis that knows each link by its name.

It runs in a process of its own, so that the links do not wait for the threads
of the harness.  Every connection has two ways, "requests" and "replies"; what
comes along one waits in a queue until it may go: not while the way is held,
and not before its delay is over (a delay drawn anew for each piece of each
link is how links overtake one another, while each keeps its order).

An end of file waits in the same queue.  So what a client had sent before it
hung up still reaches Redis, be it minutes later: a LATE command.  orphan()
makes that on purpose; cut() loses what was under way.

Names are those of CLIENT SETNAME: <node>.gateway.<n>, <node>.supervisor.<n>,
<node>:<n>.<life> for a worker's commands, and .bell, .read, .reader behind.
"""
import asyncio
import collections
import contextlib
import multiprocessing
import os
import random
import re
import time

WAYS = ("requests", "replies")
NAME = re.compile(rb"SETNAME\r\n\$\d+\r\n([^\r]*)\r\n")
WORD = b"*3\r\n$7\r\nmessage\r\n"       # a pushed word of the doorbell
AFTER = 1.0     # seconds for the answers to late commands, which nobody hears

KINDS = {       # kind of link -> what its name looks like
    "worker": re.compile(r"^[^:]+:\d+\.[0-9a-f]+$"),
    "worker.bell": re.compile(r":.*\.bell$"),
    "worker.read": re.compile(r":.*\.read$"),
    "worker.reader": re.compile(r":.*\.reader$"),
    "gateway": re.compile(r"\.gateway\.\d+$"),
    "gateway.bell": re.compile(r"\.gateway\.\d+\.bell$"),
    "gateway.read": re.compile(r"\.gateway\.\d+\.read$"),
    "supervisor": re.compile(r"\.supervisor\.\d+$"),
    "any": re.compile(r"."),
}


def reply_end(data, at=0):
    """Where the reply of RESP2 that begins at `at` ends; -1: not yet there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return -1
    head, n = data[at:at + 1], data[at + 1:line]
    end = line + 2
    if head == b"$" and int(n) >= 0:
        end += int(n) + 2
        return end if end <= len(data) else -1
    if head == b"*":
        for _ in range(max(0, int(n))):
            end = reply_end(data, end)
            if end < 0:
                return -1
    return end


class _Way(asyncio.Protocol):
    """One direction of one link.  It is the protocol of its source."""

    def __init__(self, link):
        self.link = link
        self.queue = collections.deque()        # (due, bytes); b"": the end
        self.held = False
        self.delay = 0.0        # seconds, at most
        self.due = 0.0          # of the last piece in the queue
        self.timer = None
        self.target = None      # a transport
        self.dropping = False   # pushed words are lost
        self.rest = b""         # part of a reply, while words are looked for

    def connection_made(self, transport):
        self.link.made(self, transport)

    def data_received(self, data):
        self.link.look(self, data)
        if self.dropping or self.rest:
            data = self._without_words(self.rest + data)
        if data:
            self._put(data)

    def eof_received(self):
        self._put(b"")
        return True     # the other way goes on

    def connection_lost(self, exc):
        self._put(b"")

    def _without_words(self, data):
        kept, at = [], 0
        while (end := reply_end(data, at)) >= 0 and at < len(data):
            if not self.dropping or not data.startswith(WORD, at):
                kept.append(data[at:end])
            at = end
        self.rest = data[at:]
        return b"".join(kept)

    def _put(self, data):
        if self.link.closed or (self.queue and not data
                                and not self.queue[-1][1]):
            return
        if self.delay:
            self.due = max(self.due, time.monotonic() +
                           random.random() * self.delay)
        self.queue.append((self.due, data))
        self.pump()

    def pump(self):
        while self.queue and not self.held and not self.link.closed:
            due, data = self.queue[0]
            wait = due - time.monotonic()
            if wait > 0:
                if self.timer is None:
                    self.timer = asyncio.get_running_loop().call_later(
                        wait, self._later)
                return
            self.queue.popleft()
            if not data:
                self.link.ended(self)
            elif self.target is not None and not self.target.is_closing():
                self.target.write(data)

    def _later(self):
        self.timer = None
        self.pump()

    def hold(self, on):
        self.held = on
        self.pump()


class _Link:
    def __init__(self, proxy):
        self.proxy = proxy
        self.name = ""
        self.born = time.monotonic()
        self.closed = False
        self.orphaned = False
        self.ways = {way: _Way(self) for way in WAYS}

    def made(self, way, transport):
        if way is self.ways["requests"]:        # a client has come
            self.ways["replies"].target = transport
            self.proxy.links.append(self)
            way.held = True
            asyncio.ensure_future(self._connect())
        else:
            self.ways["requests"].target = transport

    async def _connect(self):
        try:
            await asyncio.get_running_loop().create_unix_connection(
                lambda: self.ways["replies"], self.proxy.server)
        except OSError:
            return self.close()
        return self.ways["requests"].hold(False)

    def look(self, way, data):
        if not self.name and way is self.ways["requests"]:
            if found := NAME.search(data):
                self.name = found[1].decode()

    def ended(self, way):
        """What came before the end has been sent on."""
        if way is self.ways["replies"]:
            self.close()
        elif not self.orphaned:
            # Redis answers a half-closed client, and nobody hears it.
            self.orphaned = True
            asyncio.get_running_loop().call_later(AFTER, self.close)

    def close(self):
        self.closed = True
        with contextlib.suppress(ValueError):
            self.proxy.links.remove(self)
        for way in self.ways.values():
            if way.timer:
                way.timer.cancel()
            if way.target:
                way.target.abort()

    def orphan(self, after):
        """The client sees a cut; what it has sent arrives so much later."""
        way, loop = self.ways["requests"], asyncio.get_running_loop()
        sent = sum(len(data) for _, data in way.queue)
        way.held = self.orphaned = True
        client, self.ways["replies"].target = self.ways["replies"].target, None
        client.abort()
        loop.call_later(after, way.hold, False)
        loop.call_later(after + AFTER, self.close)
        return sent


class _Proxy:
    """What runs in the other process."""

    def __init__(self, path, server, pipe):
        self.path, self.server, self.pipe = path, server, pipe
        self.links = []

    def find(self, kind, pick):
        """Links of a kind: all, or the one that `pick` (0 to 1) points at."""
        found = sorted((link for link in self.links if link.name
                        and not link.orphaned
                        and KINDS[kind].search(link.name)),
                       key=lambda link: (link.name, link.born))
        if pick is None or not found:
            return found
        return [found[int(pick * len(found))]]

    # --- what can be asked for ----------------------------------------------

    async def set(self, kind, pick, way, **what):
        """held, delay, dropping of one way of these links."""
        found = self.find(kind, pick)
        for link in found:
            for name, value in what.items():
                setattr(link.ways[way], name, value)
            link.ways[way].pump()
        return [link.name for link in found]

    async def cut(self, kind, pick):
        found = self.find(kind, pick)
        for link in found:
            link.close()
        return [link.name for link in found]

    async def orphan(self, kind, pick, patience, more, after):
        """Holds the requests of these links until there are some (or patience
        is over), and a moment more; then cuts; they arrive after that."""
        found = self.find(kind, pick)
        for link in found:
            link.ways["requests"].held = True
        end = time.monotonic() + patience
        while time.monotonic() < end and \
                not any(link.ways["requests"].queue for link in found):
            await asyncio.sleep(0.002)
        await asyncio.sleep(more)
        return [f"{link.name} {link.orphan(after)} bytes" for link in found
                if not link.closed and link.ways["replies"].target]

    async def heal(self):
        """All goes on its way, now."""
        for link in list(self.links):
            for way in link.ways.values():
                way.delay, way.dropping, way.due = 0.0, False, 0.0
                way.queue = collections.deque((0.0, d) for _, d in way.queue)
                if not link.orphaned:
                    way.hold(False)
        return None

    # --- its life -------------------------------------------------------------

    def _asked(self):
        try:
            verb, args, more = self.pipe.recv()
        except EOFError:
            os._exit(0)
        asyncio.ensure_future(self._answer(verb, args, more))

    async def _answer(self, verb, args, more):
        try:
            self.pipe.send(await getattr(self, verb)(*args, **more))
        except Exception as e:          # told to who has asked
            self.pipe.send(e)

    async def run(self):
        loop = asyncio.get_running_loop()
        loop.add_reader(self.pipe.fileno(), self._asked)
        await loop.create_unix_server(
            lambda: _Link(self).ways["requests"], self.path, backlog=512)
        self.pipe.send("up")
        await asyncio.Event().wait()


def _main(path, server, pipe):
    asyncio.run(_Proxy(path, server, pipe).run())


class Proxy:
    """Its handle: proxy.hold(...), from one thread."""

    def __init__(self, path, server):
        self.uri = f"unix://{path}"
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(
            target=_main, args=(str(path), str(server), theirs), daemon=True)
        self.process.start()
        theirs.close()
        self._take(20)

    def _take(self, seconds):
        if not self.pipe.poll(seconds):
            raise TimeoutError("the proxy does not answer")
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __getattr__(self, verb):
        def ask(*args, **more):
            self.pipe.send((verb, args, more))
            return self._take(30)
        return ask

    def close(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()
