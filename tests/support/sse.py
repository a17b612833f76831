# SPDX-License-Identifier: MIT
"""A client of server-sent events, and plain HTTP requests, written by hand.

It reads a stream as HTML section 9.2 says: lines end with LF, CR or both, an
empty one ends an event, and the id stays until another one comes.
"""
import json
import re

import peer

LINE = re.compile(rb"\r\n|\n|\r")


def ask(method, path, body=b"", headers=(), host="localhost", length=None):
    """The bytes of a request; headers: more lines, "Name: value".  length:
    whether a POST tells that it has no body; not where the headers tell of
    one."""
    if length is None:
        length = not re.search(r"Content-Length|Transfer-Encoding",
                               " ".join(headers))
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body or method == "POST" and length:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def answer(sock):
    """(status, head, body) of the answer, up to the end of the connection."""
    data = b""
    while got := sock.recv(65536):
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1"), body


def request(port, method, path, body=b"", headers=()):
    with peer.connect(port) as sock:
        sock.sendall(ask(method, path, body, headers))
        return answer(sock)


def post(port, channel, body, kind=None, query="", headers=()):
    """(status, what the answer says) of publishing one message."""
    more = [f"Content-Type: {kind}"] if kind else []
    if isinstance(body, str):
        body = body.encode()
    status, _, said = request(port, "POST", f"/sse/{channel}{query}", body,
                              [*more, *headers])
    return status, json.loads(said)


class Event:
    def __init__(self, kind, data, last_id):
        self.kind = kind        # "message" where it has none
        self.data = data        # text
        self.id = last_id       # the last id up to here

    def __repr__(self):
        return f"Event({self.kind!r}, {self.data[:60]!r}, {self.id!r})"


class Stream:
    """A stream of one channel; .status, .head and, refused, .body."""

    def __init__(self, port, channel, query="", last=None, headers=(),
                 tls=None, rcvbuf=None, timeout=None, source=None):
        lines = ["Accept: text/event-stream", *headers]
        if last is not None:
            lines.append(f"Last-Event-ID: {last}")
        self.sock = peer.connect(port, tls=tls, rcvbuf=rcvbuf, source=source,
                                 timeout=timeout or peer.PATIENCE)
        self.data = b""
        self.last_id = ""
        self.retry = None
        self.comments = 0
        self.ended = False
        self.body = b""
        self.sock.sendall(ask("GET", f"/sse/{channel}{query}", headers=lines))
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        self.status = int(self.head.split()[1])
        if self.status != 200:
            while self._more():
                pass
            self.body = self.data

    def _more(self):
        got = self.sock.recv(65536)
        self.ended = self.ended or not got
        self.data += got
        return got

    def header(self, name):
        return peer.header_of(self.head, name)

    def _block(self):
        """The lines up to the next empty one; None at the end."""
        lines = []
        while True:
            found = LINE.search(self.data)
            # A CR at the end may be half of a pair.
            while not found or found.end() == len(self.data) and \
                    found[0] == b"\r":
                if not self._more():
                    return None
                found = LINE.search(self.data)
            line = self.data[:found.start()]
            self.data = self.data[found.end():]
            if not line:
                return lines
            lines.append(line.decode())

    def _read(self):
        """Takes one block; the event that it makes, False for none, None at
        the end."""
        lines = self._block()
        if lines is None:
            return None
        kind, data = "message", []
        for line in lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif name == "retry":
                self.retry = int(value)
            elif name == "":
                self.comments += 1
        return bool(data) and Event(kind, "\n".join(data), self.last_id)

    def event(self, timeout=None):
        """The next event; None where the stream has ended."""
        self.sock.settimeout(timeout or peer.PATIENCE)
        while (found := self._read()) is False:
            pass
        return found

    def events(self, count, timeout=None):
        return [self.event(timeout) for _ in range(count)]

    def begun(self):
        """Waits for what comes first; the id that the stream begins with."""
        while self.retry is None:
            assert self._read() is False, "it begins with something else"
        return self.last_id

    def kill(self):
        self.sock.close()

    close = kill
