# SPDX-License-Identifier: MIT
"""What a client was not given is told: from where, what follows, and how many,
where Redis can tell.  And who comes back costs little, however many they are.
"""
import re
import signal

import pytest

from harness import channel_key, eventually, kill
from peer import offset_key
from test_replay import delete, fill, ids_of


@pytest.fixture
def own(run, server):
    """A gateway that a test may stop, and a client of it."""
    site = run.daemon(redis=server)
    return site, run.client(site)


def metric(daemon, name):
    body = daemon.http("/metrics")[1]
    return int(re.search(rf"^redistribute_gateway_{name} (\d+)$", body,
                         re.M)[1])


def trim(store, channel, keep):
    store.xtrim(channel_key(channel), maxlen=keep, approximate=False)


class Stopped:
    """The gateway sees what happens meanwhile all at once, afterwards."""

    def __init__(self, site):
        self.pid = site.child("gateway")

    def __enter__(self):
        kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        kill(self.pid, signal.SIGCONT)


def position(gap):
    return {k: gap[k] for k in ("offset", "count", "epoch")}


# --- who comes back ----------------------------------------------------------

def test_number_is_exact_where_the_count_is_known(run, site, client, store,
                                                  channel):
    start = client.ok("subscribe", channel=channel)
    ids = fill(store, channel, 20)
    client.messages(channel, 20)
    trim(store, channel, 5)
    # Who was given 7 of them has missed 8; another gateway knows no more.
    other = run.client(run.daemon(redis=site.uri))
    other.ok("subscribe", channel=channel, offset=ids[6],
             count=start["count"] + 7, epoch=start["epoch"])
    gap = other.gap(channel)
    assert (gap["from"], gap["first"], gap["lost"]) == (ids[6], ids[15], 8)
    assert gap["count"] == start["count"] + 15
    assert ids_of(other.messages(channel, 5)) == ids[15:]


def test_a_gap_is_told_once_and_its_end_is_a_place_to_resume(run, site, store,
                                                             channel):
    ids = fill(store, channel, 20)
    trim(store, channel, 0)
    other = run.client(run.daemon(redis=site.uri))
    other.ok("subscribe", channel=channel, offset=ids[6], count=7)
    gap = other.gap(channel)
    assert (gap["first"], gap["lost"], gap["count"]) == (None, 13, 20)
    other.kill()
    more = fill(store, channel, 3, 20)
    back = run.client(site)
    back.ok("subscribe", channel=channel, **position(gap))
    assert ids_of(back.messages(channel, 3)) == more
    assert not back.gaps.get(channel)
    # What goes after that is another one.
    fill(store, channel, 10, 23)
    trim(store, channel, 4)
    third = run.client(run.daemon(redis=site.uri))
    third.ok("subscribe", channel=channel, **position(gap))
    assert third.gap(channel)["lost"] == 9


def test_a_gap_of_a_channel_that_is_empty_is_resumed_from_there(
        run, site, client, store, channel):
    ids = fill(store, channel, 3)
    client.ok("subscribe", channel=channel, offset="0")
    client.messages(channel, 3)
    delete(store, channel)
    gap = client.gap(channel)
    assert (gap["from"], gap["first"], gap["lost"]) == (ids[2], None, None)
    assert (gap["offset"], gap["count"]) == ("0-0", 0)
    client.kill()
    new = fill(store, channel, 10)
    trim(store, channel, 2)
    back = run.client(run.daemon(redis=site.uri))
    back.ok("subscribe", channel=channel, **position(gap))
    assert back.gap(channel)["lost"] == 8
    assert ids_of(back.messages(channel, 2)) == new[8:]


def test_deleted_one_by_one_is_no_gap(run, site, store, channel):
    ids = fill(store, channel, 10)
    store.xdel(channel_key(channel), *ids[4:8])
    client = run.client(site)
    client.ok("subscribe", channel=channel, offset=ids[2], count=3)
    assert ids_of(client.messages(channel, 3)) == [ids[3], *ids[8:]]
    client.nothing_more(channel)
    assert not client.gaps.get(channel)


def test_who_waits_for_a_time_to_come_may_come_back(run, site, store, channel):
    old = fill(store, channel, 3)
    soon = store.time()[0] * 1000 + 2000
    client = run.client(site)
    answer = client.ok("subscribe", channel=channel, offset=f"@{soon}")
    client.kill()
    back = run.client(site)
    again = back.ok("subscribe", channel=channel, offset=answer["offset"],
                    count=answer["count"], epoch=answer["epoch"])
    assert again["offset"] == answer["offset"]
    early = fill(store, channel, 2, 3)
    late = [store.xadd(channel_key(channel), {"text": str(n)},
                       f"{soon + n}-0").decode() for n in range(2)]
    assert ids_of(back.messages(channel, 2)) == late
    back.nothing_more(channel)
    assert not back.gaps.get(channel) and old and early


# --- who was there all the time ----------------------------------------------

def test_trimming_that_was_faster_than_the_gateway(own, store, channel):
    site, client = own
    client.ok("subscribe", channel=channel)
    first = fill(store, channel, 4)
    client.messages(channel, 4)
    with Stopped(site):
        ids = fill(store, channel, 50, 4)
        trim(store, channel, 10)
    gap = client.gap(channel)
    assert (gap["from"], gap["first"], gap["lost"]) == (first[3], ids[40], 40)
    assert ids_of(client.messages(channel, 10)) == ids[40:]


def test_the_first_messages_of_a_channel_may_be_missed_too(own, store, channel):
    site, client = own
    assert client.ok("subscribe", channel=channel)["count"] == 0
    with Stopped(site):
        ids = fill(store, channel, 20)
        trim(store, channel, 3)
    gap = client.gap(channel)
    assert (gap["from"], gap["first"], gap["lost"]) == ("0-0", ids[17], 17)
    assert ids_of(client.messages(channel, 3)) == ids[17:]


def test_made_anew_and_trimmed_while_nobody_looked(own, store, channel):
    """Both the old one's end and the new one's beginning are told."""
    site, client = own
    client.ok("subscribe", channel=channel, offset="0")
    old = fill(store, channel, 5)
    client.messages(channel, 5)
    with Stopped(site):
        delete(store, channel)
        new = fill(store, channel, 12)
        trim(store, channel, 2)
    gap = client.gap(channel)
    # Nothing tells the ten from what stood in the old one (PROTOCOL.md).
    assert gap["from"] == old[4] and gap["first"] == new[10]
    assert ids_of(client.messages(channel, 2)) == new[10:]


def test_data_that_went_back_in_time(run, channel):
    """As after a failover to a replica that was behind, or from a backup."""
    server = run.redis("--save", "3600 1000000")
    site = run.daemon(redis=server)
    store = server.client()
    client = run.client(site)
    begun = client.ok("subscribe", channel=channel, offset="0")
    kept = fill(store, channel, 5)
    store.save()
    gone = fill(store, channel, 5, 5)
    client.messages(channel, 10)
    away = run.client(site)
    away.ok("subscribe", channel=channel, offset=gone[0], count=6,
            epoch=begun["epoch"])
    away.messages(channel, 4)
    away.kill()
    server.crash()
    server.start()
    assert len(store.xrange(channel_key(channel))) == 5
    # Who is live was given all that is left, and goes on behind it.
    gap = client.gap(channel, 20)
    assert (gap["from"], gap["lost"]) == (gone[4], None)
    assert (gap["offset"], gap["count"]) == (kept[4], 5)
    new = fill(store, channel, 3, 10)
    assert ids_of(client.messages(channel, 3)) == new
    # Who comes back with an offset that is gone is told that, too.
    back = run.client(site)
    back.ok("subscribe", channel=channel, offset=gone[4], count=10,
            epoch=begun["epoch"])
    gap = back.gap(channel)
    assert (gap["from"], gap["first"], gap["lost"]) == (gone[4], new[0], None)
    assert ids_of(back.messages(channel, 3)) == new
    store.close()


def test_clock_that_stepped_back_is_no_gap(run, site, store, channel):
    ahead = store.xadd(channel_key(channel), {"text": "from the future"},
                       f"{store.time()[0] * 1000 + 3600000}-5").decode()
    client = run.client(site)
    client.ok("subscribe", channel=channel, offset=ahead)
    ids = fill(store, channel, 5)
    assert offset_key(ids[0]) == (offset_key(ahead)[0], 6)
    assert ids_of(client.messages(channel, 5)) == ids
    client.nothing_more(channel)
    assert not client.gaps.get(channel)


def test_flush_is_told_to_who_is_live_whatever_it_follows(run):
    server = run.redis()
    site = run.daemon(redis=server)
    store = server.client()
    client = run.client(site)
    channels = [f"c{i}" for i in range(50)]
    for c in channels:
        client.ok("subscribe", channel=c)
    fill(store, "c7", 3)
    client.messages("c7", 3)
    store.flushall()
    gaps = {c: client.gap(c) for c in channels}
    assert len({g["epoch"] for g in gaps.values()}) == 1
    assert gaps["c7"]["epoch"] != client.welcome["epoch"]
    for c in channels:
        new = fill(store, c, 2)
        assert ids_of(client.messages(c, 2)) == new
    store.close()


# --- what it costs -----------------------------------------------------------

def test_two_hundred_come_back_by_a_handful_of_reads(run, server, store,
                                                     channel):
    site = run.daemon(redis=server)
    ids = fill(store, channel, 500)
    clients = [run.client(site, wait=False) for _ in range(200)]
    for i, c in enumerate(clients):
        c.ask("subscribe", channel=channel, offset=ids[200 + i % 10])
    for i, c in enumerate(clients):
        assert ids_of(c.messages(channel, 299 - i % 10)) == ids[201 + i % 10:]
    assert metric(site, "pages_total") + metric(site, "looks_total") < 20


def test_what_was_read_lately_is_not_read_again(run, server, store, channel):
    site = run.daemon(redis=server)
    live = run.client(site)
    live.ok("subscribe", channel=channel)
    ids = fill(store, channel, 300)
    live.messages(channel, 300)
    before = metric(site, "pages_total"), metric(site, "looks_total")
    for start in (0, 100, 298):
        client = run.client(site)
        client.ok("subscribe", channel=channel, offset=ids[start])
        assert ids_of(client.messages(channel, 299 - start)) == ids[start + 1:]
    assert (metric(site, "pages_total"), metric(site, "looks_total")) == before


def test_more_channels_than_pages_fit_into_memory(run, server, store, channel):
    """Each page that is read pushes out another one: all come all the same."""
    site = run.daemon("--ring-limit", "64k", "--output-limit", "16k",
                      redis=server)
    channels = [f"{channel}.{i}" for i in range(8)]
    ids = {}
    for c in channels:
        pipe = store.pipeline(transaction=False)
        for _ in range(60):
            pipe.xadd(channel_key(c), {"text": "x" * 3000})
        ids[c] = [i.decode() for i in pipe.execute()]
    clients = [run.client(site) for _ in range(3)]
    for client in clients:
        for c in channels:
            client.ask("subscribe", channel=c, offset="0")
    for client in clients:
        for c in channels:
            assert ids_of(client.messages(c, 60)) == ids[c]
    eventually(lambda: metric(site, "ring_bytes") < 3 * 65536)
