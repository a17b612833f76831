# SPDX-License-Identifier: MIT
"""Several gateways, on one port and on one Redis; their death, their leaving,
and clients that do not read."""
import json
import os
import random
import signal
import socket
import threading
import time

import pytest

import peer
from harness import (channel_key, eventually, resident_bytes, sanitized)
from peer import Client, Closed, Peer, Refused


def trickle(server, channel, stop, pace, done):
    """Publishes {"n": i} at a pace; done[0] says how many."""
    store = server.client()
    i = 0
    while not stop.wait(pace):
        store.xadd(channel_key(channel), {"json": '{"n":%d}' % i})
        i += 1
        done[0] = i
    store.close()


# --- several -----------------------------------------------------------------

@pytest.fixture(scope="module")
def three(run_once, server):
    return run_once.daemon(redis=server, gateways=3)


def test_three_gateways_share_one_port(run, three, channel):
    clients = [run.client(three) for _ in range(60)]
    assert len({c.welcome["gateway"] for c in clients}) == 3
    assert len({c.welcome["client"] for c in clients}) == 60
    for c in clients:
        c.ask("subscribe", channel=channel)
    peer.pump(clients, lambda: all(1 in c.replies for c in clients))
    for c in clients:
        c.ask("publish", channel=channel, data=c.welcome["client"])
    peer.pump(clients, lambda: all(
        len(c.inbox.get(channel, [])) == 60 for c in clients))
    orders = {tuple(m[0] for m in c.inbox[channel]) for c in clients}
    assert len(orders) == 1


def test_each_of_three_gateways_has_an_ops_port(three):
    for i in range(3):
        assert three.http("/healthz", i)[0] == 200
        assert three.http("/readyz", i)[0] == 200
        assert three.http("/metrics", i)[0] == 200


def test_two_supervisors_on_one_redis(run, server, channel):
    a, b = run.daemon(redis=server), run.daemon(redis=server, gateways=2)
    at_a, at_b = run.client(a), run.client(b, "msgpack")
    at_a.ok("subscribe", channel=channel)
    at_b.ok("subscribe", channel=channel)
    at_a.ok("publish", channel=channel, data={"from": "a"})
    at_b.ok("publish", channel=channel, data={"from": "b"})
    for c in (at_a, at_b):
        assert [m[2] for m in c.messages(channel, 2)] == [{"from": "a"},
                                                          {"from": "b"}]
    assert at_a.welcome["epoch"] == at_b.welcome["epoch"]
    assert at_a.welcome["gateway"] != at_b.welcome["gateway"]
    # One goes: the other is not disturbed.
    assert a.stop() == 0
    at_b.ok("publish", channel=channel, data=3)
    assert at_b.messages(channel, 1)[0][2] == 3


def test_prefixes_are_worlds_apart(run, server, site, channel):
    other = run.daemon("--prefix", "elsewhere", redis=server)
    here, there = run.client(site), run.client(other)
    for c in (here, there):
        c.ok("subscribe", channel=channel)
    here.ok("publish", channel=channel, data="here")
    there.ok("publish", channel=channel, data="there")
    assert here.messages(channel, 1)[0][2] == "here"
    assert there.messages(channel, 1)[0][2] == "there"
    here.nothing_more(channel)
    there.nothing_more(channel)


# --- death -------------------------------------------------------------------

@pytest.mark.deadline(120)
def test_clients_of_a_killed_gateway_resume_without_gap_or_double(run, server,
                                                                  channel):
    site = run.daemon(redis=server)
    clients = [run.client(site) for _ in range(200)]
    for c in clients:
        c.got = c.inbox.setdefault(channel, [])
        c.ask("subscribe", channel=channel, offset="0")
    peer.pump(clients, lambda: all(1 in c.replies for c in clients))
    epoch = clients[0].replies[1]["ok"]["epoch"]
    stop, count = threading.Event(), [0]
    publisher = threading.Thread(target=trickle, daemon=True,
                                 args=(server, channel, stop, 0.01, count))
    publisher.start()
    try:
        peer.pump(clients, lambda: all(len(c.got) > 20 for c in clients))
        old = site.kill_child("gateway")
        live, lost = set(clients), []

        def gone(c):
            live.discard(c)
            lost.append(c)
        peer.pump(clients, lambda: not live, on_eof=gone)
        new = site.wait_child("gateway", other_than=old)
        assert new != old
        back = []
        for c in lost:
            again = eventually(lambda: connect(site), 20)
            run.add(again)
            again.got = again.inbox[channel] = c.got
            again.ask("subscribe", channel=channel, offset=c.got[-1][0],
                      epoch=epoch)
            back.append(again)
        peer.pump(back, lambda: all(1 in c.replies for c in back))
        mark = count[0]
        peer.pump(back, lambda: all(
            c.got and c.got[-1][2]["n"] >= mark + 20 for c in back))
    finally:
        stop.set()
        publisher.join(10)
    peer.pump(back, lambda: all(len(c.got) >= count[0] for c in back), 20)
    for c in back:
        assert [m[2]["n"] for m in c.got] == list(range(count[0]))
        assert not c.gaps


def connect(site):
    try:
        return Client(site.port)
    except (Refused, Closed, OSError):
        return None


def test_one_of_three_gateways_dies_alone(run, three, channel):
    clients = [run.client(three) for _ in range(30)]
    by_gateway = {}
    for c in clients:
        by_gateway.setdefault(c.welcome["gateway"], []).append(c)
    assert len(by_gateway) == 3
    old = three.kill_child("gateway", 1)
    dead = []
    live = set(clients)

    def gone(c):
        live.discard(c)
        dead.append(c)
    peer.pump(clients, lambda: dead, on_eof=gone)
    names = {c.welcome["gateway"] for c in dead}
    assert len(names) == 1
    rest = [c for c in clients if c.welcome["gateway"] not in names]
    for c in rest:
        assert c.ok("ping")
    new = three.wait_child("gateway", 1, other_than=old)
    assert new != old
    eventually(lambda: run.client(three).welcome["gateway"] not in
               {c.welcome["gateway"] for c in rest},
               what="nobody reaches the new gateway")


# --- leaving -----------------------------------------------------------------

def test_drain_is_told_before_the_close(run, server, channel):
    site = run.daemon("--drain-timeout", "5s", redis=server)
    clients = [run.client(site) for _ in range(20)]
    clients.append(run.client(site, "msgpack"))
    plain = run.peer(site, f"/ws/{channel}")
    for c in clients:
        c.ok("subscribe", channel=channel)
    begin = time.monotonic()
    site.send(signal.SIGTERM)
    for c in clients:
        with pytest.raises(Closed) as e:
            c.until(lambda: False)
        assert e.value.code == 1012
        assert [p["push"] for p in c.pushes] == ["drain"]
        after = c.pushes[0]["after"]
        assert isinstance(after, int) and 0 <= after < 60000
    assert plain.closed() == 1012
    assert site.wait() == 0
    assert time.monotonic() - begin < 8
    assert not site.left()


def test_what_was_answered_before_a_drain_is_stored(run, server, channel):
    site = run.daemon("--drain-timeout", "5s", redis=server)
    client = run.client(site)
    client.send_raw(b"".join(client.encode(
        {"id": i, "do": "publish", "channel": channel, "data": i})
        for i in range(1, 2001)))
    client.reply(1)
    site.send(signal.SIGTERM)
    with pytest.raises(Closed):
        client.until(lambda: False, timeout=10)
    assert site.wait() == 0
    stored = {i.decode() for i, _ in server.client().xrange(channel_key(channel))}
    told = {r["ok"]["offset"] for r in client.replies.values() if "ok" in r}
    assert told and told <= stored
    # Whatever the gateway took, it answered.
    assert len(client.replies) == 2000 or len(stored) == len(told)


def test_what_was_not_answered_before_1012_was_not_taken(run, channel):
    """Ten clients publish as fast as they can while their gateway goes."""
    server = run.redis()
    site = run.daemon("--drain-timeout", "10s", redis=server)
    clients = [run.client(site) for _ in range(10)]
    for n in range(40):
        for i, c in enumerate(clients):
            c.ask("publish", channel=channel, data=[i, n])
    site.send(signal.SIGTERM)
    for n in range(40, 400):
        for i, c in enumerate(clients):
            try:
                c.ask("publish", channel=channel, data=[i, n])
            except (Closed, OSError):
                pass
    answered = []
    for i, c in enumerate(clients):
        with pytest.raises(Closed) as e:
            c.until(lambda: False)
        assert e.value.code == 1012
        # Request number k publishes k - 1, and all are answered in turn.
        answered += [[i, k - 1] for k, r in c.replies.items() if "ok" in r]
        assert all("ok" in r for r in c.replies.values())
    stored = [json.loads(fields[b"json"]) for _, fields in
              server.client().xrange(channel_key(channel))]
    assert sorted(stored) == sorted(answered)


def test_held_request_is_not_taken_by_a_draining_gateway(run, channel):
    """A publish that waits for a subscribe of the same client."""
    server = run.redis()
    site = run.daemon("--drain-timeout", "10s", redis=server)
    client = run.client(site)
    client.ok("ping")
    server.freeze()
    client.ask("subscribe", channel=channel)
    held = client.ask("publish", channel=channel, data=1)
    site.send(signal.SIGTERM)
    with pytest.raises(Closed) as e:
        client.until(lambda: False)
    assert e.value.code == 1012
    assert [p["push"] for p in client.pushes] == ["drain"]
    assert held not in client.replies
    server.resume()
    site.wait(20)
    assert server.client().xlen(channel_key(channel)) == 0


def test_nobody_new_is_taken_while_draining(run, server):
    site = run.daemon("--drain-timeout", "5s", redis=server)
    run.client(site)
    site.send(signal.SIGTERM)
    eventually(lambda: connect(site) is None)
    assert site.wait() == 0


@pytest.mark.deadline(120)
def test_clients_are_sent_away_at_a_pace_and_served_until_then(run, server,
                                                               channel):
    site = run.daemon("--drain-rate", "20", redis=server)
    clients = [Follower(site.port, channel) for _ in range(20)]
    clients += [Plain(site.port, channel) for _ in range(20)]
    for c in clients:
        run.add(c)
    store, n = server.client(), [0]

    def publish():
        store.xadd(channel_key(channel), {"json": '{"n":%d}' % n[0]})
        n[0] += 1
        return not live

    def gone(c):
        live.discard(c)
        c.kill()
    live = set(clients)
    begin = time.monotonic()
    site.send(signal.SIGTERM)
    peer.pump(clients, publish, on_eof=gone)
    assert 1.5 < time.monotonic() - begin < 6       # 40 clients, 20 a second
    for c in clients:
        # Whoever is told sees nothing more, but until then everything.
        assert c.numbers() == list(range(len(c.numbers())))
        assert c.code == 1012
    assert max(len(c.numbers()) for c in clients) > 10
    for c in clients[:20]:
        # Nobody stays: two seconds of drain, one to start, one by chance.
        assert [p["push"] for p in c.pushes] == ["drain"]
        assert 3000 <= c.pushes[0]["after"] <= 4000
    assert site.wait() == 0
    assert site.log.find("gateway.drained", told=40, left=0)


def test_drain_is_over_in_its_time_whatever_its_rate(run, server, channel):
    site = run.daemon("--drain-rate", "1", "--drain-timeout", "4s",
                      redis=server)
    clients = [run.add(Follower(site.port, channel)) for _ in range(20)]
    live = set(clients)

    def gone(c):
        live.discard(c)
        c.kill()
    site.send(signal.SIGTERM)
    peer.pump(clients, lambda: not live, on_eof=gone)
    assert {c.code for c in clients} == {1012}
    assert site.wait() == 0
    assert site.log.find("gateway.drained", told=20, left=0)
    assert site.log.find("gateway.drain", length_ms=3000, others="no")


def test_who_comes_while_it_drains_is_told_when_to_try_again(run, server):
    """By a connection that is older than the drain."""
    site = run.daemon("--drain-timeout", "5s", redis=server)
    early = socket.create_connection(("127.0.0.1", site.port), 10)
    eventually(lambda: "redistribute_gateway_connections 1\n" in
               site.http("/metrics")[1])
    site.send(signal.SIGTERM)
    site.wait_event("gateway.drain")
    early.sendall(peer.handshake("/")[0])
    answer = early.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 503 ")
    assert 1 <= int(peer.header_of(answer.partition("\r\n\r\n")[0],
                                   "Retry-After")) <= 3
    early.close()
    assert site.wait() == 0


def test_whom_the_kernel_has_queued_is_answered_by_who_goes(run, server):
    site = run.daemon("--drain-timeout", "5s", redis=server)
    pid = site.child("gateway")
    os.kill(pid, signal.SIGSTOP)
    waiting = []
    for _ in range(100):
        c = socket.create_connection(("127.0.0.1", site.port), 10)
        c.sendall(peer.handshake("/")[0])
        waiting.append(c)
    site.send(signal.SIGTERM)
    site.wait_event("drain")
    os.kill(pid, signal.SIGCONT)
    for c in waiting:
        # Not reset: it came in before the drain began, or after it.
        assert c.recv(65536)[:13] in (b"HTTP/1.1 503 ", b"HTTP/1.1 101 ")
        c.close()
    assert site.wait() == 0


# --- rolling -----------------------------------------------------------------

class Follower(Client):
    """Follows a channel from an offset; keeps the code of its close."""

    def __init__(self, port, channel, after=None):
        super().__init__(port)
        self.channel = channel
        self.code = None
        self.got = self.inbox[channel] = []
        self.ask("subscribe", channel=channel, offset=after or "0")
        if after is None:
            self.reply(1)

    def sort(self):
        try:
            super().sort()
        except Closed as e:
            self.code = e.code
            raise

    def numbers(self):
        return [m[2]["n"] for m in self.got]


class Plain(Peer):
    """The same in plain mode, where there are no offsets: from the first."""

    def __init__(self, port, channel):
        super().__init__(port, f"/ws/{channel}?offset=0")
        self.code = None
        self.got = []

    def sort(self):
        try:
            while self.frames:
                message = self.take(self.frames.pop(0))
                if message:
                    self.got.append(json.loads(message[1])["n"])
        except Closed as e:
            self.code = e.code
            raise

    def numbers(self):
        return self.got


class Publisher:
    """Publishes {"n": i}, waiting for each answer; comes back when its gateway
    goes.  What was not answered is not published again: .stored are those that
    were."""

    def __init__(self, connect_again, channel):
        self.connect = connect_again
        self.channel = channel
        self.stored = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        client, i = self.connect(), 0
        while not self.done.wait(0.005):
            try:
                if "ok" in client.reply(client.ask(
                        "publish", channel=self.channel, data={"n": i})):
                    self.stored.append(i)
            except Closed:
                client.kill()
                client = self.connect()
            i += 1
        client.kill()

    def end(self):
        self.done.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.mark.deadline(120)
@pytest.mark.parametrize("kept_open", [False, True])
def test_rolling_restart_under_load_loses_nothing(run, server, channel,
                                                  kept_open):
    """kept_open: by a socket that was handed over."""
    sockets = [socket.create_server(("127.0.0.1", 0), backlog=4096)] \
        if kept_open else []
    port = sockets[0].getsockname()[1] if kept_open else None
    site = run.daemon("--drain-rate", "50", redis=server, gateways=3,
                      port=port, sockets=sockets)
    errors = []

    def again(make):
        """503 is an honest answer of a gateway that is going; being refused
        by the kernel is not, where somebody keeps the port open."""
        def attempt():
            try:
                return make()
            except (Refused, Closed, OSError) as e:
                if isinstance(e, OSError):
                    errors.append(e)
                return None
        return eventually(attempt)

    publisher = Publisher(lambda: again(lambda: Client(site.port)), channel)
    slots = [run.add(Follower(site.port, channel)) for _ in range(30)]
    slots += [run.add(Plain(site.port, channel)) for _ in range(30)]
    first, gone = list(slots), []

    def come_back(c):
        gone.append(c)
        at = slots.index(c)
        if isinstance(c, Plain):
            slots[at] = again(lambda: Plain(site.port, channel))
        else:
            slots[at] = again(
                lambda: Follower(site.port, channel, c.got[-1][0]))
            # What it had, and then what it gets.
            c.got.extend(slots[at].got)
            slots[at].got = slots[at].inbox[channel] = c.got
        return run.add(slots[at])

    peer.pump(slots, lambda: min(len(c.got) for c in slots) > 20)
    since = site.log.position()
    site.send(signal.SIGUSR2)
    peer.pump(slots, lambda: len(site.log.find(
        "child.ready", since=since, role="gateway")) == 3, 40, come_back)
    publisher.end()
    stored = [json.loads(fields[b"json"])["n"] for _, fields in
              server.client().xrange(channel_key(channel))]
    assert set(publisher.stored) <= set(stored)
    assert len(set(stored)) == len(stored)
    peer.pump(slots, lambda: all(len(c.got) >= len(stored) for c in slots),
              20, come_back)
    for c in slots:
        assert c.numbers() == stored
        assert not getattr(c, "gaps", None)
    assert set(first) <= set(gone), "not all gateways were replaced"
    for c in gone:
        assert c.code == 1012
        if isinstance(c, Plain):
            assert c.got == stored[:len(c.got)]
        else:
            assert [p["push"] for p in c.pushes] == ["drain"]
            assert 0 <= c.pushes[0]["after"] <= 1000
    drains = site.log.find("gateway.drain", since=since)
    assert [e["others"] for e in drains] == ["yes"] * 3
    assert not kept_open or not errors, errors
    for s in sockets:
        s.close()


# --- slow readers ------------------------------------------------------------

@pytest.mark.deadline(120)
def test_readers_that_stop_harm_nobody_and_lose_nothing(run, server, channel):
    site = run.daemon(redis=server)
    store = server.client()
    slow = [run.client(site, rcvbuf=4096) for _ in range(8)]
    others = [run.client(site) for _ in range(50)]
    for c in slow + others:
        c.ok("subscribe", channel=channel)
    pid = site.child("gateway")
    before = resident_bytes(pid)
    # 8 times 8 MiB would stand in the gateway, if it kept what they leave.
    pad = "x" * 4000
    ids = []
    total = 2000
    for at in range(0, total, 50):
        pipe = store.pipeline(transaction=False)
        for i in range(at, at + 50):
            pipe.xadd(channel_key(channel), {"text": f"{i} {pad}"})
        ids += [i.decode() for i in pipe.execute()]
        # The others keep pace.
        peer.pump(others, lambda: all(
            len(c.inbox.get(channel, [])) >= at + 50 for c in others), 20)
    for c in others:
        assert [m[0] for m in c.inbox.pop(channel)] == ids
    if not sanitized():
        grown = resident_bytes(pid) - before
        assert grown < 24 << 20, f"the gateway has grown by {grown >> 20} MiB"
    # Now they read again.
    for c in slow:
        assert c.ok("ping")
    peer.pump(slow, lambda: all(
        len(c.inbox.get(channel, [])) >= total for c in slow), 60)
    for c in slow:
        assert [m[0] for m in c.inbox[channel]] == ids
        assert not c.gaps
    # And are live again.
    more = store.xadd(channel_key(channel), {"json": '"live"'}).decode()
    peer.pump(slow, lambda: all(
        c.inbox[channel][-1][0] == more for c in slow))


def test_stopped_reader_can_be_closed_by_a_drain(run, server, channel):
    """A client that does not read cannot hold up a stop."""
    site = run.daemon("--drain-timeout", "2s", redis=server)
    client = run.client(site, rcvbuf=4096)
    client.ok("subscribe", channel=channel)
    store = server.client()
    for _ in range(100):
        store.xadd(channel_key(channel), {"text": "x" * 60000})
    begin = time.monotonic()
    assert site.stop() == 0
    assert time.monotonic() - begin < 10


def test_random_mix_of_clients_gets_every_message_in_order(run, three, server,
                                                           channel):
    """Clients come, go, resume and stop reading, on three gateways."""
    chance = random.Random(1)
    store = server.client()
    clients = []
    total = 0
    for _ in range(40):
        for _ in range(chance.randrange(3)):
            c = run.client(three, chance.choice(["json", "msgpack"]))
            c.got = c.inbox.setdefault(channel, [])
            c.ok("subscribe", channel=channel, offset="0")
            clients.append(c)
        if clients and chance.random() < 0.4:
            old = clients.pop(chance.randrange(len(clients)))
            old.sort()
            c = run.client(three)
            c.got = c.inbox[channel] = old.got
            old.kill()
            c.ok("subscribe", channel=channel,
                 offset=c.got[-1][0] if c.got else "0")
            clients.append(c)
        pipe = store.pipeline(transaction=False)
        for _ in range(chance.randrange(60)):
            pipe.xadd(channel_key(channel), {"json": str(total)})
            total += 1
        pipe.execute()
        for c in chance.sample(clients, len(clients) // 2):
            c.pump()
            c.sort()
    peer.pump(clients, lambda: all(len(c.got) >= total for c in clients), 20)
    for c in clients:
        assert [m[2] for m in c.got] == list(range(total))
        assert not c.gaps
