# SPDX-License-Identifier: MIT
"""gateway/PROTOCOL.md is what the gateway does: what it says in words about
requests, replies and errors.  Its transcripts are replayed by tests/docs."""
import json
import re
import time

import pytest

import peer
from harness import xadd
from peer import Client, Peer


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_welcome_tells_what_a_client_must_know(run, site, store, codec):
    client = run.client(site, codec)
    welcome = client.welcome
    assert set(welcome) == {"push", "client", "gateway", "version", "epoch",
                            "time", "ping", "retry", "limits"}
    assert abs(welcome["time"] - time.time() * 1000) < 60000
    assert welcome["ping"] == 25000
    assert welcome["limits"] == {"message": 65536, "subscriptions": 1000}
    assert re.fullmatch(r"\d+\.\d+\.\d+", welcome["version"])
    assert welcome["epoch"] == store.hget("rd:meta", "epoch").decode()
    other = run.client(site, codec).welcome
    assert other["client"] != welcome["client"]
    assert other["gateway"] == welcome["gateway"]


@pytest.mark.parametrize("offered,taken", [
    (None, None),
    ("redistribute.json", "redistribute.json"),
    ("redistribute.msgpack", "redistribute.msgpack"),
    ("redistribute.msgpack, redistribute.json", "redistribute.msgpack"),
    ("redistribute.json, redistribute.msgpack", "redistribute.json"),
    ("soap, redistribute.msgpack", "redistribute.msgpack"),
    ("soap", None),
])
def test_first_known_subprotocol_is_taken(run, site, offered, taken):
    codec = "msgpack" if taken == "redistribute.msgpack" else "json"
    client = run.client(site, codec, protocol=offered)
    assert client.protocol == taken
    assert client.ok("ping")["time"] > 0


def test_any_path_outside_ws_speaks_the_protocol(run, site):
    for path in ("/", "/socket", "/a/b?c=d"):
        assert run.client(site, path=path).ok("ping")


def test_request_in_the_packet_of_the_handshake_is_answered(run, site):
    early = b"".join(peer.frame(peer.TEXT, json.dumps(
        {"id": i, "do": "ping"})) for i in (1, 2))
    client = run.client(site, early=early)
    assert client.sequence[0] == "welcome"
    assert client.reply(1) and client.reply(2)


def test_request_without_id_is_carried_out_in_silence(client, store, channel):
    client.put({"do": "subscribe", "channel": channel})
    client.put({"do": "publish", "channel": channel, "data": [1]})
    assert client.messages(channel, 1)[0][2] == [1]
    client.ok("ping")
    assert "error" not in client.sequence
    assert set(client.sequence) == {"welcome", "messages", 1}
    assert store.xlen(f"rd:ch:{channel}") == 1


def test_failure_of_a_request_without_id_is_told(client):
    client.put({"do": "publish", "channel": "", "data": 1})
    client.until(lambda: client.errors)
    assert client.errors[0]["code"] == "bad_channel"


def test_publish_is_answered_by_the_stored_offset(client, store, channel):
    offsets = [client.ok("publish", channel=channel, data={"n": i},
                         type="T")["offset"] for i in range(3)]
    stored = store.xrange(f"rd:ch:{channel}")
    assert offsets == [i.decode() for i, _ in stored]
    assert stored[1][1] == {b"type": b"T", b"json": b'{"n": 1}'}
    assert store.zscore("rd:channels", channel) is not None


def test_json_is_kept_byte_for_byte(run, site, store, channel):
    client = run.client(site)
    data = '{"a" : 1.0,  "b":[1e2,"\\u00e9",12345678901234567890] }'
    client.text('{"id":1,"do":"publish","channel":"%s","data":%s}'
                % (channel, data))
    client.reply(1)
    assert store.xrange(f"rd:ch:{channel}")[0][1] == {b"json": data.encode()}
    client.text('{"id":2,"do":"subscribe","channel":"%s","offset":"0"}' % channel)
    raw = b""
    while b"messages" not in raw:
        raw = client.message()[1]
    assert data.encode() in raw


def test_subscribed_says_where_it_stands(run, site, client, store, channel):
    epoch = client.welcome["epoch"]
    assert client.ok("subscribe", channel=channel) == {
        "channel": channel, "offset": "0-0", "count": 0, "epoch": epoch}
    first = xadd(store, channel, json="1")
    client.messages(channel, 1)
    assert client.ok("subscribe", channel=channel) == {
        "channel": channel, "offset": first, "count": 1, "epoch": epoch,
        "already": True}
    assert run.client(site).ok("subscribe", channel=channel)["offset"] == first
    assert client.ok("unsubscribe", channel=channel) == {"channel": channel}
    assert client.ok("unsubscribe", channel=channel) == {"channel": channel}
    xadd(store, channel, json="2")
    client.nothing_more(channel)


def test_reply_to_subscribe_comes_before_the_first_push(client, store, channel):
    for i in range(5):
        xadd(store, channel, json=str(i))
    number = client.ask("subscribe", channel=channel, offset="0")
    client.messages(channel, 5)
    assert client.sequence.index(number) < client.sequence.index("messages")


@pytest.mark.parametrize("request_,code,named", [
    ({"do": "subscribe"}, "bad_request", "channel"),
    ({"do": "subscribe", "channel": 5}, "bad_request", "channel"),
    ({"do": "subscribe", "channel": None}, "bad_request", "channel"),
    ({"do": "subscribe", "channel": "c", "offset": 5}, "bad_request", "offset"),
    ({"do": "subscribe", "channel": "c", "epoch": 5}, "bad_request", "epoch"),
    ({"do": "subscribe", "channel": ""}, "bad_channel", None),
    ({"do": "subscribe", "channel": "a\nb"}, "bad_channel", None),
    ({"do": "subscribe", "channel": "a\x7fb"}, "bad_channel", None),
    ({"do": "subscribe", "channel": "a\x00b"}, "bad_channel", None),
    ({"do": "subscribe", "channel": "a{b"}, "bad_channel", None),
    ({"do": "subscribe", "channel": "a}b{"}, "bad_channel", None),
    ({"do": "subscribe", "channel": "{}"}, "bad_channel", None),
    ({"do": "subscribe", "channel": "a{}{b}"}, "bad_channel", None),
    ({"do": "subscribe", "channel": "x" * 256}, "bad_channel", None),
    ({"do": "subscribe", "channel": "é" * 128}, "bad_channel", None),
    ({"do": "subscribe", "channel": "c", "offset": ""}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": "1-2-3"}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": "-"}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": "-0"}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": "-10001"}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": "@"}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": "@x"}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": " 1-0"}, "bad_offset", None),
    ({"do": "subscribe", "channel": "c", "offset": "18446744073709551616-0"},
     "bad_offset", None),
    ({"do": "history", "channel": "c", "from": "$"}, "bad_offset", None),
    ({"do": "history", "channel": "c", "from": "x"}, "bad_offset", None),
    ({"do": "history", "channel": "c", "to": "@"}, "bad_offset", None),
    ({"do": "history", "channel": "c", "limit": 0}, "bad_request", "limit"),
    ({"do": "history", "channel": "c", "limit": 1001}, "bad_request", "limit"),
    ({"do": "history", "channel": "c", "limit": "5"}, "bad_request", "limit"),
    ({"do": "history", "channel": "c", "reverse": 1}, "bad_request", "reverse"),
    ({"do": "history"}, "bad_request", "channel"),
    ({"do": "unsubscribe"}, "bad_request", "channel"),
    ({"do": "publish", "data": 1}, "bad_request", "channel"),
    ({"do": "publish", "channel": "c"}, "bad_request", "data"),
    ({"do": "publish", "channel": "c", "data64": 5}, "bad_request", "data64"),
    ({"do": "publish", "channel": "c", "data64": "!!"}, "bad_request", "data64"),
    ({"do": "publish", "channel": "c", "data64": "QQ"}, "bad_request", "data64"),
    ({"do": "publish", "channel": "c", "data": 1, "type": 5}, "bad_request", "type"),
    ({"do": "publish", "channel": "", "data": 1}, "bad_channel", None),
    ({"do": "publish", "channel": "c", "data": 1, "type": "x" * 256},
     "too_large", None),
    ({"do": ""}, "unknown_request", None),
    ({"do": "Subscribe", "channel": "c"}, "unknown_request", None),
    ({}, "bad_request", "do"),
    ({"do": 5}, "bad_request", "do"),
])
def test_bad_request_is_answered_and_nothing_is_closed(client, request_, code,
                                                       named):
    client.put({"id": 7, **request_})
    error = client.reply(7)["error"]
    assert error["code"] == code, error
    assert error["retry"] is False
    if named:
        assert named in error["message"]
    assert client.ok("ping")


@pytest.mark.parametrize("number", ["1", -1, 1.5, True, 2**53, [1]])
def test_id_that_cannot_be_is_answered_without_one(client, number):
    client.put({"id": number, "do": "ping"})
    client.until(lambda: client.errors)
    assert client.errors[0]["code"] == "bad_request"
    assert client.ok("ping")


@pytest.mark.parametrize("name", ["a", "x" * 255, "é" * 127, "a b", "a{tag}b",
                                  "<b>&'\"\\", "日本語", "-", "*", "$",
                                  "ch:a:b"])
def test_channel_names_are_free(run, site, client, store, name):
    client.ok("subscribe", channel=name)
    client.ok("publish", channel=name, data=1)
    assert client.messages(name, 1)[0][2] == 1
    assert store.xlen(f"rd:ch:{name}") == 1
    other = run.client(site, "msgpack")
    other.ok("subscribe", channel=name, offset="0")
    assert other.messages(name, 1)[0][2] == 1


def test_members_that_nobody_knows_are_ignored(client, channel):
    assert client.ok("publish", channel=channel, data=1, colour="red",
                     nested={"a": [1]})


def test_largest_message_passes_and_one_byte_more_closes(run, site, channel):
    client = run.client(site)
    shell = len(json.dumps({"id": 1, "do": "publish", "channel": channel,
                            "data": ""}))
    client.ok("publish", channel=channel, data="x" * (65536 - shell))
    p = run.peer(site)
    p.message()
    p.text("x" * 65537)
    assert p.closed() == 1009


@pytest.mark.parametrize("codec,opcode,payload,code", [
    ("json", peer.BINARY, b"{}", 1003),
    ("msgpack", peer.TEXT, b"{}", 1003),
    ("json", peer.TEXT, b"\xff", 1007),
    ("json", peer.TEXT, b'{"id":1,"do":"\xed\xa0\x80"}', 1007),
], ids=lambda v: repr(v[:20]) if isinstance(v, bytes) else str(v))
def test_frame_that_breaks_the_connection(run, site, codec, opcode, payload,
                                          code):
    """RFC 6455 section 8.1: a text that is not UTF-8 fails the connection."""
    client = run.client(site, codec)
    client.send(opcode, payload)
    assert client.closed() == code


@pytest.mark.parametrize("codec,payload,number", [
    ("json", b"", None),
    ("json", b"{", None),
    ("json", b"[]", None),
    ("json", b"5", None),
    ("json", b"null", None),
    ("json", b"{'id':1}", None),
    ("json", b"[" * 30000, None),
    ("json", b'{"id":7', None),
    ("json", b'{"id":1.5,"do":}', None),
    ("json", b'{"id":"7","do":}', None),
    ("json", b'{"data":{"id":7},"do":}', None),
    ("json", b'{"data":"\\"id\\":7","do":}', None),
    ("json", b'{"id":9007199254740992,"do":}', None),
    ("json", b'["id":7,"do":]', None),
    ("json", b'{"id":7,"do":"ping"} x', 7),
    ("json", b'{"id":7,"do":"ping"}{}', 7),
    ("json", b'{ "do" : "\\ud800" , "id" : 7 }', 7),
    ("json", b'{"id":7,"do":"publish","channel":"c","data":"\\ud83d"}', 7),
    ("json", b'{"id":7,"do":"publish","channel":"c","data":{"\\u0000":1}}',
     7),
    ("json", b'{"id":7,"do":"publish","channel":"c","data":1e999}', 7),
    ("json", b'{"id":7,"do":"publish","channel":"c","data":' + b"[" * 3000 +
     b"]" * 3000 + b"}", 7),
    ("json", b'{"data":' + b"[" * 3000 + b"]" * 3000 + b',"id":7}', 7),
    ("msgpack", b"", None),
    ("msgpack", b"\xc1", None),
    ("msgpack", b"\x90", None),
    ("msgpack", b"\x81\xa2id", None),
    ("msgpack", b"\x80\x80", None),
    ("msgpack", b"\xdf\xff\xff\xff\xff", None),
    ("msgpack", b"\x91" * 30000, None),
    ("msgpack", b"\x81\xa2id\x07\x80", 7),
    ("msgpack", b"\x82\xa2id\x07\xa2do\xa1\xff", 7),
    ("msgpack", b"\x82\xa2id\x07\xa4data" + b"\x91" * 3000, 7),
], ids=lambda v: repr(v[:20]) if isinstance(v, bytes) else str(v))
def test_sound_frame_that_is_no_request_is_refused(run, site, channel, codec,
                                                   payload, number):
    """One bad request costs nobody the connection."""
    client = run.client(site, codec)
    client.ok("subscribe", channel=channel)
    client.send(peer.TEXT if codec == "json" else peer.BINARY, payload)
    if number is None:
        error = client.until(lambda: client.errors)[0]
    else:
        error = client.reply(number)["error"]
    assert error["code"] == "bad_request"
    assert error["retry"] is False
    assert error["message"]
    client.ok("publish", channel=channel, data="still here")
    assert [m[2] for m in client.messages(channel, 1)] == ["still here"]


def test_subscriptions_are_limited(run, server):
    gateway = run.daemon("--max-subscriptions", 3, redis=server)
    client = run.client(gateway)
    assert client.welcome["limits"]["subscriptions"] == 3
    for c in "abc":
        client.ok("subscribe", channel=c)
    assert client.error("subscribe", channel="d")["code"] == "limit"
    assert client.ok("subscribe", channel="a")["already"]
    client.ok("unsubscribe", channel="a")
    client.ok("subscribe", channel="d")


def offsets(answer):
    return [m[0] for m in answer["messages"]]


def test_history_pages_in_both_directions(client, store, channel):
    ids = [xadd(store, channel, {"json": str(i)}) for i in range(10)]
    other = f"{channel}-none"

    def ask(**members):
        return client.ok("history", channel=channel, **members)

    whole = ask()
    assert offsets(whole) == ids
    assert [m[2] for m in whole["messages"]] == list(range(10))
    assert not whole.get("more")
    page = ask(limit=4)
    assert offsets(page) == ids[:4] and page["more"] is True
    page = ask(limit=4, **{"from": ids[3]})
    assert offsets(page) == ids[4:8] and page["more"] is True
    page = ask(limit=4, **{"from": ids[7]})
    assert offsets(page) == ids[8:] and not page.get("more")
    assert offsets(ask(to=ids[2])) == ids[:3]
    assert offsets(ask(to=ids[6], **{"from": ids[2]})) == ids[3:7]
    assert offsets(ask(reverse=True)) == ids[::-1]
    page = ask(reverse=True, limit=3)
    assert offsets(page) == ids[:6:-1] and page["more"] is True
    assert offsets(ask(reverse=True, limit=3, to=ids[6])) == ids[6:3:-1]
    assert offsets(ask(reverse=True, **{"from": ids[7]})) == ids[:7:-1]
    assert offsets(ask(**{"from": "-3"})) == ids[7:]
    assert offsets(ask(**{"from": "@" + ids[0].split("-")[0]})) == ids
    assert offsets(ask(**{"from": "@99999999999999"})) == []
    assert client.ok("history", channel=other)["messages"] == []


def test_history_page_ends_at_a_mebibyte(run, site, store, channel):
    for i in range(30):
        xadd(store, channel, bin=bytes([i]) * 100000)
    client = run.client(site, "msgpack")
    got, at = [], "0"
    while True:
        page = client.ok("history", channel=channel, limit=1000, **{"from": at})
        assert 1 <= len(page["messages"]) <= 12
        got += [m[2] for m in page["messages"]]
        at = page["messages"][-1][0]
        if not page.get("more"):
            break
    assert got == [bytes([i]) * 100000 for i in range(30)]


def test_message_larger_than_a_page_is_still_given(run, site, store, channel):
    big = b"\1" * 3000000
    xadd(store, channel, bin=big)
    xadd(store, channel, bin=b"\2")
    client = run.client(site, "msgpack")
    page = client.ok("history", channel=channel)
    assert [m[2] for m in page["messages"]][0] == big
    client.ok("subscribe", channel=channel, offset="0")
    assert [m[2] for m in client.messages(channel, 2)] == [big, b"\2"]


def test_many_requests_in_one_packet_are_each_answered_once(run, site, channel):
    client = run.client(site)
    client.send_raw(b"".join(client.encode(
        {"id": i, "do": "publish", "channel": channel, "data": i})
        for i in range(1, 1001)))
    client.until(lambda: len(client.replies) == 1000, timeout=20)
    by_offset = sorted(client.replies.values(),
                       key=lambda r: peer.offset_key(r["ok"]["offset"]))
    assert [r["id"] for r in by_offset] == list(range(1, 1001))
    assert len({r["ok"]["offset"] for r in by_offset}) == 1000


def test_silent_client_is_pinged_and_a_dead_one_closed(run, server):
    gateway = run.daemon("--ping-interval", "200ms", "--pong-timeout", "300ms",
                         redis=server)
    good, dead = run.client(gateway), run.peer(gateway)
    assert good.welcome["ping"] == 200
    good.until(lambda: good.pings >= 3)
    dead.message()
    assert dead.frame().opcode == peer.PING
    f = dead.frame()        # nothing is answered
    assert f.opcode == peer.CLOSE and f.payload[:2] == (1001).to_bytes(2, "big")
    end = time.monotonic() + 5
    while not dead.eof:
        assert dead.wait(end)
    assert good.ok("ping")


def test_clients_of_the_protocol_and_of_plain_mode_share_a_channel(run, site,
                                                                   channel):
    plain = Peer(site.port, f"/ws/{channel}")
    client = run.client(site)
    client.ok("subscribe", channel=channel)
    with plain:
        plain.text('{"from":"plain"}')
        assert client.messages(channel, 1)[0][1:] == [None, {"from": "plain"}]
        client.ok("publish", channel=channel, type="T", data={"from": "client"})
        assert plain.message() == (peer.TEXT, b'{"from":"plain"}')
        opcode, payload = plain.message()
        assert opcode == peer.TEXT and json.loads(payload) == {"from": "client"}


def test_python_websockets_is_served_too(site, channel):
    """A foreign client, in both ways in."""
    import asyncio
    import websockets

    async def talk():
        url = f"ws://127.0.0.1:{site.port}"
        async with websockets.connect(
                f"{url}/", subprotocols=["redistribute.json"]) as ws:
            assert ws.subprotocol == "redistribute.json"
            assert json.loads(await ws.recv())["push"] == "welcome"
            await ws.send(json.dumps({"id": 1, "do": "subscribe",
                                      "channel": channel}))
            assert "ok" in json.loads(await ws.recv())
            async with websockets.connect(f"{url}/ws/{channel}") as plain:
                await plain.send("hello")
                assert await plain.recv() == "hello"
                await plain.send(b"\0\1")
                assert await plain.recv() == b"\0\1"
            got = []
            while len(got) < 2:
                got += json.loads(await ws.recv())["messages"]
            assert [m[2:] for m in got] == [["hello"],
                                            [None, {"data64": "AAE="}]]

    asyncio.run(asyncio.wait_for(talk(), 20))


def test_client_that_comes_and_goes_leaves_nothing(run, site, channel):
    for _ in range(20):
        with Client(site.port) as c:
            c.ask("subscribe", channel=channel)
    client = run.client(site)
    assert client.ok("ping")
