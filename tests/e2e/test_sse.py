# SPDX-License-Identifier: MIT
"""Server-sent events, and publishing by POST: the same cursors, rules and
limits as for WebSockets, for those who cannot have one."""
import json
import os
import random
import re
import socket
import ssl
import threading
import time

import pytest

import peer
import sse
from events import EVENTS
from harness import certificate, channel_key, eventually, xadd
from peer import offset_key
from sse import Stream, post, request
from test_events import worker  # noqa: F401
from test_replay import delete


@pytest.fixture
def follow(run, site):
    """Opens a stream that ends with the test."""
    def opened(channel, query="", daemon=site, **more):
        return run.add(Stream(daemon.port, channel, query, **more))
    return opened


def metric(daemon, name):
    body = daemon.http("/metrics")[1]
    return int(re.search(rf"^redistribute_gateway_{name} (\d+)$", body,
                         re.M)[1])


# --- the stream --------------------------------------------------------------

def test_head_of_a_stream(follow, channel):
    stream = follow(channel)
    assert stream.status == 200
    assert stream.header("Content-Type") == "text/event-stream"
    assert stream.header("Cache-Control") == "no-store"
    assert stream.header("Access-Control-Allow-Origin") is None
    assert stream.begun() == ""
    assert 1000 <= stream.retry <= 3000


def test_messages_come_with_their_offsets(follow, store, channel):
    stream = follow(channel)
    stream.begun()
    ids = [xadd(store, channel, json='{"a":%d}' % i) for i in range(3)]
    got = stream.events(3)
    assert [e.id for e in got] == ids
    assert [json.loads(e.data) for e in got] == [{"a": i} for i in range(3)]
    assert {e.kind for e in got} == {"message"}


def test_type_is_the_kind_of_event(follow, store, channel):
    xadd(store, channel, json="1", type="VISIT")
    xadd(store, channel, json="2", type="two\nlines")
    xadd(store, channel, json="3", type="")
    got = follow(channel, "?offset=0").events(3)
    assert [(e.kind, e.data) for e in got] == [
        ("VISIT", "1"), ("message", "2"), ("", "3")]


@pytest.mark.parametrize("kind", [
    "redistribute.gap", "redistribute.end", "redistribute.", "error", "open"])
def test_publishers_cannot_forge_what_the_gateway_tells(
        follow, site, store, channel, kind):
    """Whatever the way in: they are told as messages without a type."""
    stream = follow(channel)
    stream.begun()
    assert post(site.port, channel, "1", query=f"?type={kind}")[0] == 200
    xadd(store, channel, json="2", type=kind)
    assert [(e.kind, e.data) for e in stream.events(2)] == [
        ("message", "1"), ("message", "2")]
    # Others who look alike keep theirs.
    for other in (f"x{kind}", kind.upper()):
        xadd(store, channel, json="3", type=other)
        assert stream.event().kind == other


@pytest.mark.parametrize("field,value,data", [
    ("json", b'{"a": 1.50}', '{"a": 1.50}'),
    ("json", b'{"a":\n 1,\r\n"b":2}', '{"a":\n 1,\n"b":2}'),
    ("text", "grüße".encode(), "grüße"),
    ("text", b"", ""),
    ("text", b"data: x\n\nid: 1-1\n", "data: x\n\nid: 1-1\n"),
    ("text", b"a\rb\r\r\nc", "a\nb\n\nc"),
    ("text", b" blank", " blank"),
    ("bin", b"\x00\xff\n", '{"data64":"AP8K"}'),
    ("msgpack", b"\x81\xa1a\x01", '{"a":1}'),
    ("msgpack", b"\xc4\x01\xff", '{"msgpack64":"xAH/"}'),
    ("other", b"field", '{"other":"field"}'),
])
def test_every_payload_has_a_form(follow, store, channel, field, value, data):
    xadd(store, channel, {field: value})
    assert follow(channel, "?offset=0").event().data == data


def test_every_kind_of_offset(follow, store, channel):
    ids = [store.xadd(channel_key(channel), {"text": str(i)},
                      f"{100 + i}-0").decode() for i in range(5)]

    def first(query="", **more):
        return follow(channel, query, **more).event().data
    assert first("?offset=0") == "0"
    assert first("?offset=-2") == "3"
    assert first("?offset=@103") == "3"
    assert first(f"?offset={ids[1]}") == "2"
    # What a browser says by itself is newer than its address.
    assert first("?offset=0", last=ids[2]) == "3"
    assert first("?offset=-1", last="") == "4"
    assert follow(channel).begun() == ids[4]


@pytest.mark.parametrize("query,last", [
    ("?offset=yesterday", None), ("?offset=%zz", None), ("?offset=", None),
    ("", "yesterday"), ("", "1-"), ("?offset=0", "-0")])
def test_bad_offset_is_refused(follow, channel, query, last):
    stream = follow(channel, query, last=last)
    assert stream.status == 400
    name = b"offset:" if last is None else b"Last-Event-ID:"
    assert stream.body.startswith(name)


def test_bad_channel_is_refused(follow):
    assert follow("").status == 400
    assert follow("a%00b").status == 400
    assert follow("%ff").status == 400
    assert follow("a%20b").status == 200


def test_stream_resumes_from_its_last_id_without_gap_or_double(
        follow, store, channel):
    chance = random.Random(7)
    total, got, last = 3000, [], "0"
    going = threading.Event()

    def publish():
        for i in range(total):
            xadd(store, channel, text=str(i))
            if i % 100 == 0:
                going.wait(0.002)
    writer = threading.Thread(target=publish)
    writer.start()
    while len(got) < total:
        stream = follow(channel, last=last)
        for _ in range(min(chance.randrange(1, 400), total - len(got))):
            event = stream.event()
            assert event.kind == "message"
            got.append(int(event.data))
            last = event.id
        stream.kill()
    writer.join()
    assert got == list(range(total))


def test_trimmed_away_is_told_as_an_event(follow, store, channel):
    ids = [xadd(store, channel, text=str(i)) for i in range(10)]
    store.xtrim(channel_key(channel), maxlen=4, approximate=False)
    got = follow(channel, last=ids[1]).events(2)
    assert got[0].kind == "redistribute.gap"
    assert json.loads(got[0].data) == {"from": ids[1], "first": ids[6],
                                       "lost": None}
    # Whoever goes away now is not told of it again.
    assert offset_key(ids[5]) <= offset_key(got[0].id) < offset_key(ids[6])
    again = follow(channel, last=got[0].id).event()
    assert (again.kind, again.data) == ("message", "6")
    assert (got[1].data, got[1].id) == ("6", ids[6])


def test_deleted_channel_is_told_to_who_is_live(run, server, follow, channel):
    site = run.daemon(redis=server)
    client = server.client()
    stream = follow(channel, daemon=site)
    stream.begun()
    first = xadd(client, channel, text="1")
    assert stream.event().data == "1"
    delete(client, channel)
    xadd(client, channel, text="2")
    gap, message = stream.events(2)
    assert json.loads(gap.data)["from"] == first
    assert message.data == "2"
    client.close()


def test_stream_says_where_it_stands_before_anything_comes(
        follow, store, channel):
    last = xadd(store, channel, text="before")
    stream = follow(channel)
    assert stream.begun() == last
    stream.kill()
    xadd(store, channel, text="while it was away")
    assert follow(channel, last=last).event().data == "while it was away"


def test_quiet_stream_is_kept_alive(run, server, channel, follow):
    site = run.daemon("--ping-interval", "150ms", "--pong-timeout", "200ms",
                      redis=server)
    stream = follow(channel, daemon=site)
    stream.begun()
    begin = time.monotonic()
    while stream.comments < 4:
        assert stream._read() is False
    assert time.monotonic() - begin > 0.6
    client = server.client()
    xadd(client, channel, text="still here")
    assert stream.event().data == "still here"
    client.close()


def test_stream_that_takes_nothing_is_closed(run, server, channel, follow):
    site = run.daemon("--ping-interval", "200ms", "--pong-timeout", "300ms",
                      redis=server)
    client = server.client()
    stream = follow(channel, daemon=site, rcvbuf=4096)
    stream.begun()
    for _ in range(200):
        xadd(client, channel, text="x" * 50000)
    eventually(lambda: metric(site, "pong_timeouts_total") == 1)
    eventually(lambda: metric(site, "connections") == 0)
    client.close()


def test_slow_stream_loses_nothing(run, server, channel, follow):
    site = run.daemon("--output-limit", "16k", redis=server)
    client = server.client()
    stream = follow(channel, daemon=site, rcvbuf=4096)
    stream.begun()
    pipe = client.pipeline()
    for i in range(2000):
        pipe.xadd(channel_key(channel), {"text": f"{i} " + "x" * 2000})
    pipe.execute()
    eventually(lambda: metric(site, "fell_back_total") > 0)
    assert [int(e.data.split()[0]) for e in stream.events(2000)] == \
        list(range(2000))
    client.close()


def test_what_a_stream_sends_is_not_heard(follow, store, channel):
    stream = follow(channel)
    stream.begun()
    stream.sock.sendall(peer.frame(peer.TEXT, b"hello") + b"x" * 100000)
    xadd(store, channel, text="1")
    assert stream.event().data == "1"
    assert store.xlen(channel_key(channel)) == 1


def test_many_streams_share_what_is_encoded(run, server, channel, follow):
    site = run.daemon(redis=server)
    client = server.client()
    streams = [follow(channel, daemon=site) for _ in range(50)]
    for stream in streams:
        stream.begun()
    xadd(client, channel, json='{"to":"all"}')
    assert {s.event().data for s in streams} == {'{"to":"all"}'}
    assert metric(site, "entries_total") == 1
    assert metric(site, "deliveries_total") == 50
    assert metric(site, "streams_total") == 50
    client.close()


def test_stream_over_tls(run, server, channel, tmp_path):
    cert, key = certificate(tmp_path)
    site = run.daemon("--cert", cert, "--key", key, redis=server)
    context = ssl.create_default_context(cafile=str(cert))
    stream = run.add(Stream(site.port, channel, tls=context))
    stream.begun()
    client = server.client()
    xadd(client, channel, text="secret")
    assert stream.event().data == "secret"
    client.close()


def test_stream_ends_where_redis_is_away_and_may_come_back(run, channel):
    server = run.redis()
    site = run.daemon(redis=server)
    server.stop()
    eventually(lambda: site.http("/readyz")[0] == 503)
    stream = run.add(Stream(site.port, channel))
    # A browser tries again after a 200 that ends, and never after a 503.
    assert stream.status == 200 and stream.event() is None
    assert post(site.port, channel, "1")[0] == 503


def test_drain_tells_streams_when_to_come_back(run, server, channel, follow):
    site = run.daemon(redis=server, gateways=2)
    streams = [follow(channel, daemon=site) for _ in range(20)]
    for stream in streams:
        stream.begun()
    site.stop()
    for stream in streams:
        stream.retry = None
        assert stream.event() is None
    assert all(1000 <= s.retry <= 2100 for s in streams)
    assert len({s.retry for s in streams}) > 1


# --- who may -----------------------------------------------------------------

def test_name_that_is_not_ours_is_given_no_stream(run, server, site, channel):
    """DNS rebinding: a page that reads from its own server, as its browser
    thinks, sends no Origin."""
    def status(daemon, method, host, *headers):
        with peer.connect(daemon.port) as s:
            s.sendall(sse.ask(method, f"/sse/{channel}", headers=headers,
                              host=host))
            return int(s.recv(1000).split()[1])

    evil = f"evil.example:{site.port}"
    assert status(site, "GET", evil) == 403
    assert status(site, "GET", evil, f"Origin: http://{evil}") == 403
    assert status(site, "POST", evil, f"Origin: http://{evil}") == 403
    assert status(site, "OPTIONS", evil, f"Origin: http://{evil}") == 403
    assert status(site, "POST", evil) == 200    # no browser does that
    here = f"localhost:{site.port}"
    assert status(site, "GET", here) == 200
    assert status(site, "GET", "192.0.2.1") == 200
    assert status(site, "POST", here, f"Origin: http://{here}") == 200
    assert status(site, "POST", here, "Origin: http://localhost:1") == 403
    listed = run.daemon("--origin", "https://app.example",
                        "--server-name", "gw.example", redis=server)
    for host, expect in (("gw.example", 200), ("app.example", 200),
                         ("evil.example", 403)):
        assert status(listed, "GET", host) == expect
    every = run.daemon("--origin", "*", redis=server)
    assert status(every, "GET", "evil.example") == 200


def test_origin_is_checked_and_told(run, server, channel):
    site = run.daemon("--origin", "https://a.example", redis=server)
    ours, theirs = "Origin: https://a.example", "Origin: https://b.example"
    stream = run.add(Stream(site.port, channel, headers=[ours]))
    assert stream.status == 200
    assert stream.header("Access-Control-Allow-Origin") == "https://a.example"
    assert stream.header("Vary") == "Origin"
    assert run.add(Stream(site.port, channel, headers=[theirs])).status == 403
    path = f"/sse/{channel}"
    status, head, _ = request(site.port, "OPTIONS", path, headers=[
        ours, "Access-Control-Request-Method: POST"])
    assert status == 200
    assert "POST" in peer.header_of(head, "Access-Control-Allow-Methods")
    assert "Content-Type" in peer.header_of(head,
                                            "Access-Control-Allow-Headers")
    assert request(site.port, "OPTIONS", path, headers=[theirs])[0] == 403
    assert request(site.port, "POST", path, b"1", [theirs])[0] == 403
    status, head, _ = request(site.port, "POST", path, b"1", [ours])
    assert status == 200
    assert peer.header_of(head, "Access-Control-Allow-Origin") == \
        "https://a.example"


RULES = ["--events", EVENTS, "--connect", "handler",
         "--rule", "vip:* subscribe=handler publish=handler",
         "--rule", "quiet:* subscribe=nobody publish=nobody",
         "--rule", "small:* publish=anyone max-message=10"]


@pytest.fixture(scope="module")
def ruled(run_once, server):
    return run_once.daemon(*RULES, "--replace-rules", redis=server)


def test_rules_hold(ruled, worker, run, store):
    assert run.add(Stream(ruled.port, "quiet:1")).status == 403
    status, said = post(ruled.port, "quiet:1", "1")
    assert (status, said["error"]["code"]) == (403, "denied")
    status, said = post(ruled.port, "small:1", "x" * 11)
    assert (status, said["error"]["code"]) == (413, "too_large")
    assert post(ruled.port, "small:1", "x" * 10)[0] == 200
    status, said = post(ruled.port, EVENTS, "1")
    assert status == 403
    assert store.xlen("rd:ch:quiet:1") == 0


def test_handlers_decide_who_follows_and_hear_of_the_end(ruled, worker, run,
                                                         store):
    stream = run.add(Stream(ruled.port, "vip:1",
                            headers=["User-Agent: curl/0"]))
    stream.begun()
    client = worker.wait("connect").payload
    assert (client["path"], client["agent"]) == ("/sse/vip:1", "curl/0")
    assert client["protocol"] is None
    assert worker.wait("subscribe")["channel"] == "vip:1"
    xadd(store, "vip:1", text="hello")
    assert stream.event().data == "hello"
    stream.kill()
    assert worker.wait("unsubscribe")["channel"] == "vip:1"
    worker.wait("disconnect")


@pytest.mark.parametrize("deed", ["connect", "subscribe"])
def test_handlers_refuse(ruled, worker, run, deed):
    worker.answers[deed] = {"allow": "0", "reason": "not you"}
    stream = run.add(Stream(ruled.port, "vip:2"))
    assert (stream.status, stream.body) == (403, b"not you\n")


def test_handlers_decide_on_what_is_posted(ruled, worker, store):
    def shout(event):
        if event.payload == "no":
            return {"allow": "0", "reason": "not that"}
        return {"allow": "1", "json": json.dumps(event.payload.upper()),
                "type": "LOUD"}
    worker.answers["publish"] = shout
    status, said = post(ruled.port, "vip:3", '"hello"')
    assert status == 200
    assert store.xrange("rd:ch:vip:3") == [
        (said["offset"].encode(), {b"json": b'"HELLO"', b"type": b"LOUD"})]
    status, said = post(ruled.port, "vip:3", '"no"')
    assert (status, said["error"]["message"]) == (403, "not that")
    worker.answers["connect"] = {"allow": "0", "reason": "not you"}
    status, said = post(ruled.port, "vip:3", '"hello"')
    assert (status, said["error"]["message"]) == (403, "not you")
    assert store.xlen("rd:ch:vip:3") == 1


def test_handlers_speak_to_a_stream(ruled, worker, run):
    worker.answers["subscribe"] = [
        {"allow": "1"}, {"op": "direct", "type": "HI", "json": '{"n":1}'}]
    stream = run.add(Stream(ruled.port, "vip:4"))
    event = stream.event()
    assert (event.kind, event.data, event.id) == ("HI", '{"n":1}', "")
    worker.write(worker.wait("connect"), {"op": "disconnect"})
    assert stream.event() is None


# --- publishing --------------------------------------------------------------

@pytest.mark.parametrize("kind,body,field", [
    ("application/json", b'{"a": 1}', b"json"),
    ("Application/JSON; charset=utf-8", b"[1]", b"json"),
    ("text/plain", b"words", b"text"),
    ("text/plain;charset=UTF-8", b'{"a":1}', b"json"),
    ("application/octet-stream", b'{"a":1}', b"bin"),
    ("application/msgpack", b"\x81\xa1a\x01", b"msgpack"),
    ("application/x-www-form-urlencoded", b"a=1", b"text"),
    (None, b"\x00\xff", b"bin"),
    (None, b"17", b"json"),
    (None, "grüße".encode(), b"text"),
])
def test_content_type_says_how_it_is_stored(site, store, channel, kind, body,
                                            field):
    status, said = post(site.port, channel, body, kind)
    assert status == 200
    assert store.xrange(channel_key(channel)) == [
        (said["offset"].encode(), {field: body})]


@pytest.mark.parametrize("kind,body,word", [
    ("application/json", b'{"a":', "JSON"),
    ("application/json", b"", "JSON"),
    ("application/msgpack", b"\x81", "MessagePack"),
    ("text/plain", b"\xff", "UTF-8"),
])
def test_body_that_is_not_what_it_says_is_refused(site, store, channel, kind,
                                                  body, word):
    status, said = post(site.port, channel, body, kind)
    assert status == 400
    assert said["error"]["code"] == "bad_request"
    assert word in said["error"]["message"]
    assert said["error"]["retry"] is False
    assert not store.exists(channel_key(channel))


def test_type_of_what_is_posted(site, store, channel):
    assert post(site.port, channel, "1", query="?type=a%20b")[0] == 200
    assert post(site.port, channel, "", query="?type=")[0] == 200
    fields = [f for _, f in store.xrange(channel_key(channel))]
    assert fields == [{b"json": b"1", b"type": b"a b"},
                      {b"text": b"", b"type": b""}]
    for bad in ("%ff", "x" * 256, "%zz"):
        status, said = post(site.port, channel, "1", query=f"?type={bad}")
        assert (status, said["error"]["code"]) == (400, "bad_request")


def test_limits_of_a_post(run, server, channel):
    site = run.daemon("--max-message", "1k", "--handshake-timeout", "300ms",
                      redis=server)
    path = f"/sse/{channel}"
    assert post(site.port, channel, b"x" * 1024)[0] == 200
    status, said = post(site.port, channel, b"x" * 1025)
    assert (status, said["error"]["code"]) == (413, "too_large")
    status, _, body = request(site.port, "POST", path, headers=[
        "Transfer-Encoding: chunked"])
    assert status == 411 and b"Content-Length" in body
    assert request(site.port, "POST", path, headers=[
        "Content-Length: 1e3"])[0] == 400
    # A body that never comes.
    with peer.connect(site.port) as s:
        s.sendall(sse.ask("POST", path, headers=["Content-Length: 9"]) + b"x")
        assert sse.answer(s)[0] == 408
    assert metric(site, "handshake_timeouts_total") == 1
    eventually(lambda: metric(site, "connections") == 0)
    assert metric(site, "input_bytes") == 0


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("body", [b"", b"lost"])
def test_post_without_a_length_stores_nothing(site, store, channel, version,
                                              body):
    """The end of the connection is no end of a body, and an absent one is no
    message."""
    with peer.connect(site.port) as s:
        s.sendall(sse.ask("POST", f"/sse/{channel}", length=False).replace(
            b"HTTP/1.1", f"HTTP/{version}".encode()) + body)
        s.shutdown(socket.SHUT_WR)
        status, _, said = sse.answer(s)
    assert (status, b"Content-Length" in said) == (411, True)
    assert post(site.port, channel, "")[0] == 200     # an empty one is
    assert store.xlen(channel_key(channel)) == 1


def test_body_may_come_in_pieces_and_wait_for_leave(site, store, channel):
    body = os.urandom(30000)
    with peer.connect(site.port) as s:
        s.sendall(sse.ask("POST", f"/sse/{channel}", headers=[
            f"Content-Length: {len(body)}", "Expect: 100-continue"]))
        assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for at in range(0, len(body), 1000):
            s.sendall(body[at:at + 1000])
        # It says that this was all, and still listens.
        s.shutdown(socket.SHUT_WR)
        status, _, said = sse.answer(s)
    assert status == 200, said
    assert [f for _, f in store.xrange(channel_key(channel))] == [
        {b"bin": body}]


def test_who_leaves_before_the_answer_harms_nobody(site, store, channel):
    for _ in range(50):
        with peer.connect(site.port) as s:
            s.sendall(sse.ask("POST", f"/sse/{channel}", b"1"))
    assert post(site.port, channel, "last")[0] == 200
    eventually(lambda: store.xlen(channel_key(channel)) == 51)


def test_what_is_posted_by_many_is_stored_once_each(site, store, channel):
    stored = []

    def publish(n):
        for i in range(50):
            status, said = post(site.port, channel, f'"{n}.{i}"')
            assert status == 200
            stored.append((offset_key(said["offset"]), f'"{n}.{i}"'.encode()))
    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(stored) == [
        (offset_key(i.decode()), f[b"json"])
        for i, f in store.xrange(channel_key(channel))]
    assert len(stored) == 200


def test_other_methods_are_told_what_would_be_right(site, channel):
    for method in ("PUT", "DELETE", "HEAD"):
        status, head, _ = request(site.port, method, f"/sse/{channel}")
        assert status == 405
        assert peer.header_of(head, "Allow") == "GET, POST, OPTIONS"

