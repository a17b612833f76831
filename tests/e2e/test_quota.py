# SPDX-License-Identifier: MIT
"""How many new channels clients may make: by address and by identity, on by
every way in, whoever comes back, and never at the cost of a channel that is
there."""
import json

import pytest

from harness import PYTHON, channel_key, eventually
from peer import header_of
from sse import Stream, post, request

FEW = ["--channel-rate", "1", "--channel-burst", "5"]


def figure(site, name):
    head = f"redistribute_gateway_{name} "
    return next(float(line.removeprefix(head))
                for line in site.http("/metrics")[1].splitlines()
                if line.startswith(head))


def stored(store, name):
    return len(store.keys(channel_key(f"{name}-*")))


def make(client, name, count):
    """What is answered to a message into each of so many new channels."""
    asked = [client.ask("publish", channel=f"{name}-{i}", data=i)
             for i in range(count)]
    return [client.reply(n) for n in asked]


def refused(replies):
    return [r["error"] for r in replies if "error" in r]


def test_by_default_a_client_makes_a_thousand_at_once(run, server, channel):
    site = run.daemon(redis=server)
    client = run.client(site)
    replies = make(client, channel, 2500)
    errors = refused(replies)
    assert stored(server.client(), channel) == 2500 - len(errors)
    assert 1000 <= 2500 - len(errors) < 2500
    assert all(e["code"] == "rate" and e["retry"] and e["after"] > 0
               and "channel-rate" in e["message"] for e in errors)
    assert figure(site, "new_channel_limits_total") == len(errors)
    assert figure(site, "new_channels_total") == 2500 - len(errors)
    # What is there takes messages as ever.
    assert client.ok("publish", channel=f"{channel}-0", data=1)["offset"]


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_who_comes_back_has_made_them_all_the_same(run, server, channel, codec):
    site = run.daemon("--channel-rate", "0", "--channel-quota", "5",
                      redis=server)
    store = server.client()
    for i in range(8):
        client = run.client(site, codec)
        ok = make(client, f"{channel}-{i}", 1)
        client.close()
        assert bool(refused(ok)) == (i >= 5)
    assert stored(store, channel) == 5
    error = refused(make(run.client(site, codec), channel, 1))[0]
    assert 80_000_000 < error["after"] <= 86_400_000


def test_each_address_has_its_own(run, server, channel):
    site = run.daemon(*FEW, redis=server)
    for host in ("127.0.0.2", "127.0.0.3"):
        client = run.client(site, source=host)
        replies = make(client, f"{channel}-{host[-1]}", 20)
        assert 5 <= 20 - len(refused(replies)) < 20


def test_all_ways_in_are_counted_together(run, server, channel):
    site = run.daemon("--channel-rate", "0", "--channel-quota", "3",
                      redis=server)
    store = server.client()
    assert post(site.port, f"{channel}-a", "1")[0] == 200
    plain = run.peer(site, f"/ws/{channel}-b")
    plain.text("1")
    assert plain.message()[1] == b"1"
    run.client(site).ok("publish", channel=f"{channel}-c", data=1)
    assert stored(store, channel) == 3
    status, head, said = request(site.port, "POST", f"/sse/{channel}-d", b"1")
    error = json.loads(said)["error"]
    assert status == 429 and error["code"] == "rate"
    assert 80_000_000 < error["after"] <= 86_400_000
    assert int(header_of(head, "Retry-After")) == -(-error["after"] // 1000)
    late = run.peer(site, f"/ws/{channel}-e")
    late.text("1")
    assert late.closed() == 1013
    assert refused(make(run.client(site), channel, 1))
    assert stored(store, channel) == 3
    # Who only listens makes nothing.
    reader = run.client(site)
    reader.ok("subscribe", channel=f"{channel}-f")
    assert stored(store, channel) == 3
    assert post(site.port, f"{channel}-a", "2")[0] == 200


def test_an_identity_is_counted_wherever_it_comes_from(run, server, channel,
                                                       tmp_path):
    gate = tmp_path / "gate.py"
    gate.write_text("""
import json, sys
for line in sys.stdin:
    event = json.loads(line)
    print(json.dumps({"seq": event["seq"], "allow": True, "from": "alice"}),
          flush=True)
""")
    site = run.daemon(
        "--events", f"{channel}-events", "--connect", "handler",
        "--consume", f"{channel}-events", "--handler", f"exec:{PYTHON} {gate}",
        "--channel-rate", "0", "--channel-quota", "4", redis=server,
        workers=1)
    made = 0
    for i in range(3):
        client = run.client(site, source=f"127.0.1.{i + 1}")
        made += 3 - len(refused(make(client, f"{channel}-{i}", 3)))
    assert made == 4


def test_channels_that_are_there_are_never_counted(run, server, channel):
    """By others, before this gateway began."""
    store = server.client()
    pipe = store.pipeline()
    for i in range(2000):
        pipe.xadd(channel_key(f"{channel}-{i}"), {"text": "x"})
    pipe.execute()
    site = run.daemon("--channel-rate", "1", "--channel-burst", "1",
                      "--channel-quota", "1", redis=server)
    client = run.client(site)
    assert not refused(make(client, channel, 2000))
    assert figure(site, "new_channels_total") == 0
    assert not refused(make(client, f"{channel}-new", 1))
    assert refused(make(client, f"{channel}-more", 1))


def test_what_waits_for_a_new_channel_keeps_its_order(run, server, channel):
    site = run.daemon(redis=server)
    client = run.client(site)
    asked = [client.ask("publish", channel=f"{channel}-{i % 7}", data=i)
             for i in range(700)]
    assert not refused([client.reply(n) for n in asked])
    for c in range(7):
        entries = server.client().xrange(channel_key(f"{channel}-{c}"))
        assert [int(f[b"json"]) for _, f in entries] == list(range(c, 700, 7))


def test_a_channel_that_many_make_at_once_is_one(run, channel):
    """All of them ask Redis before it has answered the first."""
    redis = run.redis()
    site = run.daemon("--channel-rate", "0", "--channel-quota", "1",
                      redis=redis)
    clients = [run.client(site) for _ in range(20)]
    redis.freeze()
    try:
        asked = [(c, c.ask("publish", channel=channel, data=i))
                 for i, c in enumerate(clients)]
        for c in clients:
            c.ok("ping")
    finally:
        redis.resume()
    assert not refused([c.reply(n) for c, n in asked])
    assert redis.client().xlen(channel_key(channel)) == 20
    assert figure(site, "new_channels_total") == 1
    assert refused(make(clients[0], f"{channel}-more", 1))


def test_who_only_asks_makes_no_key(run, channel):
    """Neither subscriptions nor reads of what is not there leave a trace."""
    redis = run.redis()
    site = run.daemon(redis=redis)
    store = redis.client()
    client = run.client(site)
    client.ok("publish", channel=channel, data=1)
    before = set(store.keys())
    known = store.zcard("rd:channels")
    for i in range(50):
        name = f"{channel}-{i}"
        client.ok("subscribe", channel=name)
        client.ok("subscribe", channel=f"{name}-old", offset="-5")
        client.ok("history", channel=name)
        Stream(site.port, name, query="?offset=0").kill()
        client.ok("unsubscribe", channel=name)
        client.ok("unsubscribe", channel=f"{name}-old")
    assert {k for k in store.keys() if channel.encode() in k} == \
        {k for k in before if channel.encode() in k}
    assert store.zcard("rd:channels") == known
    # Nor in the gateway.
    eventually(lambda: figure(site, "channels") == 0)
    assert figure(site, "new_channels_total") == 1


def test_without_a_limit_nobody_is_asked(run, server, channel):
    site = run.daemon("--channel-rate", "0", "--channel-quota", "0",
                      redis=server)
    before = server.client().info("commandstats").get(
        "cmdstat_exists", {}).get("calls", 0)
    assert not refused(make(run.client(site), channel, 1500))
    assert server.client().info("commandstats").get(
        "cmdstat_exists", {}).get("calls", 0) - before < 100


def test_what_waits_for_redis_takes_its_way_without_its_client(run, channel):
    redis = run.redis()
    site = run.daemon(redis=redis)
    client, gone = run.client(site), run.client(site)
    redis.freeze()
    try:
        asked = [client.ask("publish", channel=f"{channel}-{i}", data=i)
                 for i in range(3)]
        gone.ask("publish", channel=f"{channel}-gone", data=1)
        gone.ok("ping")
        gone.kill()
    finally:
        redis.resume()
    assert not refused([client.reply(n) for n in asked])
    eventually(lambda: stored(redis.client(), channel) == 4)


def test_nothing_new_is_stored_while_redis_does_not_say(run, channel):
    redis = run.redis()
    site = run.daemon(redis=redis)
    client = run.client(site)
    redis.freeze()
    try:
        replies = make(client, channel, 5)
    finally:
        redis.resume()
    assert [e["code"] for e in refused(replies)] == ["unavailable"] * 5
    eventually(lambda: "ok" in make(client, f"{channel}-after", 1)[0])
    assert stored(redis.client(), channel) == 1
