# SPDX-License-Identifier: MIT
"""Limits, slow readers, and clients that mean harm: whatever one client does,
the gateway stays small and the others are served."""
import contextlib
import os
import resource
import select
import socket
import time

import pytest

import peer
from harness import (channel_key, eventually, holds, http_get, resident_bytes,
                     sanitized, xadd)
from peer import BINARY, CONT, PING, PONG, TEXT, Closed, Refused, frame

MIB = 1 << 20


def metrics(site):
    """name -> value of a gateway's own figures."""
    found = {}
    for line in site.http("/metrics")[1].splitlines():
        name, _, value = line.partition(" ")
        if name.startswith("redistribute_gateway_") and "{" not in name:
            found[name.removeprefix("redistribute_gateway_")] = float(value)
    return found


def metric(site, name):
    return metrics(site)[name]


def counted(site, name, least=1):
    return eventually(lambda: metric(site, name) >= least,
                      what=f"{name} is not {least} yet")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        fields = f.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(client, channel, deadline=5):
    """A request of somebody else is answered soon."""
    begin = time.monotonic()
    client.ok("publish", channel=channel, data=1, timeout=deadline)
    return time.monotonic() - begin


@contextlib.contextmanager
def small(site, mebibytes):
    """The gateway does not grow by more than that."""
    pid = site.child("gateway")
    before = resident_bytes(pid)
    yield
    if not sanitized():
        grown = resident_bytes(pid) - before
        assert grown < mebibytes * MIB, f"grown by {grown / MIB:.1f} MiB"


# --- how many ----------------------------------------------------------------

def own_address():
    """An address of this machine that is not loopback; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            host = s.getsockname()[0]
        except OSError:
            host = "127.0.0.1"
    if host.startswith("127."):
        pytest.skip("no address but loopback")
    return host


def admitted(run, site, path, host):
    try:
        return run.peer(site, path, host=host)
    except (Refused, Closed):
        return None


def test_connections_of_one_address_are_limited(run, server, channel):
    host = own_address()
    site = run.daemon("--host", "0.0.0.0", "--insecure",
                      "--max-per-address", 3, redis=server)
    ours = [run.peer(site, f"/ws/{channel}", host=host) for _ in range(3)]
    with pytest.raises(Refused) as e:
        run.peer(site, f"/ws/{channel}", host=host)
    assert e.value.status == 429
    eventually(lambda: metric(site, "connections") == 3)
    # Who says nothing counts too; twice as many are not even heard.
    silent = [peer.connect(site.port, host) for _ in range(3)]
    counted(site, "accepted_total", 7)
    with peer.connect(site.port, host) as s:
        assert s.recv(1) == b""
    assert metric(site, "refused_crowded_total") == 1
    assert metric(site, "address_refusals_total") == 1
    # Others come in, and loopback is not counted.
    for _ in range(5):
        run.peer(site, f"/ws/{channel}")
    for s in silent:
        s.close()
    ours.pop().kill()
    eventually(lambda: admitted(run, site, f"/ws/{channel}", host),
               what="room for another one")


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_without_descriptors_accepting_pauses_and_does_not_spin(run, server,
                                                                channel):
    site = run.daemon(redis=server)
    client = run.client(site)
    pid = site.child("gateway")
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    room = open_descriptors(pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, old[1]))
    crowd = [peer.connect(site.port) for _ in range(5)]
    # The port is full, and who waits is turned away after a while.
    for s in crowd:
        assert s.recv(1) == b""
    before = cpu_seconds(pid)
    waiting = peer.connect(site.port)
    served(client, channel)
    assert waiting.recv(1) == b""
    assert cpu_seconds(pid) - before < 0.5
    assert len(site.log.find("listener.pause")) == 1
    client.ok("ping")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
    counted(site, "accept_pauses_total", 2)
    counted(site, "accept_turned_away_total", 6)
    assert run.client(site).ok("ping")
    for s in crowd + [waiting]:
        s.close()


# --- how fast ----------------------------------------------------------------

def test_publish_rate_is_told_with_the_time_to_wait(run, server, channel):
    site = run.daemon("--publish-rate", 10, "--publish-burst", 5, redis=server)
    client, other = run.client(site), run.client(site)
    answers = [client.reply(client.ask("publish", channel=channel, data=i))
               for i in range(8)]
    assert all("ok" in a for a in answers[:5]), answers
    error = answers[-1]["error"]
    assert error["code"] == "rate" and error["retry"] is True
    assert 0 < error["after"] <= 400
    other.ok("publish", channel=channel, data="another connection's own")
    client.ok("ping")       # other requests are not held to it
    time.sleep(error["after"] / 1000)
    client.ok("publish", channel=channel, data="in time")
    assert metric(site, "publish_limits_total") == sum(
        "error" in a for a in answers)


def test_plain_client_above_the_rate_is_slowed_and_loses_nothing(run, server,
                                                                 channel):
    site = run.daemon("--publish-rate", 100, "--publish-burst", 10,
                      redis=server)
    plain, other = (run.peer(site, f"/ws/{channel}") for _ in range(2))
    begin = time.monotonic()
    plain.send_raw(b"".join(frame(TEXT, str(i)) for i in range(60)))
    assert [plain.message()[1] for _ in range(60)] == [
        str(i).encode() for i in range(60)]
    assert time.monotonic() - begin > 0.45
    assert [other.message()[1] for _ in range(60)][-1] == b"59"
    assert metric(site, "publish_limits_total") > 0


def test_rule_limits_the_rate_and_the_size_in_its_channels(run, server,
                                                           channel):
    site = run.daemon("--rule", "calm:* rate=2 max-message=100",
                      "--rule", "small max-message=100",
                      "--rule-default", "anyone", redis=server)
    client = run.client(site)
    for i in range(2):
        client.ok("publish", channel=f"calm:{i}", data=i)
    answer = client.reply(client.ask("publish", channel="calm:2", data=2))
    assert answer["error"]["code"] == "rate"
    assert 0 < answer["error"]["after"] <= 500
    for i in range(50):
        client.ok("publish", channel=channel, data=i)
    client.ok("publish", channel="small", data="x" * 98)
    error = client.error("publish", channel="small", data="x" * 99)
    assert error["code"] == "too_large" and not error["retry"]
    plain = run.peer(site, "/ws/small")
    plain.text("x" * 100)
    assert plain.message()[1] == b"x" * 100
    plain.text("x" * 101)
    assert plain.closed() == 1009


def test_requests_above_the_rate_are_heard_later(run, server, channel):
    site = run.daemon("--request-rate", 100, "--max-subscriptions", 50,
                      redis=server)
    client, other = run.client(site), run.client(site)
    begin = time.monotonic()
    numbers = [client.ask("ping") for _ in range(250)]
    for _ in range(5):
        assert served(other, channel) < 2
    for n in numbers:
        client.reply(n)
    assert time.monotonic() - begin > 1.2
    assert metric(site, "request_pauses_total") > 0


def test_storm_of_subscriptions_is_answered_and_leaves_nothing(run, server,
                                                               channel):
    site = run.daemon("--request-rate", 0, redis=server)
    client, other = run.client(site), run.client(site)
    with small(site, 16):
        for turn in range(5):
            numbers = []
            for i in range(400):
                name = f"{channel}-{i % 100}"
                numbers.append(client.ask("subscribe", channel=name,
                                          offset="0"))
                numbers.append(client.ask("unsubscribe", channel=name))
            assert served(other, channel) < 5
            for n in numbers:
                assert "ok" in client.reply(n)
    eventually(lambda: metric(site, "subscriptions") == 0)
    assert metric(site, "channels") == 0


def test_flood_of_histories_takes_its_turn(run, server, channel):
    """A page is a mebibyte, and the client reads none of them."""
    site = run.daemon(redis=server)
    store = server.client()
    for _ in range(40):
        store.xadd(channel_key(channel), {"text": "x" * 60000})
    greedy, other = run.client(site, rcvbuf=4096), run.client(site)
    with small(site, 16):
        for _ in range(200):
            greedy.put({"id": 1, "do": "history", "channel": channel})
        for _ in range(10):
            assert served(other, f"{channel}-other") < 2
        counted(site, "reply_pauses_total")
        holds(lambda: metric(site, "output_bytes") < 8 * MIB, 0.5)


# --- frames ------------------------------------------------------------------

@pytest.mark.parametrize("opcode", [PING, PONG])
def test_flood_of_pings_is_closed(run, server, channel, opcode):
    site = run.daemon("--ping-rate", 50, redis=server)
    p, other = run.peer(site, f"/ws/{channel}"), run.client(site)
    with contextlib.suppress(Closed):
        p.send_raw(frame(opcode, b"x") * 5000)
    code, _ = p.drained()
    assert code == 1008
    assert metric(site, "ping_floods_total") == 1
    assert other.ok("ping")


def test_pings_below_the_rate_are_answered(run, server, channel):
    site = run.daemon("--ping-rate", 50, redis=server)
    p = run.peer(site, f"/ws/{channel}")
    for i in range(50):
        p.send(PING, str(i).encode())
        assert p.pong() == str(i).encode()


def test_fragments_without_end_are_closed(run, server, channel):
    site = run.daemon("--max-fragments", 100, redis=server)
    p = run.peer(site, f"/ws/{channel}")
    p.text("", fin=False)
    for _ in range(98):
        p.send(CONT, b"", fin=False)
    p.send(CONT, b"done")
    assert p.message() == (TEXT, b"done")
    p.text("", fin=False)
    with contextlib.suppress(Closed):
        for _ in range(100):
            p.send(CONT, b"", fin=False)
    assert p.drained()[0] == 1009


def test_flood_of_tiny_messages_holds_nobody_up(run, server, channel):
    site = run.daemon(redis=server)
    floods = [run.peer(site, f"/ws/{channel}-{i}") for i in range(10)]
    other = run.client(site)
    block = frame(TEXT, b"x") * 2000
    with small(site, 48):
        end = time.monotonic() + 3
        slowest = 0
        while time.monotonic() < end:
            for p in floods:        # what is full is left alone
                with contextlib.suppress(BlockingIOError):
                    p.sock.send(block)
            slowest = max(slowest, served(other, f"{channel}-other"))
    assert slowest < 2


def test_garbage_is_closed_and_harms_nobody(run, server, channel):
    site = run.daemon(redis=server)
    other = run.client(site)
    chunk = bytes(range(256)) * 256
    with small(site, 16):
        for i in range(40):
            with peer.connect(site.port) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + chunk
                          if i % 2 else chunk)
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
            p = run.peer(site, f"/ws/{channel}")
            with contextlib.suppress(Closed):
                p.send_raw(chunk[i:])
                p.drained()
            p.kill()
        assert served(other, channel) < 2
    eventually(lambda: metric(site, "connections") == 1)


# --- who does not hurry, or does nothing at all -------------------------------

def test_request_heads_that_are_wrong_are_counted_by_what_is_wrong(run,
                                                                   server):
    site = run.daemon("--max-header", "1k", redis=server)
    for head, status in ((b"GET /ws/x HTTP/1.1\r\nA: " + b"x" * 1024, b"431"),
                         (b"hello\r\n\r\n", b"400")):
        with peer.connect(site.port) as s:
            s.sendall(head)
            assert s.recv(4096).split()[1] == status
    assert metric(site, "large_requests_total") == 1
    assert metric(site, "bad_requests_total") == 1


def test_slow_handshakes_are_given_up_and_hold_nobody_up(run, server, channel):
    site = run.daemon("--handshake-timeout", "1s", redis=server)
    client = run.client(site)
    loris = [peer.connect(site.port) for _ in range(200)]
    for c in b"GET /ws/x HTTP/1.1\r\nHost: x\r\n":
        for s in loris:
            with contextlib.suppress(OSError):
                s.send(bytes([c]))
        assert served(client, channel) < 1
        assert run.client(site).ok("ping")
    counted(site, "handshake_timeouts_total", 200)
    eventually(lambda: metric(site, "connections") <= 31)
    for s in loris:
        s.close()


def push(sock, data):
    """Sends until the other side takes no more; the bytes that went."""
    sent = 0
    while True:
        if not select.select([], [sock], [], 0.5)[1]:
            return sent
        try:
            sent += sock.send(data)
        except BlockingIOError:
            continue
        except OSError:
            return sent


def test_publisher_that_never_reads_is_not_heard_and_then_closed(run, server,
                                                                 channel):
    site = run.daemon("--ping-interval", "1s", "--pong-timeout", "1s",
                      "--output-limit", "64k", redis=server)
    deaf = run.client(site, rcvbuf=4096)
    request = b"".join(
        deaf.encode({"id": i, "do": "publish", "channel": channel, "data": i})
        for i in range(1000))
    with small(site, 16):
        push(deaf.sock, request)
        counted(site, "reply_pauses_total")
        assert served(run.client(site), channel) < 2
        # It lives as far as TCP can tell, but takes nothing.
        counted(site, "pong_timeouts_total")
    eventually(lambda: metric(site, "connections") <= 1)


def test_reader_that_is_slow_but_reads_is_kept(run, server, channel):
    """Its pongs come late, behind all that it has not read yet."""
    site = run.daemon("--ping-interval", "500ms", "--pong-timeout", "500ms",
                      redis=server)
    slow = run.client(site, rcvbuf=4096)
    slow.ok("subscribe", channel=channel)
    store = server.client()
    ids = flood(store, channel, 400, 10000)
    end = time.monotonic() + 3
    while time.monotonic() < end:   # no pong in all that time
        with contextlib.suppress(BlockingIOError):
            slow.buf += slow.sock.recv(16384)
        time.sleep(0.05)
    assert [m[0] for m in slow.messages(channel, 400)] == ids


# --- slow readers -------------------------------------------------------------

def flood(store, channel, count, size=4000):
    pad = "x" * size
    pipe = store.pipeline(transaction=False)
    for i in range(count):
        pipe.xadd(channel_key(channel), {"text": f"{i} {pad}"})
    return [i.decode() for i in pipe.execute()]


def test_slow_newest_goes_on_with_the_newest_message(run, server):
    site = run.daemon("--rule", "price:* slow=newest", "--rule-default",
                      "anyone", redis=server)
    store = server.client()
    slow = run.client(site, rcvbuf=4096)
    good = run.client(site)
    for c in (slow, good):
        c.ok("subscribe", channel="price:1")
    ids = []
    for _ in range(60):
        ids += flood(store, "price:1", 50)
        good.until(lambda: len(good.inbox.get("price:1", [])) == len(ids))
    counted(site, "fell_back_total")
    slow.until(lambda: slow.inbox.get("price:1") and
               slow.inbox["price:1"][-1][0] == ids[-1])
    got = [m[0] for m in slow.inbox["price:1"]]
    gap = slow.gap("price:1")
    # What it has is the beginning, and the newest; the gap says so.
    at = got.index(gap["first"])
    assert got[:at] == ids[:at] and gap["from"] == ids[at - 1]
    assert got[at:] == ids[-len(got[at:]):]
    assert gap["lost"] == len(ids) - len(got)
    assert len(got) < len(ids) / 2
    # It is live again.
    new = xadd(store, "price:1", text="live")
    assert slow.messages("price:1", len(got) + 1)[-1][0] == new
    assert not slow.gaps["price:1"]
    assert not good.gaps
    assert metric(site, "skips_total") == 1


def test_slow_newest_still_gives_what_is_asked_for(run, server):
    site = run.daemon("--rule", "price:* slow=newest", "--rule-default",
                      "anyone", redis=server)
    ids = flood(server.client(), "price:old", 400)
    late = run.client(site, rcvbuf=4096)
    late.ok("subscribe", channel="price:old", offset="0")
    assert [m[0] for m in late.messages("price:old", 400)] == ids
    assert not late.gaps


def test_slow_close_says_to_come_back_later(run, server):
    site = run.daemon("--rule", "log:* slow=close", "--rule-default",
                      "anyone", redis=server)
    store = server.client()
    slow, good = run.client(site, rcvbuf=4096), run.client(site)
    for c in (slow, good):
        c.ok("subscribe", channel="log:1")
    ids = []
    for _ in range(60):
        ids += flood(store, "log:1", 50)
        good.until(lambda: len(good.inbox.get("log:1", [])) == len(ids))
    counted(site, "slow_closes_total")
    with pytest.raises(Closed) as e:
        slow.until(lambda: False)
    assert e.value.code == 1013
    assert [m[0] for m in good.inbox["log:1"]] == ids


@pytest.mark.deadline(120)
def test_stalled_readers_cost_their_output_limit_and_no_more(run, server,
                                                             channel):
    """10 of 60 stop reading; the others keep pace, and when the ten read again
    they get every message."""
    site = run.daemon(redis=server)
    store = server.client()
    stalled = [run.client(site, rcvbuf=4096) for _ in range(10)]
    others = [run.client(site) for _ in range(50)]
    for c in stalled + others:
        c.ok("subscribe", channel=channel)
    ids = []
    with small(site, 10 / 4 + 16):
        for _ in range(30):
            ids += flood(store, channel, 10, 16000)
            peer.pump(others, lambda: all(
                len(c.inbox.get(channel, [])) >= len(ids) for c in others), 20)
        assert metric(site, "fell_back_total") >= 10
    peer.pump(stalled, lambda: all(
        len(c.inbox.get(channel, [])) >= len(ids) for c in stalled), 60)
    for c in stalled + others:
        assert [m[0] for m in c.inbox[channel]] == ids
        assert not c.gaps


# --- all buffers together -----------------------------------------------------

def test_all_buffers_together_are_bounded(run, server, channel):
    """Without the bound, 60 readers that stop would take 60 output limits."""
    site = run.daemon("--output-limit", "1m", "--max-buffers", "4m",
                      redis=server)
    store = server.client()
    good = run.client(site)
    stalled = [run.client(site, rcvbuf=4096) for _ in range(60)]
    for c in stalled + [good]:
        c.ok("subscribe", channel=channel)
    ids = []
    for _ in range(40):
        ids += flood(store, channel, 5, 16000)
        good.until(lambda: len(good.inbox.get(channel, [])) == len(ids))
        assert metric(site, "output_bytes") < 12 * MIB
    assert metric(site, "output_bytes") <= 5 * MIB
    assert good.ok("ping")
    # When they read again they get what was kept for them, or come back.
    assert [m[0] for m in good.inbox[channel]] == ids
    left = [c for c in stalled if not ended(c)]
    peer.pump(left, lambda: all(
        c.eof or len(c.inbox.get(channel, [])) >= len(ids) for c in left), 30,
        on_eof=lambda c: None)
    for c in left:
        if not c.eof:
            assert [m[0] for m in c.inbox[channel]] == ids
    assert run.client(site).ok("ping")


@pytest.mark.deadline(120)
def test_whoever_holds_most_makes_room_for_who_comes(run, server, channel):
    """12 readers that stop have all the memory that there is; all who come
    after them are let in and served."""
    site = run.daemon("--output-limit", "256k", "--max-buffers", "2m",
                      redis=server)
    store = server.client()
    stalled = [run.client(site, rcvbuf=4096) for _ in range(12)]
    for c in stalled:
        c.ok("subscribe", channel=channel)
    flood(store, channel, 400, 16000)
    newcomers = []
    for i in range(60):
        one = run.client(site, rcvbuf=4096)
        one.ok("subscribe", channel=channel, offset="$")
        served(one, f"{channel}-{i}")
        newcomers.append(one)
        flood(store, channel, 1, 16000)
    assert metric(site, "refused_full_total") == 0
    assert metric(site, "output_bytes") <= 3 * MIB
    # Half a message each: it is not they who hold most, nor those who read.
    rest = frame(TEXT, b"x" * 60000)[:-10]
    for one in newcomers[:30]:
        one.send_raw(rest)
    counted(site, "buffers_cut_total")
    for i, one in enumerate(newcomers[30:]):
        served(one, f"{channel}-{i}")
    assert metric(site, "connections") >= len(newcomers)
    good = run.client(site)
    good.ok("subscribe", channel=channel)
    ids = flood(store, channel, 5, 16000)
    assert [m[0] for m in good.messages(channel, 5)] == ids


def ended(client):
    with contextlib.suppress(Closed):
        client.pump()
        client.sort()
    return client.eof


def test_unfinished_messages_are_bounded_too(run, server, channel):
    """64 clients begin a message of a mebibyte each and never end it."""
    site = run.daemon("--max-message", "1m", "--max-buffers", "8m",
                      redis=server)
    good = run.client(site)
    rest = frame(BINARY, b"x" * MIB)[:-10]
    with small(site, 40):
        for _ in range(64):
            try:
                p = run.peer(site, f"/ws/{channel}")
                p.send_raw(rest)
            except (Refused, Closed):
                continue
            assert metric(site, "input_bytes") < 12 * MIB
        counted(site, "buffers_full_total")
        assert served(good, channel) < 2
