# SPDX-License-Identifier: MIT
"""A WebSocket client written from RFC 6455, with the standard library alone.

It shares nothing with the gateway's codec, and it can misbehave: any bytes,
any frame, any cut.  Peer is one connection and speaks frames; Client speaks
the protocol of gateway/PROTOCOL.md on top of it, in JSON or MessagePack; pump()
serves very many of them from one thread.

Nothing here waits without a deadline.
"""
import base64
import hashlib
import json
import os
import select
import selectors
import socket
import struct
import time
import zlib

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 4         # of a message that is compressed, RFC 7692
TAIL = b"\0\0\xff\xff"
PATIENCE = 10.0  # seconds until a missing answer is a failure


class Closed(Exception):
    """The gateway has closed.  code: of its close frame; None: there was no
    close frame; 1005: it held no code."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed: {code} {reason}")
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The handshake was answered by something else than 101."""

    def __init__(self, status, head, body):
        super().__init__(f"refused: {status} {body!r}")
        self.status = status
        self.head = head
        self.body = body

    def header(self, name):
        return header_of(self.head, name)


def header_of(head, name):
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.strip().lower() == name.lower():
            return value.strip()
    return None


def mask_bytes(payload, key):
    if not payload or key == b"\0\0\0\0":
        return bytes(payload)
    n = len(payload)
    pad = (key * (n // 4 + 1))[:n]
    both = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return both.to_bytes(n, "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, size=None,
          announce=None):
    """One frame.  mask: True for a random key, False for none, or the key.
    size: 7, 16 or 64 forces the form of the length; announce: another length
    than the payload's."""
    if isinstance(payload, str):
        payload = payload.encode()
    n = len(payload) if announce is None else announce
    if size is None:
        size = 7 if n < 126 else 16 if n < 65536 else 64
    bit = 0x80 if mask is not False else 0
    out = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size == 7:
        out += bytes([bit | n])
    elif size == 16:
        out += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        out += bytes([bit | 127]) + struct.pack(">Q", n)
    if mask is False:
        return out + payload
    key = os.urandom(4) if mask is True else mask
    return out + key + mask_bytes(payload, key)


def deflate(payload, bits=15, level=6, memory=8, final=False):
    """A payload as RFC 7692 section 7.2.1 wants it compressed, to be sent with
    rsv=RSV1.  final: the last block says that it is the last (7.2.3.4)."""
    if isinstance(payload, str):
        payload = payload.encode()
    machine = zlib.compressobj(level, zlib.DEFLATED, -bits, memory)
    if final:
        return (machine.compress(payload) + machine.flush(zlib.Z_FINISH) +
                b"\0")
    out = machine.compress(payload) + machine.flush(zlib.Z_SYNC_FLUSH)
    assert out.endswith(TAIL)
    return out[:-4]


def inflate(payload, bits=15):
    """What a compressed payload stands for, where nothing was taken over."""
    machine = zlib.decompressobj(-bits)
    out = machine.decompress(payload + TAIL)
    assert not machine.unused_data and not machine.unconsumed_tail
    return out


def close_frame(code=None, reason=b"", **more):
    if isinstance(reason, str):
        reason = reason.encode()
    payload = b"" if code is None else struct.pack(">H", code) + reason
    return frame(CLOSE, payload, **more)


def handshake(path="/", host="localhost", protocol=None, origin=None,
              headers=(), key=None, version="13", method="GET"):
    """The bytes of an opening handshake; headers: more lines, "Name: value".
    None for version, or "" for the key, leaves that line out."""
    if key is None:
        key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}",
             "Upgrade: websocket", "Connection: Upgrade"]
    if key:
        lines.append(f"Sec-WebSocket-Key: {key}")
    if version is not None:
        lines.append(f"Sec-WebSocket-Version: {version}")
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    if origin:
        lines.append(f"Origin: {origin}")
    lines += list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), key


def connect(port, host="127.0.0.1", tls=None, timeout=PATIENCE, rcvbuf=None,
            source=None):
    """A connected socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            sock.bind((source, 0))
        sock.settimeout(timeout)
        sock.connect((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname="localhost")
        return sock
    except BaseException:
        sock.close()
        raise


class Frame:
    """One frame as it came."""

    def __init__(self, fin, rsv, opcode, payload):
        self.fin = fin
        self.rsv = rsv
        self.opcode = opcode
        self.payload = payload

    def __repr__(self):
        return (f"Frame(opcode={self.opcode} fin={self.fin} "
                f"{len(self.payload)} bytes {self.payload[:60]!r})")


class Peer:
    """One connection.  early: bytes that travel in the packet of the
    handshake.  offer: of extensions; what is agreed on is in .extension.
    Refused is raised where the answer is not 101."""

    def __init__(self, port, path="/", host="127.0.0.1", tls=None, early=b"",
                 timeout=PATIENCE, rcvbuf=None, offer=None, source=None,
                 **shake):
        self.timeout = timeout
        self.buf = bytearray()
        self.frames = []        # parsed, not yet taken
        self.eof = False
        self.fragments = None   # opcode and parts of an unfinished message
        self.pongs = []         # payloads of the pongs that came
        self.pings = 0          # how many were answered
        self.close_sent = False
        self.protocol = None
        self.offer = offer
        self.extension = None   # the gateway's answer
        self.window = 15        # bits, of what the gateway compresses
        self.compressed = 0     # messages that came so
        self.sock = connect(port, host, tls, timeout, rcvbuf, source)
        try:
            self._shake(path, shake.pop("name", f"{host}:{port}"), early, shake)
        except BaseException:
            self.sock.close()
            raise
        self.sock.settimeout(None)
        self.sock.setblocking(False)
        self._parse()           # what came behind the answer

    def _shake(self, path, host, early, shake):
        if self.offer:
            shake["headers"] = [*shake.get("headers", ()),
                                f"Sec-WebSocket-Extensions: {self.offer}"]
        head, key = handshake(path, host, **shake)
        self.sock.sendall(head + early)
        while b"\r\n\r\n" not in self.buf:
            got = self.sock.recv(65536)
            if not got:
                raise Closed(None, f"in the handshake, after {self.buf!r}")
            self.buf += got
        end = self.buf.index(b"\r\n\r\n") + 4
        text = bytes(self.buf[:end]).decode("latin-1")
        del self.buf[:end]
        status = int(text.split(" ", 2)[1])
        if status != 101:
            raise Refused(status, text, self._rest())
        want = base64.b64encode(
            hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert header_of(text, "sec-websocket-accept") == want, text
        assert header_of(text, "upgrade").lower() == "websocket", text
        assert "upgrade" in header_of(text, "connection").lower(), text
        self._agree(header_of(text, "sec-websocket-extensions"))
        self.protocol = header_of(text, "sec-websocket-protocol")

    def _agree(self, answer):
        """RFC 7692 section 7.1: no more than one extension, no more words than
        there are, and no window larger than offered."""
        self.extension = answer
        if answer is None:
            return
        assert self.offer and "permessage-deflate" in self.offer, answer
        words = [w.strip() for w in answer.split(";")]
        assert words.pop(0) == "permessage-deflate", answer
        assert len(set(words)) == len(words), answer
        words.remove("server_no_context_takeover")
        words.remove("client_no_context_takeover")
        for word in words:
            name, _, bits = word.partition("=")
            assert name == "server_max_window_bits" and name in self.offer
            self.window = int(bits)
            assert 8 <= self.window <= 15, answer

    def _rest(self):
        try:
            while True:
                got = self.sock.recv(65536)
                if not got:
                    break
                self.buf += got
        except OSError:
            pass
        return bytes(self.buf)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def fileno(self):
        return self.sock.fileno()

    def kill(self):
        """Closes the socket without a word."""
        self.sock.close()

    # --- sending -------------------------------------------------------------

    def send_raw(self, data, timeout=None):
        """All of it, reading meanwhile, so that both sides can be full."""
        end = time.monotonic() + (timeout or self.timeout)
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view):]
                continue
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as e:
                # Nothing prevents a server from closing first.
                if type(e).__name__.startswith("SSLWant"):
                    pass
                else:
                    raise Closed(None, f"while sending: {e}") from e
            left = end - time.monotonic()
            assert left > 0, "the gateway does not take what is sent"
            select.select([self.sock], [self.sock], [], min(left, 0.2))
            self.pump()

    def send(self, opcode, payload=b"", **more):
        self.close_sent |= opcode == CLOSE
        self.send_raw(frame(opcode, payload, **more))

    def text(self, payload, **more):
        self.send(TEXT, payload, **more)

    def binary(self, payload, **more):
        self.send(BINARY, payload, **more)

    # --- receiving -----------------------------------------------------------

    def pump(self):
        """Reads what is there, without waiting."""
        # Not for ever: with a fast sender others would starve.
        for _ in range(16):
            if self.eof:
                break
            try:
                got = self.sock.recv(262144)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as e:
                if type(e).__name__.startswith("SSLWant"):
                    break
                got = b""
            if not got:
                self.eof = True
            self.buf += got
        self._parse()

    def _parse(self):
        at = 0
        buf = self.buf
        while len(buf) - at >= 2:
            first, second = buf[at], buf[at + 1]
            assert not second & 0x80, "a server must not mask"
            n, head = second & 0x7f, 2
            if n == 126:
                head = 4
            elif n == 127:
                head = 10
            if len(buf) - at < head:
                break
            if n == 126:
                n = int.from_bytes(buf[at + 2:at + 4], "big")
                assert n > 125, "not the shortest form of a length"
            elif n == 127:
                n = int.from_bytes(buf[at + 2:at + 10], "big")
                assert n > 65535, "not the shortest form of a length"
            if len(buf) - at < head + n:
                break
            payload = bytes(buf[at + head:at + head + n])
            self.frames.append(Frame(bool(first & 0x80), first >> 4 & 7,
                                     first & 15, payload))
            at += head + n
        if at:
            del buf[:at]

    def wait(self, end):
        """Reads more, until the time end; False when it has come."""
        left = end - time.monotonic()
        if left <= 0:
            return False
        pending = getattr(self.sock, "pending", None)
        if not (pending and pending()):
            select.select([self.sock], [], [], left)
        self.pump()
        return True

    def frame(self, timeout=None):
        """The next frame, whatever it is."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self.frames:
            if self.eof:
                raise Closed(None, f"without a close frame; rest {self.buf!r}")
            if not self.wait(end):
                raise TimeoutError("no frame came")
        return self.frames.pop(0)

    def take(self, f):
        """What a frame means: (opcode, payload) of a whole message, or None.
        Pings are answered, pongs kept; a close raises Closed."""
        if f.rsv == RSV1:
            # The gateway does not fragment.
            assert self.extension and f.fin, f
            assert f.opcode in (TEXT, BINARY), f
            self.compressed += 1
            plain = inflate(f.payload, self.window)
            assert len(plain) > len(f.payload), "compressed, and no smaller"
            return f.opcode, plain
        assert f.rsv == 0, f
        if f.opcode == PING:
            self.pings += 1
            self.send(PONG, f.payload)
        elif f.opcode == PONG:
            self.pongs.append(f.payload)
        elif f.opcode == CLOSE:
            self._echo_close(f.payload)
            if len(f.payload) < 2:
                assert not f.payload, "a close frame of one byte"
                raise Closed(1005)
            raise Closed(struct.unpack(">H", f.payload[:2])[0],
                         f.payload[2:].decode())
        elif f.opcode == CONT:
            assert self.fragments, "a continuation of nothing"
            self.fragments[1].append(f.payload)
            if f.fin:
                op, parts = self.fragments
                self.fragments = None
                return op, b"".join(parts)
        else:
            assert f.opcode in (TEXT, BINARY), f
            assert not self.fragments, "a message inside another one"
            if f.fin:
                return f.opcode, f.payload
            self.fragments = (f.opcode, [f.payload])
        return None

    def _echo_close(self, payload):
        """As a client must, once; the gateway may have gone already."""
        if not self.close_sent:
            try:
                self.send(CLOSE, payload[:2])
            except Closed:
                pass

    def message(self, timeout=None):
        """The next whole message, as (opcode, payload)."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            got = self.take(self.frame(max(0, end - time.monotonic())))
            if got:
                return got

    def pong(self, timeout=None):
        f = self.frame(timeout)
        assert f.opcode == PONG, f
        return f.payload

    def closed(self, timeout=None):
        """Waits for the end; returns the code, sees that nothing but a close
        comes, and that the connection ends after it."""
        code = self.drained(timeout)[0]
        return code

    def drained(self, timeout=None):
        """(code, messages that came before the end)."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        got = []
        try:
            while True:
                message = self.take(self.frame(max(0, end - time.monotonic())))
                if message:
                    got.append(message)
        except Closed as c:
            code = c.code
        while not self.eof:
            assert self.wait(end), "closed, but the connection stays open"
        assert not self.frames, f"frames behind a close: {self.frames}"
        return code, got

    def close(self, code=1000, reason=b"", timeout=None):
        """A close handshake; returns the code that came back."""
        self.close_sent = True
        self.send_raw(close_frame(code, reason))
        return self.drained(timeout)[0]


# --- MessagePack, from its specification -------------------------------------

class Ext:
    def __init__(self, kind, data):
        self.kind = kind
        self.data = data

    def __eq__(self, other):
        return (isinstance(other, Ext) and self.kind == other.kind and
                self.data == other.data)


def pack(v):
    if v is None:
        return b"\xc0"
    if v is True:
        return b"\xc3"
    if v is False:
        return b"\xc2"
    if isinstance(v, int):
        return _pack_int(v)
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, str):
        b = v.encode()
        if len(b) < 32:
            return bytes([0xa0 | len(b)]) + b
        return _size(len(b), 0xd9, 0xda, 0xdb) + b
    if isinstance(v, (bytes, bytearray)):
        return _size(len(v), 0xc4, 0xc5, 0xc6) + bytes(v)
    if isinstance(v, (list, tuple)):
        head = (bytes([0x90 | len(v)]) if len(v) < 16
                else _size(len(v), None, 0xdc, 0xdd))
        return head + b"".join(map(pack, v))
    if isinstance(v, dict):
        head = (bytes([0x80 | len(v)]) if len(v) < 16
                else _size(len(v), None, 0xde, 0xdf))
        return head + b"".join(pack(k) + pack(x) for k, x in v.items())
    if isinstance(v, Ext):
        return (_size(len(v.data), 0xc7, 0xc8, 0xc9) +
                struct.pack(">b", v.kind) + v.data)
    raise TypeError(v)


def _size(n, small, middle, large):
    if small is not None and n < 256:
        return bytes([small, n])
    if n < 65536:
        return bytes([middle]) + struct.pack(">H", n)
    return bytes([large]) + struct.pack(">I", n)


def _pack_int(v):
    if 0 <= v < 128:
        return bytes([v])
    if -32 <= v < 0:
        return struct.pack(">b", v)
    for code, form, low, high in (
            (0xcc, ">B", 0, 2**8), (0xcd, ">H", 0, 2**16),
            (0xce, ">I", 0, 2**32), (0xcf, ">Q", 0, 2**64),
            (0xd0, ">b", -2**7, 0), (0xd1, ">h", -2**15, 0),
            (0xd2, ">i", -2**31, 0), (0xd3, ">q", -2**63, 0)):
        if low <= v < high:
            return bytes([code]) + struct.pack(form, v)
    raise OverflowError(v)


def unpack(data):
    value, at = _unpack(data, 0)
    assert at == len(data), "bytes behind a MessagePack value"
    return value


_FIXED = {0xca: ">f", 0xcb: ">d", 0xcc: ">B", 0xcd: ">H", 0xce: ">I",
          0xcf: ">Q", 0xd0: ">b", 0xd1: ">h", 0xd2: ">i", 0xd3: ">q"}
_LENGTH = {0xc4: ">B", 0xc5: ">H", 0xc6: ">I", 0xd9: ">B", 0xda: ">H",
           0xdb: ">I", 0xdc: ">H", 0xdd: ">I", 0xde: ">H", 0xdf: ">I",
           0xc7: ">B", 0xc8: ">H", 0xc9: ">I"}


def _unpack(d, at):
    c = d[at]
    at += 1
    if c < 0x80:
        return c, at
    if c >= 0xe0:
        return c - 256, at
    if c < 0x90:
        return _unpack_map(d, at, c & 15)
    if c < 0xa0:
        return _unpack_list(d, at, c & 15)
    if c < 0xc0:
        return _unpack_str(d, at, c & 31)
    if c in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[c], at
    if c in _FIXED:
        n = struct.calcsize(_FIXED[c])
        return struct.unpack_from(_FIXED[c], d, at)[0], at + n
    if 0xd4 <= c <= 0xd8:
        n = 1 << (c - 0xd4)
        return Ext(struct.unpack_from(">b", d, at)[0],
                   bytes(d[at + 1:at + 1 + n])), at + 1 + n
    n = struct.unpack_from(_LENGTH[c], d, at)[0]
    at += struct.calcsize(_LENGTH[c])
    if c <= 0xc6:
        assert len(d) >= at + n
        return bytes(d[at:at + n]), at + n
    if c <= 0xc9:
        return Ext(struct.unpack_from(">b", d, at)[0],
                   bytes(d[at + 1:at + 1 + n])), at + 1 + n
    if c <= 0xdb:
        return _unpack_str(d, at, n)
    return (_unpack_list if c <= 0xdd else _unpack_map)(d, at, n)


def _unpack_str(d, at, n):
    assert len(d) >= at + n
    return bytes(d[at:at + n]).decode(), at + n


def _unpack_list(d, at, n):
    out = []
    for _ in range(n):
        v, at = _unpack(d, at)
        out.append(v)
    return out, at


def _unpack_map(d, at, n):
    out = {}
    for _ in range(n):
        k, at = _unpack(d, at)
        v, at = _unpack(d, at)
        assert k not in out, f"the key {k!r} stands twice"
        out[k] = v
    return out, at


# --- the protocol ------------------------------------------------------------

PROTOCOLS = {"json": "redistribute.json", "msgpack": "redistribute.msgpack"}


def offset_key(offset):
    """Offsets compare as two numbers."""
    ms, _, seq = offset.partition("-")
    return int(ms), int(seq)


class Client(Peer):
    """One client of the protocol.  What is pushed is sorted into .inbox[channel]
    (messages), .gaps[channel] and .pushes (everything else)."""

    def __init__(self, port, codec="json", path="/", protocol="", wait=True,
                 **more):
        self.codec = codec
        self.replies = {}
        self.errors = []        # errors without an id
        self.inbox = {}
        self.gaps = {}
        self.pushes = []
        self.sequence = []      # replies' ids and pushes' names as they came
        self.last_id = 0
        self.welcome = None
        if protocol == "":
            protocol = PROTOCOLS[codec]
        super().__init__(port, path, protocol=protocol, **more)
        if wait:
            self.until(lambda: self.welcome, "no welcome came")

    def encode(self, value):
        if self.codec == "json":
            return frame(TEXT, json.dumps(value))
        return frame(BINARY, pack(value))

    def decode(self, opcode, payload):
        if self.codec == "json":
            assert opcode == TEXT, "a binary frame in the JSON codec"
            return json.loads(payload)
        assert opcode == BINARY, "a text frame in the MessagePack codec"
        return unpack(payload)

    def put(self, value):
        self.send_raw(self.encode(value))

    def next(self, timeout=None):
        """The next frame, decoded and not sorted."""
        return self.decode(*self.message(timeout))

    def sort(self):
        """Takes all frames that have come into their boxes."""
        while self.frames:
            got = self.take(self.frames.pop(0))
            if got:
                self._sort_one(self.decode(*got))

    def _sort_one(self, v):
        push = v.get("push")
        if push is None:
            if v.get("id") is None:
                self.errors.append(v["error"])
                self.sequence.append("error")
                return
            assert v["id"] not in self.replies, f"answered twice: {v}"
            self.replies[v["id"]] = v
            self.sequence.append(v["id"])
            return
        self.sequence.append(push)
        if push == "messages":
            assert v["messages"], "an empty push"
            self.inbox.setdefault(v["channel"], []).extend(v["messages"])
        elif push == "gap":
            self.gaps.setdefault(v["channel"], []).append(v)
        elif push == "welcome":
            assert self.welcome is None, "welcomed twice"
            self.welcome = v
        else:
            self.pushes.append(v)

    def until(self, done, what="it did not come", timeout=None):
        """Reads until done() is true; returns what it gave."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            self.sort()
            value = done()
            if value:
                return value
            if self.eof:
                raise Closed(None, what)
            if not self.wait(end):
                raise TimeoutError(f"{what}; came: {self.sequence[-8:]}, "
                                   f"{ {k: len(v) for k, v in self.inbox.items()} }")

    def ask(self, do, **members):
        """Sends a request; returns its id."""
        self.last_id += 1
        self.put({"id": self.last_id, "do": do, **members})
        return self.last_id

    def reply(self, number, timeout=None):
        self.until(lambda: number in self.replies,
                   f"request {number} was not answered", timeout)
        return self.replies[number]

    def ok(self, do, timeout=None, **members):
        """The ok of a request."""
        answer = self.reply(self.ask(do, **members), timeout)
        assert "ok" in answer, answer
        return answer["ok"]

    def error(self, do, timeout=None, **members):
        """The error of a request."""
        answer = self.reply(self.ask(do, **members), timeout)
        assert "error" in answer, answer
        assert set(answer["error"]) == {"code", "message", "retry"}, answer
        return answer["error"]

    def messages(self, channel, count, timeout=None):
        """Waits for count messages of a channel, takes and returns them."""
        box = self.inbox.setdefault(channel, [])
        self.until(lambda: len(box) >= count,
                   f"{count} messages of {channel} wanted", timeout)
        out = box[:count]
        del box[:count]
        return out

    def gap(self, channel, timeout=None):
        self.until(lambda: self.gaps.get(channel), f"no gap of {channel}",
                   timeout)
        return self.gaps[channel].pop(0)

    def nothing_more(self, *channels):
        """Nothing of these channels is under way: the gateway has been seen to
        turn its loop, and a marker published behind has come."""
        marker = f"marker {os.urandom(6).hex()}"
        self.ok("subscribe", channel=marker)
        self.ok("publish", channel=marker, data=1)
        self.messages(marker, 1)
        self.ok("unsubscribe", channel=marker)
        for c in channels or list(self.inbox):
            assert not self.inbox.get(c), (c, self.inbox[c][:3])


def pump(clients, done, timeout=PATIENCE, on_eof=None):
    """Reads from all clients until done() is true.  on_eof(client): called
    once for one whose connection has ended; may return another one instead."""
    end = time.monotonic() + timeout
    with selectors.DefaultSelector() as box:
        for c in clients:
            box.register(c, selectors.EVENT_READ)
            c.sort()
        while not done():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the clients did not get what they should")
            for key, _ in box.select(min(left, 0.05)):
                c = key.fileobj
                c.pump()
                try:
                    c.sort()
                except Closed:
                    c.eof = True
                if c.eof:
                    box.unregister(c)
                    if on_eof is None:
                        raise Closed(None, "one client lost its connection")
                    new = on_eof(c)
                    if new is not None:
                        box.register(new, selectors.EVENT_READ)
