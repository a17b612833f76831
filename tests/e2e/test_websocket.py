# SPDX-License-Identifier: MIT
"""RFC 6455 over the real gateway, as an echo through the whole road: plain
mode publishes each frame to Redis and gives back what the channel holds."""
import os
import random
import re
import socket
import ssl
import struct
import threading
import time

import pytest

import peer
from harness import (BUILD, PROGRAMS, Process, certificate, eventually,
                     free_ports, http_get)
from peer import (BINARY, CLOSE, CONT, PING, PONG, TEXT, Closed, Peer, Refused,
                  close_frame, frame, handshake)


@pytest.fixture
def echo(run, site, channel):
    return run.peer(site, f"/ws/{channel}")


# --- messages ----------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_every_size_of_text_and_binary_comes_back(echo, size):
    text = "".join(random.choices("abc äöü€ 😀", k=size)).encode()[:size]
    text = text.decode(errors="ignore").encode()
    text += b"." * (size - len(text))
    binary = os.urandom(size)
    echo.text(text)
    assert echo.message() == (TEXT, text)
    echo.binary(binary)
    assert echo.message() == (BINARY, binary)


@pytest.mark.deadline(120)
def test_sixteen_mebibytes_come_back(run, server, channel):
    site = run.daemon("--max-message", "17m", redis=server)
    echo = run.peer(site, f"/ws/{channel}", timeout=60)
    binary = os.urandom(1 << 24)
    echo.binary(binary)
    assert echo.message() == (BINARY, binary)
    text = b"x" * (1 << 24)
    for at in range(0, len(text), 1 << 22):
        echo.send(TEXT if at == 0 else CONT, text[at:at + (1 << 22)],
                  fin=at + (1 << 22) == len(text))
    assert echo.message() == (TEXT, text)


@pytest.mark.parametrize("text", ["{}", '{"a":1}', "[1,2]", "5", '"x"', "null",
                                  " {\"a\" : 1} ", "{", "hello", "{}{}",
                                  "\u0000", "\n", "\ufeff{}", "1e999"])
def test_text_is_json_or_not_and_comes_back_as_it_was(echo, text):
    echo.text(text)
    assert echo.message() == (TEXT, text.encode())


def test_messages_keep_their_order(echo):
    texts = [str(i) for i in range(500)]
    echo.send_raw(b"".join(frame(TEXT, t) for t in texts))
    assert [echo.message()[1].decode() for _ in texts] == texts


def test_fragments_are_one_message(echo):
    echo.text("a", fin=False)
    for part in ("b", "", "c"):
        echo.send(CONT, part, fin=False)
    echo.send(CONT, "d")
    assert echo.message() == (TEXT, b"abcd")
    echo.binary(b"", fin=False)
    echo.send(CONT, b"")
    assert echo.message() == (BINARY, b"")


def test_pings_between_fragments_are_answered_at_once(echo):
    echo.text("he", fin=False)
    echo.send(PING, b"one")
    assert echo.pong() == b"one"
    echo.send(CONT, "l", fin=False)
    echo.send(PING, b"two")
    echo.send(PONG, b"unasked")
    assert echo.pong() == b"two"
    echo.send(CONT, "lo")
    assert echo.message() == (TEXT, b"hello")


def test_one_byte_at_a_time(echo):
    data = (frame(TEXT, "häl", fin=False) + frame(PING, b"p") +
            frame(CONT, "lö €") + frame(BINARY, b"\0" * 200) +
            close_frame(1000))
    for i in range(len(data)):
        echo.send_raw(data[i:i + 1])
    assert echo.pong() == b"p"
    assert echo.message() == (TEXT, "hällö €".encode())
    assert echo.message() == (BINARY, b"\0" * 200)
    assert echo.closed() == 1000


def test_utf8_may_be_cut_anywhere(echo):
    text = "κόσμε €uro 😀 \U0010ffff".encode()
    for cut in range(len(text) + 1):
        echo.text(text[:cut], fin=False)
        echo.send(CONT, text[cut:])
    for cut in range(len(text) + 1):
        assert echo.message() == (TEXT, text)
    for i in range(len(text)):
        echo.send(CONT if i else TEXT, text[i:i + 1], fin=i == len(text) - 1)
    assert echo.message() == (TEXT, text)


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4"])
def test_every_mask_is_taken_off(echo, mask):
    echo.text("some text", mask=mask)
    assert echo.message() == (TEXT, b"some text")


def test_pings_are_answered_in_order_with_their_payload(echo):
    payloads = [bytes([i]) * (i % 126) for i in range(200)]
    echo.send_raw(b"".join(frame(PING, p) for p in payloads))
    assert [echo.pong() for _ in payloads] == payloads


def test_unasked_pong_is_ignored(echo):
    echo.send(PONG, b"")
    echo.send(PONG, b"x" * 125)
    echo.text("still there")
    assert echo.message() == (TEXT, b"still there")


def test_message_in_the_packet_of_the_handshake_comes_back(run, site, channel):
    for i in range(50):
        p = run.peer(site, f"/ws/{channel}-{i}",
                     early=frame(TEXT, "first") + frame(PING, b"x"))
        got = [p.frame(), p.frame()]
        assert sorted((f.opcode, f.payload) for f in got) == [
            (TEXT, b"first"), (PONG, b"x")]


def test_clients_that_join_a_busy_channel_at_once_are_all_served(run, server,
                                                                 channel):
    """Several stand ahead of what the gateway has read; found as an endless
    loop in the gateway."""
    site = run.daemon(redis=server)
    lost = []

    def come_and_go():
        for i in range(60):
            try:
                with Peer(site.port, f"/ws/{channel}", timeout=5,
                          early=frame(TEXT, "x")) as p:
                    p.message()
            except Exception as e:
                lost.append((i, e))
                return

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not lost


def test_half_a_frame_in_the_packet_of_the_handshake(run, site, channel):
    data = frame(TEXT, "x" * 300)
    for cut in (1, 2, 5, 100):
        p = run.peer(site, f"/ws/{channel}-{cut}", early=data[:cut])
        p.send_raw(data[cut:])
        assert p.message() == (TEXT, b"x" * 300)


# --- illegal frames ----------------------------------------------------------

BAD = {
    "not masked": (frame(TEXT, "x", mask=False), 1002),
    "ping not masked": (frame(PING, "x", mask=False), 1002),
    **{f"opcode {op}": (frame(op, "x"), 1002)
       for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"reserved bits {r}": (frame(TEXT, "x", rsv=r), 1002)
       for r in (1, 2, 3, 4, 5, 6, 7)},
    "reserved bit of a ping": (frame(PING, "x", rsv=4), 1002),
    "reserved bit of a continuation":
        (frame(TEXT, "x", fin=False) + frame(CONT, "x", rsv=4), 1002),
    "fragmented ping": (frame(PING, "x", fin=False), 1002),
    "fragmented close": (close_frame(1000, fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "long close": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "long form of a ping's length": (frame(PING, "x", size=16), 1002),
    "continuation of nothing": (frame(CONT, "x"), 1002),
    "continuation of nothing, to go on": (frame(CONT, "x", fin=False), 1002),
    "text inside text": (frame(TEXT, "x", fin=False) + frame(TEXT, "y"), 1002),
    "binary inside text":
        (frame(TEXT, "x", fin=False) + frame(BINARY, "y", fin=False), 1002),
    "16 bit form of a short length": (frame(TEXT, "x", size=16), 1002),
    "64 bit form of a short length": (frame(TEXT, "x", size=64), 1002),
    "64 bit form of a middle length": (frame(TEXT, "x" * 300, size=64), 1002),
    "length with its highest bit":
        (b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"\0\0\0\0", 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{f"close code {c}": (close_frame(c), 1002)
       for c in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999,
                 5000, 65535)},
    "close reason not UTF-8": (close_frame(1000, b"\xff"), 1007),
    "too large by its announced length":
        (frame(BINARY, b"", announce=65537, size=64), 1009),
    "too large by 2^62": (frame(TEXT, b"", announce=1 << 62, size=64), 1009),
    "too large by its fragments":
        (frame(BINARY, b"x" * 40000, fin=False) + frame(CONT, b"x" * 25537), 1009),
}


@pytest.mark.parametrize("name", BAD)
def test_illegal_frame_is_closed_with_its_code(echo, name):
    data, code = BAD[name]
    echo.text("before")
    echo.send_raw(data)
    got, messages = echo.drained()
    assert got == code
    assert messages in ([(TEXT, b"before")], [])


NOT_UTF8 = [b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
            b"\xc1\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80",
            b"\xf8\x88\x80\x80\x80", b"\x80", b"a\xbfb", b"\xce\xbaxx\xed\xa0\x80",
            b"\xe2\x82", b"\xf0\x9f\x98"]


@pytest.mark.parametrize("text", NOT_UTF8, ids=lambda b: b.hex())
def test_text_that_is_not_utf8_is_closed(echo, text):
    echo.text(text)
    assert echo.closed() == 1007


def test_wrong_byte_is_noticed_before_the_message_ends(echo):
    """Fail fast: the frame is not complete, the message neither."""
    echo.send_raw(frame(TEXT, b"good \xff", announce=1000, size=16,
                        mask=b"\0\0\0\0"))
    assert echo.closed() == 1007


def test_wrong_byte_in_a_fragment_is_noticed_at_once(echo):
    echo.text(b"\xf4", fin=False)
    echo.send(CONT, b"\x90", fin=False)
    assert echo.closed() == 1007


def test_unfinished_character_at_the_end_of_fragments(echo):
    echo.text(b"\xe2\x82", fin=False)
    echo.send(CONT, b"")
    assert echo.closed() == 1007


def test_binary_may_hold_anything(echo):
    for data in NOT_UTF8:
        echo.binary(data)
        assert echo.message() == (BINARY, data)


def test_what_follows_an_illegal_frame_is_ignored(echo):
    echo.send_raw(frame(TEXT, "x", rsv=7) + frame(TEXT, "y") * 1000)
    assert echo.drained() == (1002, [])


# --- closing -----------------------------------------------------------------

@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                  1011, 3000, 3999, 4000, 4999])
def test_close_code_is_echoed(echo, code):
    assert echo.close(code, "why not") == code


def test_close_without_a_code_is_echoed(echo):
    assert echo.close(None) == 1005


def test_longest_reason_is_taken(echo):
    assert echo.close(1000, "x" * 123) == 1000


def test_message_before_a_close_comes_back_first(run, site, channel):
    for i in range(30):
        p = run.peer(site, f"/ws/{channel}-{i}")
        p.send_raw(frame(TEXT, "last words") + close_frame(1000))
        assert p.drained() == (1000, [(TEXT, b"last words")])


def test_message_and_close_in_the_packet_of_the_handshake(run, site, channel):
    p = run.peer(site, f"/ws/{channel}",
                 early=frame(BINARY, b"\1") + close_frame(1000))
    assert p.drained() == (1000, [(BINARY, b"\1")])


def test_what_follows_a_close_is_ignored(run, site, store, channel):
    p = run.peer(site, f"/ws/{channel}")
    p.send_raw(close_frame(1000) + frame(TEXT, "too late"))
    assert p.drained() == (1000, [])
    assert store.xlen(f"rd:ch:{channel}") == 0


def test_half_closed_socket_is_let_go(run, site, channel):
    p = run.peer(site, f"/ws/{channel}")
    p.text("x")
    assert p.message() == (TEXT, b"x")
    p.sock.shutdown(socket.SHUT_WR)
    end = time.monotonic() + 5
    while not p.eof:
        assert p.wait(end), "the gateway keeps a socket that has ended"


def test_close_by_the_gateway_ends_at_once_when_it_is_echoed(run, site):
    """RFC 6455 section 5.5.1: the server closes the socket immediately."""
    client = run.peer(site)
    client.message()
    client.binary(b"{}")
    begin = time.monotonic()
    assert client.closed() == 1003
    assert time.monotonic() - begin < 1


# --- the handshake -----------------------------------------------------------

def status_of(port, data, timeout=5):
    """(status, whole answer) of raw bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        s.sendall(data)
        got = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
    text = got.decode("latin-1")
    assert text.startswith("HTTP/1.1 "), got
    return int(text.split()[1]), text


def shake(**more):
    return handshake("/ws/x", **more)[0]


BAD_SHAKES = {
    "no key": (shake(key=""), 400),
    "key too short": (shake(key="AAAA"), 400),
    "key not base64": (shake(key="!" * 24), 400),
    "no version": (shake(version=None), 426),
    "version 8": (shake(version="8"), 426),
    "version x": (shake(version="x"), 426),
    "post": (shake(method="POST"), 405),
    "delete": (shake(method="DELETE"), 405),
    "no upgrade": (b"GET /ws/x HTTP/1.1\r\nHost: a\r\n\r\n", 426),
    "no connection": (shake().replace(b"Connection: Upgrade\r\n", b""), 400),
    "HTTP/1.0": (shake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "no host": (shake().replace(b"Host: localhost\r\n", b""), 400),
    "two hosts": (shake(headers=["Host: b"]), 400),
    "blank before colon": (shake(headers=["A : b"]), 400),
    "folded line": (shake(headers=["A: b", " c"]), 400),
    "control in a header": (shake(headers=["A: b\x01"]), 400),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", 400),
    "no target": (b"GET\r\n\r\n", 400),
    "bad escape in the channel": (handshake("/ws/%zz")[0], 400),
    "offset that is none": (handshake("/ws/x?offset=yesterday")[0], 400),
    "header too large": (shake(headers=["A: " + "x" * 9000]), 431),
    "endless header": (b"GET /ws/x HTTP/1.1\r\nA: " + b"x" * 9000, 431),
    "no such page": (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404),
}


@pytest.mark.parametrize("name", BAD_SHAKES)
def test_bad_handshake_is_answered_by_its_status(site, name):
    data, status = BAD_SHAKES[name]
    got, text = status_of(site.port, data)
    assert got == status, text
    assert "content-length" in text.lower()
    if status == 426:
        assert re.search(r"(?mi)^sec-websocket-version: 13\r$", text)
    if status == 405:
        assert re.search(r"(?mi)^allow: ", text)


@pytest.mark.parametrize("path", ["/ws/", "/ws/%00", "/ws/a%0ab", "/ws/%ff",
                                  "/ws/a%7bb", "/ws/" + "x" * 256])
def test_path_that_is_no_channel_is_refused(run, site, path):
    with pytest.raises(Refused) as e:
        run.peer(site, path)
    assert e.value.status in (400, 404)


def test_channel_is_percent_decoded(run, site, store):
    p = run.peer(site, "/ws/r%C3%A4um%20%2F%2B+%7Bx%7D")
    p.text("1")
    assert p.message() == (TEXT, b"1")
    assert store.xlen("rd:ch:räum /++{x}") == 1


@pytest.mark.parametrize("change", [
    lambda h: h.replace(b"Upgrade: websocket", b"uPGRADE: WebSocket"),
    lambda h: h.replace(b"Connection: Upgrade", b"Connection: keep-alive, upgrade"),
    lambda h: h.replace(b"Host: ", b"Host:"),
    lambda h: h.replace(b"\r\n\r\n", b"\r\nCookie: a=b\r\nX:\r\n\r\n"),
    lambda h: h.replace(b"/ws/x", b"http://localhost/ws/x"),
], ids=["case", "list", "no blank", "more lines", "absolute"])
def test_handshake_may_be_written_in_every_legal_way(site, change):
    with peer.connect(site.port) as s:
        s.sendall(change(shake()))
        assert s.recv(4096).startswith(b"HTTP/1.1 101 ")


def test_handshake_may_come_byte_by_byte(site):
    with peer.connect(site.port) as s:
        for b in shake():
            s.send(bytes([b]))
        assert s.recv(4096).startswith(b"HTTP/1.1 101 ")


def test_extensions_that_nobody_agreed_on_are_not_answered(run, site, channel):
    p = run.peer(site, f"/ws/{channel}",
                 headers=["Sec-WebSocket-Extensions: x-strange; a=1"])
    p.text("x")
    assert p.message() == (TEXT, b"x")


def test_slow_handshake_is_given_up(run, server):
    site = run.daemon("--handshake-timeout", "300ms", redis=server)
    with peer.connect(site.port) as s:
        s.sendall(b"GET /ws/x HTTP/1.1\r\nHost:")
        assert s.recv(4096).startswith(b"HTTP/1.1 408 ")
    # One that sends a byte now and then is not given more time.
    begin = time.monotonic()
    with peer.connect(site.port) as s:
        got = b""
        while not got:
            assert time.monotonic() - begin < 5
            try:
                s.send(b"G")
                s.settimeout(0.05)
                got = s.recv(4096)
            except socket.timeout:
                continue
            except OSError:
                break
        assert got == b"" or got.startswith(b"HTTP/1.1 408 ") or \
            got.startswith(b"HTTP/1.1 400 ")
    # And whoever is through is not under that clock.
    p = run.peer(site, "/ws/slow")
    end = time.monotonic() + 0.6
    while p.wait(end):
        assert not p.eof
    p.text("x")
    assert p.message() == (TEXT, b"x")


def admitted(run, site):
    try:
        return run.peer(site, "/ws/b")
    except (Refused, Closed):
        return None


def test_connections_are_limited(run, server):
    site = run.daemon("--max-connections", 2, redis=server)
    first, second = run.peer(site, "/ws/a"), run.peer(site, "/ws/a")
    with pytest.raises((Refused, Closed)) as e:
        p = run.peer(site, "/ws/a")
        p.frame()
    if isinstance(e.value, Refused):
        assert e.value.status == 503
    second.kill()
    eventually(lambda: admitted(run, site), what="room for another one")
    first.text("x")
    assert first.message() == (TEXT, b"x")


# --- origins -----------------------------------------------------------------

def origin_status(run, site, origin, **more):
    try:
        run.peer(site, "/ws/x", origin=origin, **more)
    except Refused as e:
        return e.status
    return 101


def test_only_its_own_pages_may_connect(run, site):
    here = f"127.0.0.1:{site.port}"
    assert origin_status(run, site, None) == 101
    assert origin_status(run, site, f"http://{here}") == 101
    assert origin_status(run, site, "http://evil.example") == 403
    assert origin_status(run, site, f"http://evil.example:{site.port}") == 403
    assert origin_status(run, site, f"http://{here}.evil.example") == 403
    assert origin_status(run, site, f"http://evil.example/{here}") == 403
    assert origin_status(run, site, f"http://localhost:{site.port}") == 101
    assert origin_status(run, site, f"https://{here}") == 403
    assert origin_status(run, site, "http://127.0.0.1:1") == 403
    assert origin_status(run, site, "http://localhost:3000") == 403
    assert origin_status(run, site, "null") == 403


def test_name_that_is_not_ours_proves_nothing(run, server, site):
    """DNS rebinding: a page's own name has come to mean our address."""
    for name in ("evil.example", f"evil.example:{site.port}"):
        assert origin_status(run, site, f"http://{name}", name=name) == 403
    known = run.daemon("--server-name", "chat.example", redis=server)
    assert origin_status(run, known, "http://Chat.Example:81",
                         name="chat.example:81") == 101
    assert origin_status(run, known, "http://chat.example",
                         name="chat.example:81") == 403
    assert origin_status(run, known, "http://evil.example",
                         name="evil.example") == 403


def test_origins_may_be_listed(run, server):
    site = run.daemon("--origin", "https://good.example", "--origin",
                      "http://other.example:8000", redis=server)
    assert origin_status(run, site, "https://good.example") == 101
    assert origin_status(run, site, "https://GOOD.example") == 101
    assert origin_status(run, site, "http://other.example:8000") == 101
    assert origin_status(run, site, None) == 101
    assert origin_status(run, site, "http://good.example") == 403
    assert origin_status(run, site, "https://good.example:8443") == 403
    assert origin_status(run, site, "https://good.example.evil.example") == 403
    assert origin_status(run, site, "http://other.example") == 403


def test_every_origin_may_be_allowed(run, server):
    site = run.daemon("--origin", "*", redis=server)
    assert origin_status(run, site, "https://anything.example") == 101
    assert origin_status(run, site, "null") == 101


# --- TLS ---------------------------------------------------------------------

@pytest.fixture(scope="module")
def secure(run_once, server, tmp_path_factory):
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    site = run_once.daemon("--cert", cert, "--key", key, redis=server)
    site.cert = cert
    return site


def trusting(site):
    return ssl.create_default_context(cafile=str(site.cert))


def test_wss_echoes_all_sizes(run, secure, channel):
    p = run.peer(secure, f"/ws/{channel}", tls=trusting(secure))
    assert p.sock.version() == "TLSv1.3"
    for size in (0, 1, 125, 126, 127, 16384, 65535, 65536):
        data = os.urandom(size)
        p.binary(data)
        assert p.message() == (BINARY, data)
    assert p.close() == 1000


def test_wss_message_in_the_packet_of_the_handshake(run, secure, channel):
    p = run.peer(secure, f"/ws/{channel}", tls=trusting(secure),
                 early=frame(TEXT, "first"))
    assert p.message() == (TEXT, b"first")


def test_tls_12_is_spoken_too(run, secure, channel):
    tls = trusting(secure)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    p = run.peer(secure, f"/ws/{channel}", tls=tls)
    assert p.sock.version() == "TLSv1.2"
    p.text("x")
    assert p.message() == (TEXT, b"x")


@pytest.mark.filterwarnings("ignore:.*TLSv1_1:DeprecationWarning")
def test_tls_11_is_refused(run, secure):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError) as e:
        run.peer(secure, "/ws/x", tls=tls)
    assert "PROTOCOL_VERSION" in e.value.reason, e.value


def test_plain_words_to_a_tls_port_get_nothing(run, secure, channel):
    with peer.connect(secure.port) as s:
        s.sendall(shake())
        s.settimeout(5)
        try:
            got = s.recv(4096)
        except ConnectionResetError:
            got = b""
    assert not got.startswith(b"HTTP/1.1 101")
    p = run.peer(secure, f"/ws/{channel}", tls=trusting(secure))
    p.text("x")
    assert p.message() == (TEXT, b"x")


def test_protocol_over_wss_in_both_codecs(run, secure, channel):
    for codec in ("json", "msgpack"):
        client = run.client(secure, codec, tls=trusting(secure))
        client.ok("subscribe", channel=channel)
        client.ok("publish", channel=channel, data={"a": [1, 2]})
        assert client.messages(channel, 1)[0][2] == {"a": [1, 2]}


def test_origin_of_a_secure_page_is_compared_with_the_host(run, secure):
    here = f"127.0.0.1:{secure.port}"
    assert origin_status(run, secure, f"https://{here}",
                         tls=trusting(secure)) == 101
    assert origin_status(run, secure, "https://evil.example",
                         tls=trusting(secure)) == 403


# --- pages -------------------------------------------------------------------

def test_pages_are_off_by_default(site):
    assert http_get(site.port, "/room1")[0] == 404


def test_chat_page_is_served_and_no_room_name_is_run(run, server):
    site = run.daemon("--pages", BUILD / "gateway/pages", redis=server)
    status, body = http_get(site.port, "/room1")
    assert status == 200 and "<html" in body.lower()
    status, evil = http_get(site.port, "/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert status == 200 and "<script>alert(1)" not in evil
    for path in ("/../meson.build", "/%2e%2e/meson.build",
                 "/..%2f..%2fmeson.build", "//etc/passwd",
                 "/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd"):
        status, body = http_get(site.port, path)
        assert "root:" not in body and "project(" not in body, path
    status, body = http_get(site.port, "/room1", method="HEAD")
    assert (status, body) == (200, "")
    assert http_get(site.port, "/room1", method="POST")[0] == 405


def test_gateway_runs_without_a_supervisor(run, server, channel):
    port = free_ports(2)
    gateway = run.add(Process([PROGRAMS["gateway"], "--port", port,
                               "--ops-port", port + 1],
                              env={"REDISTRIBUTE_TARGETS": server.uri}))
    gateway.wait_event("ready")
    p = Peer(port, f"/ws/{channel}")
    with p:
        p.text("x")
        assert p.message() == (TEXT, b"x")
    assert gateway.stop() == 0
