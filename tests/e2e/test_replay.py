# SPDX-License-Identifier: MIT
"""A subscription is a cursor: wherever it starts and whatever is published
meanwhile, it gets everything after its offset, once, in order."""
import json
import threading

import pytest

import peer
from harness import channel_key, eventually, xadd


def fill(store, channel, count, start=0):
    """count messages {"n": i}; their offsets."""
    pipe = store.pipeline(transaction=False)
    for i in range(start, start + count):
        pipe.xadd(channel_key(channel), {"json": '{"n":%d}' % i})
    return [i.decode() for i in pipe.execute()]


def ids_of(messages):
    return [m[0] for m in messages]


def stored_ids(store, channel):
    return [i.decode() for i, _ in store.xrange(channel_key(channel))]


def delete(store, channel):
    """DEL forgets the last id, so one made in the same millisecond might be
    given again: go on in another one."""
    store.delete(channel_key(channel))
    gone = store.time()
    eventually(lambda: (store.time()[0], store.time()[1] // 1000) >
               (gone[0], gone[1] // 1000), interval=0)


def after(ids, offset):
    at = peer.offset_key(offset)
    return [i for i in ids if peer.offset_key(i) > at]


class Publisher(threading.Thread):
    """Publishes as fast as it can, in pipelines, until stopped."""

    def __init__(self, server, channel, total, chunk=100):
        super().__init__(daemon=True)
        self.server, self.channel = server, channel
        self.total, self.chunk = total, chunk
        self.sent = 0
        self.error = None
        self.start()

    def run(self):
        store = self.server.client()
        try:
            while self.sent < self.total:
                fill(store, self.channel, self.chunk, self.sent)
                self.sent += self.chunk
        except Exception as e:
            self.error = e
        finally:
            store.close()

    def finish(self):
        self.join(60)
        assert not self.is_alive() and self.error is None, self.error


# --- where to start ----------------------------------------------------------

@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_every_kind_of_offset(run, site, store, channel, codec):
    ids = fill(store, channel, 20)

    def replayed(offset, count):
        client = run.client(site, codec)
        client.ok("subscribe", channel=channel, offset=offset)
        got = client.messages(channel, count) if count else []
        client.nothing_more(channel)
        assert not client.gaps
        client.kill()
        return ids_of(got)

    ms, seq = ids[10].split("-")
    assert replayed("$", 0) == []
    assert replayed("0", 20) == ids
    assert replayed("0-0", 20) == ids
    assert replayed(ids[4], 15) == ids[5:]
    assert replayed(ids[19], 0) == []
    assert replayed("-1", 1) == ids[19:]
    assert replayed("-7", 7) == ids[13:]
    assert replayed("-20", 20) == ids
    assert replayed("-10000", 20) == ids
    assert replayed("@0", 20) == ids
    since = [i for i in ids if int(i.split("-")[0]) >= int(ms)]
    assert replayed(f"@{ms}", len(since)) == since
    assert replayed("@99999999999999", 0) == []
    # An id that is not there, between two that are.
    if int(seq) > 0:
        store.xdel(channel_key(channel), ids[10])
        ids.remove(ids[10])


def test_offset_between_two_messages_is_a_place(client, store, channel):
    key = channel_key(channel)
    for n in ("5-1", "5-3", "7-0"):
        store.xadd(key, {"json": "1"}, id=n)
    client.ok("subscribe", channel=channel, offset="5-1")
    assert ids_of(client.messages(channel, 2)) == ["5-3", "7-0"]
    client.ok("unsubscribe", channel=channel)
    client.ok("subscribe", channel=channel, offset="@6")
    assert ids_of(client.messages(channel, 1)) == ["7-0"]
    client.ok("unsubscribe", channel=channel)
    client.ok("subscribe", channel=channel, offset="@5")
    assert ids_of(client.messages(channel, 3)) == ["5-1", "5-3", "7-0"]


def test_time_in_the_future_waits_for_it(client, store, channel):
    """@ is a place in time: what is older than it is not wanted."""
    key = channel_key(channel)
    store.xadd(key, {"json": "1"}, id="1000-0")
    client.ok("subscribe", channel=channel, offset="@5000")
    store.xadd(key, {"json": "2"}, id="4000-0")
    store.xadd(key, {"json": "3"}, id="5000-0")
    assert ids_of(client.messages(channel, 1)) == ["5000-0"]
    client.nothing_more(channel)


def test_time_in_the_future_comes_without_a_gap(run, site, store, channel):
    """No entry stood there, and nobody can say that one was lost."""
    key = channel_key(channel)
    store.xadd(key, {"json": "1"}, id="1000-0")
    first, second = run.client(site), run.client(site)
    first.ok("subscribe", channel=channel, offset="@5000")
    second.ok("subscribe", channel=channel)
    store.xadd(key, {"json": "2"}, id="4000-0")
    assert ids_of(second.messages(channel, 1)) == ["4000-0"]
    store.xadd(key, {"json": "3"}, id="6000-0")
    assert ids_of(first.messages(channel, 1)) == ["6000-0"]
    assert not first.gaps


def test_a_time_in_an_empty_channel_comes_without_a_gap(client, store,
                                                        channel):
    client.ok("subscribe", channel=channel, offset="@5000")
    store.xadd(channel_key(channel), {"json": "1"}, id="6000-0")
    assert ids_of(client.messages(channel, 1)) == ["6000-0"]
    assert not client.gaps


def test_second_subscriber_has_an_offset_of_its_own(run, site, store, channel):
    """The seed kept one offset for each channel: asked from 0, the second
    subscriber got 1 of 11."""
    ids = fill(store, channel, 11)
    first, second, third = (run.client(site) for _ in range(3))
    first.ok("subscribe", channel=channel)
    second.ok("subscribe", channel=channel, offset="0")
    third.ok("subscribe", channel=channel, offset=ids[7])
    ids += fill(store, channel, 2, 11)
    assert ids_of(first.messages(channel, 2)) == ids[11:]
    assert ids_of(second.messages(channel, 13)) == ids
    assert ids_of(third.messages(channel, 5)) == ids[8:]


def test_long_replay_comes_in_order(run, site, store, channel):
    ids = fill(store, channel, 25000)
    client = run.client(site)
    client.ok("subscribe", channel=channel, offset="0")
    got = client.messages(channel, 25000, timeout=30)
    assert ids_of(got) == ids
    assert [m[2]["n"] for m in got] == list(range(25000))


# --- while messages are published --------------------------------------------

@pytest.mark.deadline(120)
def test_subscribers_that_join_at_full_speed_miss_and_double_nothing(
        run, site, server, store, channel):
    publisher = Publisher(server, channel, 12000)
    clients, wanted = [], []
    kinds = ["$", "0", "-50", "-5000", "last", "@0"]
    for i in range(24):
        client = run.client(site, "msgpack" if i % 4 == 3 else "json")
        kind = kinds[i % len(kinds)]
        if kind == "last":
            newest = store.xrevrange(channel_key(channel), count=500)
            kind = newest[-1][0].decode() if newest else "0"
        start = client.ok("subscribe", channel=channel, offset=kind)["offset"]
        clients.append(client)
        wanted.append(start)
    publisher.finish()
    ids = stored_ids(store, channel)
    assert len(ids) == 12000
    wanted = [after(ids, offset) for offset in wanted]
    peer.pump(clients, lambda: all(
        len(c.inbox.get(channel, [])) >= len(w)
        for c, w in zip(clients, wanted)), 60)
    for c, w in zip(clients, wanted):
        assert ids_of(c.inbox.pop(channel, [])) == w
        c.nothing_more(channel)
        assert not c.gaps


def test_leaving_and_coming_back_at_full_speed(run, site, server, store, channel):
    """Unsubscribe, then resume from the last offset, again and again."""
    publisher = Publisher(server, channel, 8000)
    client = run.client(site)
    got = []
    at = "0"
    while len(got) < 8000:
        client.ok("subscribe", channel=channel, offset=at)
        if got or publisher.sent:
            client.until(lambda: client.inbox.get(channel), timeout=20)
        client.ok("unsubscribe", channel=channel)
        got += client.inbox.pop(channel, [])
        at = got[-1][0] if got else "0"
        # After the reply to unsubscribe nothing may come.
        client.ok("ping")
        assert not client.inbox.get(channel)
    publisher.finish()
    assert [m[2]["n"] for m in got] == list(range(8000))
    assert not client.gaps


def test_dollar_is_resolved_once(run, site, store, channel):
    """Nothing published after the reply is lost, however soon."""
    client = run.client(site)
    for i in range(100):
        name = f"{channel}-{i}"
        start = client.ok("subscribe", channel=name)["offset"]
        assert start == "0-0"
        xadd(store, name, json=str(i))
    for i in range(100):
        assert client.messages(f"{channel}-{i}", 1)[0][2] == i


# --- bursts ------------------------------------------------------------------

def test_two_hundred_subscribes_in_one_burst_deliver_each_message_once(
        run, site, store, channel):
    """The seed delivered each of 200 messages 200 times."""
    client = run.client(site)
    names = [f"{channel}-{i}" for i in range(200)]
    client.send_raw(b"".join(client.encode(
        {"id": i + 1000, "do": "subscribe", "channel": n})
        for i, n in enumerate(names)))
    client.until(lambda: len(client.replies) == 200)
    assert all("ok" in r for r in client.replies.values())
    pipe = store.pipeline(transaction=False)
    for i, n in enumerate(names):
        pipe.xadd(channel_key(n), {"json": str(i)})
    pipe.execute()
    client.until(lambda: sum(map(len, client.inbox.values())) >= 200)
    client.nothing_more("none")
    assert {n: [m[2] for m in client.inbox[n]] for n in names} == {
        n: [i] for i, n in enumerate(names)}


def test_two_hundred_clients_subscribe_at_once(run, site, store, channel):
    clients = [run.client(site, wait=False) for _ in range(200)]
    for c in clients:
        c.ask("subscribe", channel=channel)
    peer.pump(clients, lambda: all(1 in c.replies for c in clients), 20)
    ids = fill(store, channel, 10)
    peer.pump(clients, lambda: all(
        len(c.inbox.get(channel, [])) >= 10 for c in clients), 20)
    assert all(ids_of(c.inbox[channel]) == ids for c in clients)


def test_dollar_on_three_hundred_quiet_channels_loses_no_first_message(
        run, site, store, channel):
    """The seeds lost 3 to 12 % of them, while other channels were added."""
    client = run.client(site)
    names = [f"{channel}-{i}" for i in range(300)]
    for n in names:
        client.ask("subscribe", channel=n)
    client.until(lambda: len(client.replies) == 300)
    noise = run.client(site)
    for i, n in enumerate(names):
        noise.ask("subscribe", channel=f"{channel}-noise-{i}")
        xadd(store, n, json="1")
    client.until(lambda: sum(map(len, client.inbox.values())) >= 300)
    assert all(len(client.inbox[n]) == 1 for n in names)


def test_subscribing_twice_has_no_effect(client, store, channel):
    ids = fill(store, channel, 3)
    client.ok("subscribe", channel=channel, offset="0")
    answer = client.ok("subscribe", channel=channel, offset="0")
    assert answer["already"] is True
    ids += fill(store, channel, 3, 3)
    assert ids_of(client.messages(channel, 6)) == ids
    client.nothing_more(channel)


def test_subscribing_twice_in_one_packet_has_no_effect(client, store, channel):
    ids = fill(store, channel, 3)
    client.send_raw(b"".join(client.encode(
        {"id": i, "do": "subscribe", "channel": channel, "offset": "0"})
        for i in (91, 92, 93)))
    client.until(lambda: {91, 92, 93} <= set(client.replies))
    assert all("ok" in client.replies[i] for i in (91, 92, 93))
    assert ids_of(client.messages(channel, 3)) == ids
    client.nothing_more(channel)


def test_unsubscribe_right_behind_subscribe(client, store, channel):
    fill(store, channel, 50)
    for i in range(30):
        client.send_raw(
            client.encode({"id": 100 + 2 * i, "do": "subscribe",
                           "channel": channel, "offset": "0"}) +
            client.encode({"id": 101 + 2 * i, "do": "unsubscribe",
                           "channel": channel}))
    client.until(lambda: 159 in client.replies and 158 in client.replies)
    assert all("ok" in client.replies[i] for i in range(100, 160))
    client.inbox.pop(channel, None)
    fill(store, channel, 5, 50)
    client.nothing_more(channel)
    client.ok("subscribe", channel=channel, offset="-2")
    assert [m[2]["n"] for m in client.messages(channel, 2)] == [53, 54]


def test_plain_mode_replays_by_its_address(run, site, store, channel):
    ids = fill(store, channel, 10)

    def first(offset, count):
        p = run.peer(site, f"/ws/{channel}?offset={offset}")
        return [json.loads(p.message()[1])["n"] for _ in range(count)]

    assert first("0", 10) == list(range(10))
    assert first("-3", 3) == [7, 8, 9]
    assert first(ids[5], 4) == [6, 7, 8, 9]
    assert first("@0", 10) == list(range(10))
    p = run.peer(site, f"/ws/{channel}?offset=%24")
    p.text('{"n":10}')
    assert p.message() == (peer.TEXT, b'{"n":10}')


# --- gaps --------------------------------------------------------------------

def test_trimmed_away_is_told_by_a_gap(client, store, channel):
    ids = fill(store, channel, 10)
    store.xtrim(channel_key(channel), maxlen=4, approximate=False)
    client.ok("subscribe", channel=channel, offset=ids[2])
    gap = client.gap(channel)
    assert set(gap) == {"push", "channel", "from", "first", "lost", "offset",
                        "count", "epoch"}
    assert gap["epoch"] == client.welcome["epoch"]
    assert (gap["from"], gap["first"]) == (ids[2], ids[6])
    assert gap["lost"] in (3, None)
    assert ids_of(client.messages(channel, 4)) == ids[6:]
    assert client.sequence.index("gap") < client.sequence.index("messages")
    client.nothing_more(channel)
    assert not client.gaps[channel]


def test_nothing_lost_is_no_gap(run, site, store, channel):
    ids = fill(store, channel, 10)
    store.xtrim(channel_key(channel), maxlen=4, approximate=False)
    for offset, count in (("0", 4), ("$", 0), (ids[6], 3), (ids[9], 0),
                          ("-100", 4), ("@0", 4)):
        client = run.client(site)
        epoch = client.welcome["epoch"]
        client.ok("subscribe", channel=channel, offset=offset, epoch=epoch)
        client.messages(channel, count)
        client.nothing_more(channel)
        assert not client.gaps, offset


def test_deleted_channel_is_a_gap_of_unknown_size(client, store, channel):
    old = fill(store, channel, 10)
    delete(store, channel)
    new = fill(store, channel, 3, 10)
    client.ok("subscribe", channel=channel, offset=old[4])
    gap = client.gap(channel)
    assert (gap["from"], gap["first"], gap["lost"]) == (old[4], new[0], None)
    assert ids_of(client.messages(channel, 3)) == new


def test_deleted_channel_that_is_empty_is_a_gap_without_a_first(client, store,
                                                                channel):
    old = fill(store, channel, 10)
    delete(store, channel)
    client.ok("subscribe", channel=channel, offset=old[4])
    gap = client.gap(channel)
    assert (gap["from"], gap["first"], gap["lost"]) == (old[4], None, None)
    new = fill(store, channel, 2)
    assert ids_of(client.messages(channel, 2)) == new


def test_offset_ahead_of_the_channel_is_a_gap(client, store, channel):
    """As after a fail-over that lost the newest: waiting would be for ever."""
    ids = fill(store, channel, 3)
    ms = int(ids[2].split("-")[0])
    client.ok("subscribe", channel=channel, offset=f"{ms + 3600000}-0")
    gap = client.gap(channel)
    assert gap["lost"] is None and gap["first"] == ids[0]
    assert ids_of(client.messages(channel, 3)) == ids


def test_live_subscriber_goes_on_over_a_deleted_channel(client, store, channel):
    fill(store, channel, 2)
    client.ok("subscribe", channel=channel, offset="0")
    client.messages(channel, 2)
    delete(store, channel)
    new = fill(store, channel, 3)
    assert ids_of(client.messages(channel, 3)) == new


def test_trim_under_a_subscriber_loses_it_nothing_that_is_still_there(
        client, store, channel):
    client.ok("subscribe", channel=channel)
    for i in range(50):
        fill(store, channel, 20, i * 20)
        client.messages(channel, 20)
        store.xtrim(channel_key(channel), maxlen=5, approximate=False)
    assert not client.gaps


def test_flushed_redis_is_another_epoch(run):
    server = run.redis()
    site = run.daemon(redis=server)
    store = server.client()
    client = run.client(site)
    old = client.ok("subscribe", channel="a", offset="0")["epoch"]
    offsets = fill(store, "a", 5)
    client.messages("a", 5)
    at = site.log.position()
    store.flushall()
    new = fill(store, "a", 2, 5)
    site.log.wait("gateway.epoch", since=at)

    again = run.client(site)
    answer = again.ok("subscribe", channel="a", offset=offsets[-1], epoch=old)
    gap = again.gap("a")
    assert gap["lost"] is None and gap["from"] == offsets[-1]
    assert ids_of(again.messages("a", 2)) == new
    assert answer["epoch"] != old
    assert store.hget("rd:meta", "epoch").decode() == answer["epoch"]
    # One that was there all the time is told too, and sees the new messages.
    assert client.gap("a")["epoch"] == answer["epoch"]
    assert ids_of(client.messages("a", 2)) == new


def test_epoch_that_is_not_ours_is_a_gap_although_the_offset_is_there(
        client, store, channel):
    ids = fill(store, channel, 5)
    start = client.ok("subscribe", channel=channel, offset=ids[2],
                      epoch="0123456789abcdef")["offset"]
    follow = after(ids, start)
    gap = client.gap(channel)
    assert (gap["from"], gap["lost"]) == (ids[2], None)
    assert gap["first"] == follow[0]
    assert gap["epoch"] == client.welcome["epoch"]
    assert ids_of(client.messages(channel, len(follow))) == follow
