# SPDX-License-Identifier: MIT
"""permessage-deflate (RFC 7692) over the real gateway.

Plain mode is an echo through the whole road, so what goes in compressed comes
out compressed anew.  The peer compresses and inflates by Python's zlib, and
judges every answer of the gateway; python3-websockets judges it, too."""
import asyncio
import json
import os
import random

import pytest
import websockets
from websockets.extensions import permessage_deflate

from harness import certificate, eventually, resident_bytes, sanitized, xadd
from peer import (BINARY, CONT, PING, RSV1, TEXT, deflate, frame, handshake)
from test_limits import metrics
from test_websocket import status_of, trusting

OFFER = "permessage-deflate"
AGREED = ("permessage-deflate; server_no_context_takeover; "
          "client_no_context_takeover")
KIB = 1 << 10
LARGE = 128 * KIB       # the largest message of the wide site


@pytest.fixture(scope="module")
def wide(run_once, server):
    return run_once.daemon("--max-message", LARGE, redis=server)


@pytest.fixture
def echo(run, site, channel):
    return run.peer(site, f"/ws/{channel}", offer=OFFER)


def prose(size):
    """Text that compresses as JSON of an application does."""
    some = random.Random(size)
    out = []
    while sum(map(len, out)) < size:
        out.append(json.dumps({"id": some.randrange(10**9), "user": some.choice(
            ["alice", "bob", "carol"]), "text": "to be or not to be €",
            "price": some.random()}, ensure_ascii=False))
    return ",".join(out).encode()[:size].decode(errors="ignore").encode()


# --- what is agreed on ---------------------------------------------------------

@pytest.mark.parametrize("offer, answer", [
    ("permessage-deflate", AGREED),
    ("permessage-deflate; client_max_window_bits", AGREED),
    ("permessage-deflate; client_max_window_bits=10", AGREED),
    ("permessage-deflate; client_no_context_takeover", AGREED),
    ("permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
     AGREED + "; server_max_window_bits=9"),
    ("permessage-deflate; server_max_window_bits=7, permessage-deflate", AGREED),
    ("permessage-deflate; server_max_window_bits=7", None),
    ("permessage-deflate; server_max_window_bits", None),
    ("permessage-deflate; unknown", None),
    ("permessage-deflate; server_no_context_takeover; "
     "server_no_context_takeover", None),
    ("x-webkit-deflate-frame", None),
])
def test_offer_is_taken_or_declined(run, site, channel, offer, answer):
    p = run.peer(site, f"/ws/{channel}", offer=offer)
    assert p.extension == answer
    text = prose(2000)
    p.text(deflate(text), rsv=RSV1) if answer else p.text(text)
    assert p.message() == (TEXT, text)
    assert p.compressed == bool(answer)


@pytest.mark.parametrize("offer", ["permessage-deflate;", ";", "a b",
                                   "permessage-deflate; x=\"", "x=1"])
def test_offer_that_is_malformed_ends_the_handshake(site, offer):
    data = handshake("/ws/x", headers=[f"Sec-WebSocket-Extensions: {offer}"])
    status, text = status_of(site.port, data[0])
    assert status == 400 and "Extensions" in text


def test_compression_can_be_switched_off(run, server, channel):
    site = run.daemon("--compress", "off", redis=server)
    p = run.peer(site, f"/ws/{channel}", offer=OFFER)
    assert p.extension is None
    p.text(prose(2000))
    assert p.message() == (TEXT, prose(2000)) and p.compressed == 0
    p.text(deflate("x"), rsv=RSV1)
    assert p.closed() == 1002


# --- a conformance suite, in small -----------------------------------------------

@pytest.mark.parametrize("bits", range(8, 16))
def test_every_size_comes_back_with_every_window(run, wide, channel, bits):
    offer = f"{OFFER}; server_max_window_bits={bits}; client_max_window_bits"
    p = run.peer(wide, f"/ws/{channel}", offer=offer)
    assert p.window <= bits
    for size in (16, 64, 256, KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB,
                 64 * KIB, LARGE):
        text, noise = prose(size), os.urandom(size)
        mine = max(bits, 9)     # zlib cannot compress with 8
        p.text(deflate(text, mine), rsv=RSV1)
        assert p.message() == (TEXT, text)
        p.binary(deflate(noise, mine), rsv=RSV1)
        assert p.message() == (BINARY, noise)
    assert p.compressed >= 8


@pytest.mark.parametrize("piece", [1, 7, 64, 256, 1000])
def test_fragments_of_a_compressed_message_are_one_message(
        run, wide, channel, piece):
    p = run.peer(wide, f"/ws/{channel}", offer=OFFER)
    for size in (16, 256, KIB, 32 * KIB):
        if size > 200 * piece:
            continue
        text = prose(size)
        raw = deflate(text)
        for at in range(0, len(raw), piece):
            p.send(CONT if at else TEXT, raw[at:at + piece],
                   rsv=0 if at else RSV1, fin=at + piece >= len(raw))
            p.send(PING, b"between")
        assert p.message() == (TEXT, text)


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("memory", [1, 9])
def test_every_way_to_compress_is_understood(run, wide, channel, level, memory):
    p = run.peer(wide, f"/ws/{channel}", offer=OFFER)
    for size in (0, 1, 16, 1000, 64 * KIB, LARGE):
        for payload in (prose(size), os.urandom(size), bytes(size)):
            p.binary(deflate(payload, level=level, memory=memory), rsv=RSV1)
            assert p.message() == (BINARY, payload)


def test_what_was_sent_is_what_redis_holds(echo, store, channel):
    echo.text(deflate(prose(1000)), rsv=RSV1)
    echo.message()
    (_, fields), = store.xrange(f"rd:ch:{channel}")
    assert fields == {b"text": prose(1000)}


def test_many_messages_keep_their_order(echo):
    texts = [b"%d " % i * random.randrange(300) for i in range(500)]
    echo.send_raw(b"".join(frame(TEXT, deflate(t), rsv=RSV1) if i % 3 else
                           frame(TEXT, t) for i, t in enumerate(texts)))
    assert [echo.message()[1] for _ in texts] == texts


# --- the letter of section 6 and 7.2 -----------------------------------------------

EXAMPLES = {
    "one block": ["f248cdc9c90700"],
    "two fragments": ["f248cd", "c9c90700"],
    "not compressed": ["000500faff48656c6c6f00"],
    "last block": ["f348cdc9c9070000"],
    "two blocks": ["f248050000", "00ffffcac9c90700"],
    "last block and nothing": ["f348cdc9c90700"],
    "empty last fragment": ["f248cdc9c90700", ""],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_rfc(echo, name):
    parts = [bytes.fromhex(p) for p in EXAMPLES[name]]
    for i, part in enumerate(parts):
        echo.send(CONT if i else TEXT, part, rsv=0 if i else RSV1,
                  fin=i == len(parts) - 1)
    assert echo.message() == (TEXT, b"Hello")


@pytest.mark.parametrize("payload", [b"\0", b""])
def test_empty_message_may_be_compressed(echo, payload):
    echo.text(payload, rsv=RSV1)
    assert echo.message() == (TEXT, b"")


def test_message_that_is_not_compressed_may_follow_one_that_is(echo):
    echo.text(deflate("one"), rsv=RSV1)
    echo.text("two")
    echo.text(deflate("three"), rsv=RSV1)
    assert [echo.message()[1] for _ in range(3)] == [b"one", b"two", b"three"]


def test_character_may_be_cut_by_fragments(echo):
    text = "κόσμε €uro 😀".encode()
    raw = deflate(text)
    for cut in range(len(raw) + 1):
        echo.text(raw[:cut], rsv=RSV1, fin=False)
        echo.send(CONT, raw[cut:])
    for cut in range(len(raw) + 1):
        assert echo.message() == (TEXT, text)


BROKEN = {
    "control frame": ([(PING, b"x", RSV1, True)], 1002),
    "close frame": ([(8, b"\x03\xe8", RSV1, True)], 1002),
    "continuation": ([(TEXT, b"\xf2\x48", RSV1, False),
                      (CONT, b"\xcd", RSV1, True)], 1002),
    "second fragment of a plain one": ([(TEXT, b"a", 0, False),
                                        (CONT, b"\xcd", RSV1, True)], 1002),
    "another reserved bit": ([(TEXT, b"x", RSV1 | 2, True)], 1002),
    "garbage": ([(TEXT, b"Hello, no DEFLATE", RSV1, True)], 1007),
    "cut off": ([(BINARY, deflate(prose(500))[:-9], RSV1, True)], 1007),
    "context of the message before": (
        [(TEXT, bytes.fromhex("f248cdc9c90700"), RSV1, True),
         (TEXT, bytes.fromhex("f200110000"), RSV1, True)], 1007),
    "not UTF-8": ([(TEXT, deflate(b"a\xffb"), RSV1, True)], 1007),
    "UTF-8 cut off": ([(TEXT, deflate("€".encode()[:2]), RSV1, True)], 1007),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_rules_ends_the_connection(echo, name):
    frames, code = BROKEN[name]
    for opcode, payload, rsv, fin in frames:
        echo.send(opcode, payload, rsv=rsv, fin=fin)
    assert echo.drained()[0] == code


def test_compressed_message_needs_an_agreement(run, site, channel):
    p = run.peer(site, f"/ws/{channel}")
    p.text(deflate("x"), rsv=RSV1)
    assert p.closed() == 1002


# --- limits ----------------------------------------------------------------------

def test_limit_is_that_of_the_inflated_message(run, site, channel):
    """Noise becomes larger when it is compressed: that is not held against
    it."""
    p = run.peer(site, f"/ws/{channel}", offer=OFFER)
    noise = os.urandom(64 * KIB)
    raw = deflate(noise, memory=1)
    assert len(raw) > 64 * KIB
    p.binary(raw, rsv=RSV1)
    assert p.message() == (BINARY, noise)
    p.binary(deflate(bytes(64 * KIB + 1)), rsv=RSV1)
    assert p.closed() == 1009


def test_bomb_is_given_up_early_and_counted(run, server, channel):
    site = run.daemon("--max-message", "1m", redis=server)
    first = run.peer(site, f"/ws/{channel}")
    bomb = deflate(bytes(900 << 20), level=9)
    assert len(bomb) < 1 << 20
    before = resident_bytes(site.child("gateway"))
    for _ in range(20):
        p = run.peer(site, f"/ws/{channel}", offer=OFFER)
        p.binary(bomb, rsv=RSV1)
        assert p.closed() == 1009
    if not sanitized():
        assert resident_bytes(site.child("gateway")) - before < 16 << 20
    first.text("still there")
    assert first.message() == (TEXT, b"still there")
    eventually(lambda: metrics(site)["bombs_total"] == 20)


def test_small_and_noisy_messages_are_sent_as_they_are(run, server, channel):
    site = run.daemon("--compress-min", 100, redis=server)
    p = run.peer(site, f"/ws/{channel}", offer=OFFER)
    for payload, compressed in ((b"x" * 99, 0), (b"x" * 100, 1),
                                (os.urandom(5000), 1), (b"x" * 5000, 2)):
        p.binary(payload)
        assert p.message() == (BINARY, payload)
        assert p.compressed == compressed


# --- shared frames -----------------------------------------------------------------

def test_frame_for_many_is_compressed_once(run, server, channel, store):
    site = run.daemon(redis=server)
    plain = [run.client(site) for _ in range(3)]
    many = [run.client(site, offer=OFFER) for _ in range(20)]
    narrow = [run.client(site, offer=OFFER + "; server_max_window_bits=12")
              for _ in range(5)]
    binary = [run.client(site, "msgpack", offer=OFFER) for _ in range(5)]
    everybody = plain + many + narrow + binary
    for c in everybody:
        c.ok("subscribe", channel=channel)
    before = metrics(site)
    assert before["compressing_total"] == 30
    data = json.loads(f"[{prose(3000).decode().rpartition(',{')[0]}]")
    offset = xadd(store, channel, json=json.dumps(data))
    for c in everybody:
        assert c.messages(channel, 1) == [[offset, None, data]]
        assert c.compressed == (c not in plain)
    after = metrics(site)
    grown = {name: after[name] - before[name] for name in after}
    # JSON with two windows, and MessagePack.
    assert grown["compressed_frames_total"] == 3
    assert grown["compressed_to_total"] < grown["compressed_from_total"] / 2
    assert grown["deliveries_total"] == len(everybody)


def test_pages_and_histories_are_compressed(run, site, channel, store):
    rows = [json.loads(f"[{prose(400).decode().rpartition(',{')[0]}]")
            for _ in range(50)]
    for row in rows:
        xadd(store, channel, json=json.dumps(row))
    for codec in ("json", "msgpack"):
        c = run.client(site, codec, offer=OFFER)
        c.ok("subscribe", channel=channel, offset="0")
        assert [m[2] for m in c.messages(channel, 50)] == rows
        assert c.compressed > 0
        before = c.compressed
        page = c.ok("history", channel=channel)
        assert [m[2] for m in page["messages"]] == rows
        assert c.compressed == before + 1


def test_slow_client_that_compresses_loses_nothing(run, server, channel, store):
    site = run.daemon("--output-limit", "16k", redis=server)
    quick = run.client(site, offer=OFFER)
    slow = run.client(site, offer=OFFER, rcvbuf=4096)
    for c in (quick, slow):
        c.ok("subscribe", channel=channel)
    some = random.Random(1)
    want = []
    for i in range(400):
        row = {"i": i, "hex": some.randbytes(8000).hex()}
        xadd(store, channel, json=json.dumps(row))
        want.append(row)
        quick.pump()
    assert [m[2] for m in quick.messages(channel, 400, timeout=30)] == want
    eventually(lambda: metrics(site)["fell_back_total"] > 0)
    assert [m[2] for m in slow.messages(channel, 400, timeout=30)] == want
    assert slow.compressed > 0


def test_compressed_message_in_the_packet_of_the_handshake(run, site, channel):
    p = run.peer(site, f"/ws/{channel}", offer=OFFER,
                 early=frame(TEXT, deflate("first"), rsv=RSV1))
    assert p.message() == (TEXT, b"first")


def test_compression_under_tls(run, server, channel, tmp_path):
    cert, key = certificate(tmp_path)
    site = run.daemon("--cert", cert, "--key", key, redis=server)
    site.cert = cert
    p = run.peer(site, f"/ws/{channel}", tls=trusting(site), offer=OFFER)
    for size in (1, 300, 65536):
        text = prose(size)
        p.text(deflate(text), rsv=RSV1)
        assert p.message() == (TEXT, text)
    assert p.compressed == 2


# --- others ------------------------------------------------------------------------

@pytest.mark.parametrize("factory", [
    {},
    {"server_max_window_bits": 9, "client_max_window_bits": 9},
    {"server_max_window_bits": 15, "client_max_window_bits": True},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
], ids=["default", "narrow", "wide", "no takeover"])
def test_python_websockets_understands(wide, channel, factory):
    extension = permessage_deflate.ClientPerMessageDeflateFactory(**factory)

    async def main():
        async with websockets.connect(
                f"ws://127.0.0.1:{wide.port}/ws/{channel}",
                extensions=[extension], compression=None, max_size=None) as ws:
            # Debian 13's keeps them one object further in.
            agreed = getattr(ws, "extensions", None) or ws.protocol.extensions
            assert len(agreed) == 1
            for size in (0, 1, 125, 126, 1000, 65536, LARGE):
                for message in (prose(size).decode(), os.urandom(size)):
                    await ws.send(message)
                    got = await asyncio.wait_for(ws.recv(), 10)
                    assert got == message
            text = prose(5000).decode()
            await ws.send([text[i:i + 100] for i in range(0, len(text), 100)])
            assert await asyncio.wait_for(ws.recv(), 10) == text

    asyncio.run(main())
