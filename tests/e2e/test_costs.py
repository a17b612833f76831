# SPDX-License-Identifier: MIT
"""What one client may cost the others: however much it asks for, Redis and the
gateway give it a bounded part of their time and memory, and serve the rest in
between."""
import pytest

from harness import channel_key, eventually
from peer import connect
from sse import Stream, ask, post

STEP = 200000       # bytes of a step of look.lua, about


def figure(site, name):
    head = f"redistribute_gateway_{name} "
    return next(float(line.removeprefix(head))
                for line in site.http("/metrics")[1].splitlines()
                if line.startswith(head))


def fill(store, channel, count, size):
    """Their ids."""
    pipe = store.pipeline()
    for _ in range(count):
        pipe.xadd(channel_key(channel), {"text": "x" * size})
    return [i.decode() for i in pipe.execute()]


def calls(store, command):
    """How often Redis has run it."""
    return store.info("commandstats").get(f"cmdstat_{command}", {}).get(
        "calls", 0)


# --- the last N ----------------------------------------------------------------

def test_the_last_many_are_found_in_steps_and_only_once(run, server, channel):
    """The way to "the last N" leads over all of them.  Redis goes it in steps
    that are bounded, and the next who asks finds it gone."""
    site = run.daemon(redis=server)
    store = server.client()
    ids = fill(store, channel, 800, 20000)
    first, second = run.client(site), run.client(site)
    assert first.ok("subscribe", channel=channel,
                    offset="-700")["offset"] == ids[99]
    steps = figure(site, "steps_total")
    assert 700 * 20000 / STEP <= steps <= 400
    assert second.ok("subscribe", channel=channel,
                     offset="-600")["offset"] == ids[199]
    assert figure(site, "steps_total") == steps + 1
    # What has come since, and what was trimmed or deleted, is seen.
    ids += fill(store, channel, 5, 10)
    store.xtrim(channel_key(channel), maxlen=500, approximate=False)
    third, fourth = run.client(site), run.client(site)
    assert third.ok("subscribe", channel=channel,
                    offset="-3")["offset"] == ids[-4]
    assert fourth.ok("subscribe", channel=channel,
                     offset="-600")["offset"] == "0-0"
    store.xdel(channel_key(channel), ids[-2])
    assert run.client(site).ok("subscribe", channel=channel,
                               offset="-3")["offset"] == ids[-5]


def test_the_last_many_by_plain_get_and_in_a_history(run, server, channel):
    site = run.daemon(redis=server)
    ids = fill(server.client(), channel, 300, 20000)
    stream = Stream(site.port, channel, query="?offset=-200")
    assert stream.begun() == ids[99]
    assert figure(site, "steps_total") >= 200 * 20000 / STEP
    stream.kill()
    scripts = calls(server.client(), "evalsha")
    answer = run.client(site).ok("history", channel=channel, limit=1,
                                 **{"from": "-200"})
    assert answer["messages"][0][0] == ids[100]
    assert calls(server.client(), "evalsha") - scripts >= 200 * 20000 / STEP


def test_each_step_is_charged(run, server, channel):
    """Who lets Redis go long ways is listened to less."""
    site = run.daemon("--request-rate", 100, "--max-subscriptions", 10,
                      redis=server)
    fill(server.client(), channel, 300, 20000)
    client, other = run.client(site), run.client(site)
    client.ok("subscribe", channel=channel, offset="-300")
    eventually(lambda: figure(site, "request_pauses_total") >= 1)
    assert other.ok("ping", timeout=5)
    assert client.ok("ping")


def look(site, channel, last):
    """A stream that is not waited for."""
    sock = connect(site.port)
    sock.sendall(ask("GET", f"/sse/{channel}?offset=-{last}"))
    return sock


def test_plain_clients_are_charged_by_address(run, server, channel):
    """Each look is a connection of its own: who comes back owes it still."""
    site = run.daemon("--history-rate", "64k", redis=server)
    for i in range(4):
        fill(server.client(), f"{channel}-{i}", 150, 20000)
    assert Stream(site.port, f"{channel}-0", query="?offset=-140").begun()
    assert figure(site, "history_pauses_total") == 0
    late = look(site, f"{channel}-1", 150)
    eventually(lambda: figure(site, "history_pauses_total") == 1)
    steps = figure(site, "steps_total")
    # Whoever looks at nothing is not held up, and nobody of other addresses.
    assert Stream(site.port, f"{channel}-1", query="?offset=0").status == 200
    run.peer(site, f"/ws/{channel}-1")
    assert figure(site, "steps_total") == steps
    assert Stream(site.port, f"{channel}-2", query="?offset=-140",
                  source="127.0.0.2").begun()
    run.peer(site, f"/ws/{channel}-3?offset=-150", source="127.0.0.3")
    assert figure(site, "history_pauses_total") == 1
    late.close()


def test_what_is_paid_off_is_forgotten(run, server, channel):
    site = run.daemon("--history-rate", "1m", redis=server)
    ids = fill(server.client(), channel, 200, 20000)
    assert Stream(site.port, channel, query="?offset=-180").begun() == ids[19]
    assert Stream(site.port, channel, query="?offset=-190").begun() == ids[9]
    assert figure(site, "history_pauses_total") == 1


def test_who_owes_too_much_is_sent_away(run, server, channel):
    site = run.daemon("--history-rate", "1k", "--handshake-timeout", "500ms",
                      redis=server)
    fill(server.client(), channel, 150, 20000)
    run.peer(site, f"/ws/{channel}?offset=-150")
    late = run.peer(site, f"/ws/{channel}?offset=-140")
    assert late.closed() == 1013


@pytest.mark.deadline(120)
def test_long_ways_of_many_leave_short_ones_room(run, server, channel):
    site = run.daemon(redis=server)
    store = server.client()
    for i in range(12):
        fill(store, f"{channel}-{i}", 150, 20000)
    long, other = run.client(site), run.client(site)
    asked = [long.ask("subscribe", channel=f"{channel}-{i}", offset="-150")
             for i in range(12)]
    other.ok("subscribe", channel=f"{channel}-new", offset="-5")
    for n in asked:
        assert "ok" in long.reply(n)


# --- histories -----------------------------------------------------------------

MIB = 1 << 20


def net_output(store):
    return store.info("stats")["total_net_output_bytes"]


def test_a_history_reads_what_it_gives_and_no_more(run, server, channel):
    """Whatever its limit says: 200 messages of 60 kB are 12 MB."""
    site = run.daemon("--history-rate", 0, redis=server)
    store = server.client()
    ids = fill(store, channel, 200, 60000)
    clients = [run.client(site) for _ in range(4)]
    before = net_output(store)
    asked = [(c, c.ask("history", channel=channel, limit=1000, reverse=back))
             for c in clients for back in (False, True)]
    for c, n in asked:
        got = c.reply(n)["ok"]
        assert got["more"] is True
        assert MIB <= sum(len(m[2]) for m in got["messages"]) < MIB + 60000
        few = [m[0] for m in got["messages"]]
        assert few in (ids[:len(few)], ids[::-1][:len(few)])
    assert net_output(store) - before < len(asked) * 1.5 * MIB
    assert figure(site, "histories_total") == len(asked)


@pytest.mark.parametrize("limit", [1, 2, 99, 100, 101])
def test_pages_of_a_history_are_seamless(client, store, channel, limit):
    """Large ones among small ones: several pages, and every end."""
    ids = []
    for size in (10, 70000, 10, 200000, 10, 10):
        ids += fill(store, channel, 10, size)
    ids += fill(store, channel, 40, 10)
    for words, want in (({}, ids), ({"from": ids[30]}, ids[31:]),
                        ({"to": ids[49]}, ids[:50]),
                        ({"from": ids[35], "to": ids[45]}, ids[36:46]),
                        ({"from": "-20"}, ids[-20:]),
                        ({"from": f"{int(ids[-1].split('-')[0]) + 1}-0"}, [])):
        for back in (False, True):
            got = client.ok("history", channel=channel, limit=limit,
                            reverse=back, **words)
            few = [m[0] for m in got["messages"]]
            expected = want[::-1] if back else want
            assert few == expected[:len(few)]
            assert got["more"] is (len(few) < len(want))
            assert len(few) == min(limit, len(want)) or sum(
                len(m[2]) for m in got["messages"]) >= MIB - 200000


def test_histories_wait_for_their_turn(run, server, channel):
    """One at a time: somebody else's comes in between a greedy one's."""
    site = run.daemon("--max-histories", 1, "--history-rate", 0, redis=server)
    fill(server.client(), channel, 40, 60000)
    greedy, other = run.client(site), run.client(site)
    asked = [greedy.ask("history", channel=channel) for _ in range(30)]
    short = other.ok("history", channel=channel, limit=1, reverse=True)
    assert len(short["messages"]) == 1 and short["more"]
    assert other.ok("subscribe", channel=channel)
    for n in asked:
        assert greedy.reply(n)["ok"]["more"]
    assert figure(site, "history_waits_total") > 0


def test_bytes_of_histories_are_charged(run, server, channel):
    site = run.daemon("--history-rate", "64k", redis=server)
    fill(server.client(), channel, 40, 30000)
    client, other = run.client(site), run.client(site)
    client.ok("history", channel=channel)
    client.ok("history", channel=channel, limit=1)
    eventually(lambda: figure(site, "history_pauses_total") >= 1)
    assert other.ok("history", channel=channel)["messages"]
    assert client.ok("ping")


def test_who_leaves_ends_its_histories(run, server, channel):
    site = run.daemon("--max-histories", 2, redis=server)
    fill(server.client(), channel, 40, 60000)
    for _ in range(8):
        gone = run.client(site)
        for _ in range(4):
            gone.ask("history", channel=channel)
        gone.kill()
    other = run.client(site)
    for _ in range(3):
        assert other.ok("history", channel=channel, limit=1)["messages"]


# --- depth ---------------------------------------------------------------------

def nested(depth):
    """As Python and as JSON see it: lists and objects in turn."""
    value = 1
    for i in range(depth):
        value = [value] if i % 2 else {"a": value}
    return value


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_what_is_nested_too_deep_is_refused(run, server, channel, codec):
    site = run.daemon(redis=server)
    client = run.client(site, codec)
    client.ok("publish", channel=channel, data=nested(64))
    error = client.error("publish", channel=channel, data=nested(65))
    assert error["code"] == "bad_request" and not error["retry"]
    assert "max-depth, 64" in error["message"]
    assert client.error("publish", channel=channel,
                        data=[[], nested(64)])["code"] == "bad_request"
    client.ok("publish", channel=channel, data="[" * 100)
    assert server.client().xlen(channel_key(channel)) == 2
    assert figure(site, "too_deep_total") == 2


def test_depth_is_limited_by_every_way_in(run, server, channel):
    site = run.daemon("--max-depth", 3, redis=server)
    deep, fine = "[[[[1]]]]", "[[[1]]]"
    assert post(site.port, channel, fine)[0] == 200
    for kind in (None, "application/json", "text/plain"):
        status, said = post(site.port, channel, deep, kind)
        assert status == 400 and said["error"]["code"] == "bad_request"
        assert "max-depth, 3" in said["error"]["message"]
    status, _ = post(site.port, channel, b"\x91\x91\x91\x91\x01",
                     "application/msgpack")
    assert status == 400
    plain = run.peer(site, f"/ws/{channel}")
    plain.text(fine)
    assert plain.message()[1] == fine.encode()
    plain.text(deep)
    assert plain.closed() == 1008
    assert server.client().xlen(channel_key(channel)) == 2


def test_calls_are_limited_too(run, server, channel):
    site = run.daemon("--events", "ev", "--rule", "* call=handler", redis=server)
    error = run.client(site).error("call", channel=channel, data=nested(65))
    assert error["code"] == "bad_request" and "max-depth" in error["message"]
    assert server.client().xlen(channel_key("ev")) == 0


# --- subscriptions from an offset ------------------------------------------------

def test_a_page_of_large_messages_behind_small_ones_is_small(
        run, server, channel):
    """What stands at the end says nothing of what stands before it."""
    site = run.daemon(redis=server)
    store = server.client()
    ids = fill(store, channel, 400, 60000) + fill(store, channel, 3000, 10)
    learner = run.client(site)
    learner.ok("subscribe", channel=channel, offset=ids[399])
    assert len(learner.messages(channel, 3000)) == 3000
    peak = store.info("memory")["used_memory_peak"]
    clients = [run.client(site, rcvbuf=4096) for _ in range(3)]
    asked = [c.ask("subscribe", channel=channel, offset=ids[10 * i])
             for i, c in enumerate(clients)]
    for c, n in zip(clients, asked):
        assert "ok" in c.reply(n)
        assert [m[0] for m in c.messages(channel, 50)] == \
            ids[ids.index(ids[10 * clients.index(c)]) + 1:][:50]
    assert store.info("memory")["used_memory_peak"] - peak < 4 * MIB


def test_who_follows_reads_few_at_a_time(run, server, channel):
    """Small ones tell nothing of what comes behind them: what came meanwhile
    is read in pages of some number, so of some size."""
    site = run.daemon(redis=server)
    store = server.client()
    client = run.client(site)
    client.ok("subscribe", channel=channel)
    for _ in range(20):
        ids = fill(store, channel, 1, 10)
        assert client.messages(channel, 1)[0][0] == ids[0]
    reads, pages = calls(store, "xrange"), figure(site, "pages_total")
    ids = fill(store, channel, 400, 20000)      # at one moment
    assert [m[0] for m in client.messages(channel, 400)] == ids
    assert figure(site, "pages_total") == pages
    assert calls(store, "xrange") - reads >= 400 / 128
