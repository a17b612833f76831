# SPDX-License-Identifier: MIT
"""What happens to channels over time: delayed messages, channels that others
make, channels that nobody needs any more, and those that are full."""
import signal
import threading
import time

import harness
from harness import (channel_key, eventually, holds, http_get, xadd)


def verb(server, *args, stdin=None, env=None):
    """Runs a verb on that Redis: (status, stdout, stderr)."""
    return harness.run(*args, stdin=stdin,
                       env={"REDISTRIBUTE_TARGETS": server.uri, **(env or {})})


def texts(store, channel):
    return [fields[b"text"].decode()
            for _, fields in store.xrange(channel_key(channel))]


def redis_ms(store):
    seconds, micros = store.time()
    return seconds * 1000 + micros // 1000


def keeper_of(store):
    """The process that says that it keeps: (id, fields)."""
    for name in store.zrange("rd:nodes", 0, -1):
        fields = store.hgetall(b"rd:node:" + name)
        if fields.get(b"keeper") == b"1":
            return name.decode(), {k.decode(): v.decode()
                                   for k, v in fields.items()}
    raise LookupError("nobody keeps")


# --- delayed messages --------------------------------------------------------

def test_a_delayed_message_comes_when_it_is_due(run, server, site, store,
                                                channel):
    client = run.client(site)
    client.ok("subscribe", channel=channel)
    eventually(lambda: store.exists("rd:keeper"))
    before = redis_ms(store)
    status, out, err = verb(server, "publish", "--delay", "700ms", channel,
                            '{"say":"later"}')
    assert (status, err) == (0, "")
    due = int(out.removeprefix("@"))
    assert before + 700 <= due <= redis_ms(store) + 700
    # The channel is known, so that those who follow a pattern are there.
    assert store.zscore("rd:channels", channel) == 0
    assert not store.exists(channel_key(channel))
    (offset, _, data), = client.messages(channel, 1)
    assert data == {"say": "later"}
    came = int(offset.split("-")[0])
    assert due <= came <= due + 100
    assert not store.exists(f"rd:delayed:{{{channel_key(channel)}}}")
    # The place that was printed is one to read from.
    status, out, _ = verb(server, "tail", "--offset", f"@{due}", "--count", "1",
                          channel)
    assert status == 0 and "later" in out


def test_delays_are_times(server, site, channel):
    for text in "5x", "-1s", "", "s", "20000000h":
        status, _, err = verb(server, "publish", "--delay", text, channel, "x")
        assert status == 64 and "--delay" in err
    # None at all is like no flag.
    status, out, _ = verb(server, "publish", "--delay", "0", channel, "x")
    assert status == 0 and not out.startswith("@")


def test_what_is_due_together_keeps_its_order(server, site, store, channel):
    lines = "".join(f"{i}\n" for i in range(500))
    status, out, _ = verb(server, "publish", "--delay", "500ms", "--text",
                          "--lines", channel, stdin=lines.encode())
    assert status == 0 and len(out.split()) == 500
    eventually(lambda: store.xlen(channel_key(channel)) == 500)
    assert texts(store, channel) == [str(i) for i in range(500)]


def test_each_delayed_message_comes_once_though_keepers_die(run):
    """Gateways are killed while messages fall due; somebody else keeps on."""
    server = run.redis()
    site = run.daemon(redis=server, gateways=2)
    store = server.client()
    count = 3000

    def publish():
        lines = "".join(f"{i}\n" for i in range(count // 10))
        for part in range(10):
            status, _, err = verb(server, "publish", "--text", "--lines",
                                  "--delay", f"{part * 500}ms", f"c{part % 3}",
                                  stdin=lines.encode())
            assert status == 0, err

    eventually(lambda: keeper_of(store))
    thread = threading.Thread(target=publish)
    thread.start()
    for _ in range(3):
        name, _ = eventually(lambda: keeper_of(store))
        index = int(name.rpartition(".")[2])
        pid = site.kill_child("gateway", index)
        # Its report outlives it for a while.
        store.delete(f"rd:node:{name}")
        site.wait_child("gateway", index, other_than=pid)
    thread.join()
    eventually(lambda: not store.exists("rd:delayed"), 30)
    for i in range(3):
        found = texts(store, f"c{i}")
        parts = len(range(i, 10, 3))
        assert len(found) == parts * count // 10
        for n in range(count // 10):
            assert found.count(str(n)) == parts
    # Nothing of it is left beside the channels.
    assert store.keys("rd:delayed*") == []
    store.close()


def test_a_delay_waits_where_the_channel_is_something_else(server, site,
                                                           store, channel):
    store.set(channel_key(channel), "x")
    assert verb(server, "publish", "--delay", "1ms", channel, "x")[0] == 0
    site.wait_event("keeper.refused", duty="promote", channel=channel)
    beside = f"rd:delayed:{{{channel_key(channel)}}}"
    assert store.zcard(beside) == 1
    # It has no part in the delays of others.
    assert verb(server, "publish", "--delay", "1ms", channel + "b", "x")[0] == 0
    eventually(lambda: store.xlen(channel_key(channel + "b")) == 1)
    store.delete(channel_key(channel))
    eventually(lambda: store.xlen(channel_key(channel)) == 1, 20)
    assert not store.exists(beside)


# --- who keeps ---------------------------------------------------------------

def test_a_keeper_that_leaves_hands_over_at_once(run):
    server = run.redis()
    store = server.client()
    a = run.daemon("--node", "a", redis=server)
    eventually(lambda: keeper_of(store)[0] == "a.gateway.0")
    b = run.daemon("--node", "b", redis=server)
    holds(lambda: keeper_of(store)[0] == "a.gateway.0", 2)
    assert a.stop() == 0
    b.wait_event("keeper.start", 2)
    eventually(lambda: keeper_of(store)[0] == "b.gateway.0")
    store.close()


def test_a_keeper_that_dies_is_replaced_in_three_seconds(run):
    server = run.redis()
    store = server.client()
    a = run.daemon("--node", "a", redis=server)
    a.wait_event("keeper.start")
    b = run.daemon("--node", "b", redis=server)
    for pid in a.left():
        harness.kill(pid)
    killed = time.monotonic()
    b.wait_event("keeper.start", 5)
    assert time.monotonic() - killed < 3.5
    # Delays go on.
    assert verb(server, "publish", "--delay", "10ms", "c", "x")[0] == 0
    eventually(lambda: store.xlen("rd:ch:c") == 1, 2)
    store.close()


def test_a_keeper_that_was_only_stopped_steps_down(run):
    server = run.redis()
    store = server.client()
    a = run.daemon("--node", "a", redis=server)
    a.wait_event("keeper.start")
    b = run.daemon("--node", "b", redis=server)
    pid = a.child("gateway")
    harness.kill(pid, signal.SIGSTOP)
    try:
        b.wait_event("keeper.start", 5)
    finally:
        harness.kill(pid, signal.SIGCONT)
    a.wait_event("keeper.stop", 3)
    holds(lambda: store.get("rd:keeper").startswith(b"b."), 1)
    store.close()


# --- channels that others make -----------------------------------------------

def test_a_foreign_channel_is_known_within_discover(run):
    server = run.redis()
    store = server.client()
    site = run.daemon("--discover", "1s", redis=server)
    site.wait_event("keeper.start")
    pipe = store.pipeline(transaction=False)
    for i in range(5000):
        pipe.set(f"unrelated:{i}", "x")
    pipe.execute()
    for i in range(5):
        xadd(store, f"foreign{i}", a="1")
        start = time.monotonic()
        eventually(lambda: store.zscore("rd:channels", f"foreign{i}") == 0, 5)
        assert time.monotonic() - start < 3
    new = [fields for _, fields in store.xrange("rd:new")]
    assert [f[b"channel"] for f in new] == [f"foreign{i}".encode()
                                            for i in range(5)]
    # What has no name of a channel, or is no stream, is left alone.
    store.xadd("rd:ch:{", {"a": "1"})
    store.xadd(b"rd:ch:\xff", {"a": "1"})
    store.set("rd:ch:string", "x")
    holds(lambda: store.zcard("rd:channels") == 5, 2)
    assert eventually(lambda: keeper_of(store)[1]["discovered"] == "5")
    store.close()


def test_what_only_others_write_is_trimmed(run):
    server = run.redis()
    store = server.client()
    run.daemon("--discover", "200ms", "--maxlen", "300", redis=server)
    pipe = store.pipeline(transaction=False)
    for i in range(3000):
        pipe.xadd("rd:ch:f", {"a": "1"})
    pipe.execute()
    eventually(lambda: store.xlen("rd:ch:f") <= 400)
    assert store.xlen("rd:ch:f") >= 300
    store.close()


# --- channels that nobody needs ----------------------------------------------

def test_idle_channels_go_and_unfinished_ones_stay(run):
    server = run.redis()
    store = server.client()
    for name in "idle", "unread", "pending", "finished", "delayed":
        xadd(store, name, text="x")
        store.zadd("rd:channels", {name: 0})
    store.xgroup_create("rd:ch:unread", "g", id="0")
    store.xgroup_create("rd:ch:pending", "g", id="0")
    store.xreadgroup("g", "me", {"rd:ch:pending": ">"})
    store.xgroup_create("rd:ch:finished", "g", id="$")
    store.hset("rd:tally:g:{rd:ch:finished}", "messages", 7)
    assert verb(server, "publish", "--delay", "1h", "delayed", "x")[0] == 0
    site = run.daemon("--expire", "1s", "--discover", "500ms", redis=server)
    eventually(lambda: not store.exists("rd:ch:idle", "rd:ch:finished"))
    assert not store.exists("rd:tally:g:{rd:ch:finished}")
    gone = {f[b"gone"].decode() for _, f in store.xrange("rd:new")
            if b"gone" in f}
    assert gone == {"idle", "finished"}
    assert sorted(store.zrange("rd:channels", 0, -1)) == [
        b"delayed", b"pending", b"unread"]
    # Foreign messages count: this one is never idle for a second.
    for _ in range(12):
        xadd(store, "busy", text="x")
        time.sleep(0.2)
    assert store.xlen("rd:ch:busy") == 12
    # Who finishes, lets it go.
    (_, rows), = store.xreadgroup("g", "me", {"rd:ch:pending": "0"})
    store.xack("rd:ch:pending", "g", *[r[0] for r in rows])
    eventually(lambda: not store.exists("rd:ch:pending"))
    assert store.exists("rd:ch:unread", "rd:ch:delayed") == 2
    site.wait_event("keeper.expired")
    store.close()


def test_a_channel_that_went_is_made_known_again(run):
    server = run.redis()
    store = server.client()
    site = run.daemon("--expire", "1s", "--discover", "1h", redis=server)
    client = run.client(site)
    for _ in range(2):
        client.ok("publish", channel="c", data=1)
        assert store.zscore("rd:channels", "c") == 0
        eventually(lambda: store.zscore("rd:channels", "c") is None)
        assert not store.exists("rd:ch:c")
    assert [list(f) for _, f in store.xrange("rd:new")] == [
        [b"channel"], [b"gone"]] * 2
    store.close()


# --- channels that are full --------------------------------------------------

FULL = ("--maxlen", "100", "--backlog-limit", "500")


def fill(store, channel, count, group):
    pipe = store.pipeline(transaction=False)
    for _ in range(count):
        pipe.xadd(channel_key(channel), {"text": "x"})
    pipe.execute()
    store.xgroup_create(channel_key(channel), group, id="0")


def test_a_full_channel_tells_its_publishers(run):
    server = run.redis()
    store = server.client()
    site = run.daemon(*FULL, redis=server)
    fill(store, "c", 600, "slow")
    for codec in "json", "msgpack":
        client = run.client(site, codec)

        def is_refused():
            reply = client.reply(client.ask("publish", channel="c", data=1))
            return reply.get("error")
        error = eventually(is_refused)
        assert error["code"] == "backlog" and error["retry"] is True
    assert 600 < store.xlen("rd:ch:c") < 610
    log = site.wait_event("publisher.full", channel="c", team="slow")
    assert log.level == "warn"
    body = site.http("/metrics")[1]
    assert "redistribute_gateway_backlog_refused_total 2" in body
    # Plain clients are told in their way.
    plain = run.peer(site, "/ws/c")
    plain.text("x")
    assert plain.closed() == 1013
    # Others do not suffer.
    client.ok("publish", channel="other", data=1)
    # The verb says it, and has not published.
    length = store.xlen("rd:ch:c")
    status, out, err = verb(server, "publish", *FULL, "c", "x")
    assert (status, out) == (1, "") and "a team is behind" in err
    status, _, err = verb(server, "publish", *FULL, "--delay", "1s", "c", "x")
    assert status == 1 and "a team is behind" in err
    assert store.xlen("rd:ch:c") == length
    # The team catches up, and the channel opens within a moment.
    store.xreadgroup("slow", "me", {"rd:ch:c": ">"}, noack=True)
    eventually(lambda: not is_refused(), 2)
    assert verb(server, "publish", *FULL, "c", "x")[0] == 0
    eventually(lambda: store.xlen("rd:ch:c") <= 250, 5)
    store.close()


def test_a_limit_below_maxlen_is_a_configuration_error(server):
    status, _, err = verb(server, "publish", "--maxlen", "500",
                          "--backlog-limit", "550", "c", "x")
    assert status == 78 and "backlog-limit" in err


def test_a_team_that_is_gone_no_longer_holds(run):
    server = run.redis()
    store = server.client()
    site = run.daemon(*FULL, "--team-expire", "2s", redis=server)
    fill(store, "c", 600, "old")
    # It was alive a moment ago.
    store.zadd("rd:teams", {"old": redis_ms(store)})
    client = run.client(site)

    def code():
        reply = client.reply(client.ask("publish", channel="c", data=1))
        return reply.get("error", {}).get("code")
    eventually(lambda: code() == "backlog")
    assert store.xlen("rd:ch:c") >= 600
    eventually(lambda: code() is None, 10)
    site.wait_event("trim.passed", channel="c", team="old")
    eventually(lambda: code() is None and store.xlen("rd:ch:c") <= 350)
    body = http_get(site.ops_port, "/metrics")[1]
    line, = [x for x in body.splitlines() if x.startswith(
        "redistribute_gateway_trimmed_expired_total")]
    assert int(line.split()[1]) >= 400
    store.close()
