# SPDX-License-Identifier: MIT
"""The peer and the harness judge everybody else; here others judge them."""
import asyncio
import os
import signal
import threading

import pytest
import websockets

import harness
import peer


@pytest.fixture
def echo():
    """python3-websockets as an echo."""
    started = threading.Event()
    box = {}

    async def serve(ws, *_):
        async for message in ws:
            await ws.send(message)

    async def main():
        box["stop"] = asyncio.Event()
        box["loop"] = asyncio.get_running_loop()
        async with websockets.serve(serve, "127.0.0.1", 0, compression=None,
                                    max_size=1 << 25) as server:
            sock = next(iter(server.sockets))
            box["port"] = sock.getsockname()[1]
            started.set()
            await box["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(10)
    yield box["port"]
    box["loop"].call_soon_threadsafe(box["stop"].set)
    thread.join(10)


def test_the_peer_and_a_foreign_server_understand_each_other(echo):
    early = peer.frame(peer.TEXT, "in the packet of the handshake")
    with peer.Peer(echo, "/", early=early) as p:
        assert p.message() == (peer.TEXT, b"in the packet of the handshake")
        for n in (0, 1, 125, 126, 127, 65535, 65536, 1 << 21):
            payload = os.urandom(n)
            p.binary(payload)
            assert p.message() == (peer.BINARY, payload)
        p.text("he", fin=False)
        p.send(peer.PING, b"between")
        p.send(peer.CONT, "llo")
        assert p.message() == (peer.TEXT, b"hello")
        assert p.pongs == [b"between"]
        assert p.close(4321, "bye") == 4321


def test_the_peer_can_break_the_rules(echo):
    with peer.Peer(echo, "/") as p:
        p.text("not masked", mask=False)
        assert p.closed() == 1002
    with peer.Peer(echo, "/") as p:
        p.text(b"\xff")
        assert p.closed() == 1007
    with pytest.raises(peer.Refused) as e:
        peer.Peer(echo, "/", version="8")
    assert e.value.status in (400, 426)


def test_messagepack_agrees_with_its_specification():
    for value, data in ((None, "c0"), (-1, "ff"), (128, "cc80"), (-129, "d1ff7f"),
                        (1 << 63, "cf8000000000000000"), ("a", "a161"),
                        (b"\0", "c40100"), ([1], "9101"), ({"a": 1}, "81a16101"),
                        (1.5, "cb3ff8000000000000"),
                        ("a" * 32, "d920" + "61" * 32)):
        assert peer.pack(value).hex() == data
        assert peer.unpack(bytes.fromhex(data)) == value


def test_the_harness_starts_and_ends_a_redis(run):
    server = run.redis(persist=True, password="secret")
    assert server.cli("SET", "a", "1") == "OK"
    server.crash()
    server.start()
    assert server.client().get("a") == b"1"
    server.freeze()
    harness.eventually(lambda: harness.process_state(server.pid) == "T")
    server.resume()
    assert server.process.stop() == 0
    assert not server.process.left()


def test_the_harness_sees_what_is_left_behind():
    p = harness.Process(["/bin/sh", "-c", "setsid sleep 999 & exec sleep 999"])
    harness.eventually(lambda: list(p.left().values()) == ["sleep 999"] * 2)
    p.send(signal.SIGKILL)
    p.wait()
    assert list(p.left().values()) == ["sleep 999"]
    p.close()
    assert not p.left()


def test_the_harness_sees_a_process_that_has_no_environment(run):
    """As Redis, which writes its title there."""
    p = run.process(["/bin/sh", "-c", "env -i sleep 998 & wait"])
    harness.eventually(lambda: "sleep 998" in p.left().values())
    p.send(signal.SIGKILL)
    p.wait()
    assert list(p.left().values()) == ["sleep 998"]


def test_log_lines_are_understood():
    e = harness.Event('2026-01-31T12:00:00.000Z info gateway[812] '
                      'event=conn.close id=7 why="a \\"b\\" \\\\ \\x1b" empty=""')
    assert e == {"event": "conn.close", "id": "7", "why": 'a "b" \\ \x1b',
                 "empty": ""}
    assert (e.role, e.speaker, e.level) == ("gateway", 812, "info")
    e = harness.Event('{"time":"x","level":"warn","role":"worker","pid":3,'
                      '"event":"a.b"}')
    assert e["event"] == "a.b" and e.speaker == 3
