# SPDX-License-Identifier: MIT
"""Redis goes away and comes back: everything resumes by itself, and says in
the meantime that it cannot serve.  RD_LONG=1 makes the outage 20 s long."""
import json
import os
import shutil
import time
from collections import Counter

import pytest

import peer
from harness import (channel_key, eventually, exec_handler, holds, xadd)
from peer import Client, Closed, Refused

OUTAGE = 20 if os.environ.get("RD_LONG") == "1" else 5
NOTICED = 12    # seconds until a link that does not answer is given up


@pytest.fixture
def redis_(run):
    """One that keeps its data, and can be reached by TCP too."""
    return run.redis(persist=True, tcp=True)


def ready(site, index=0):
    return site.http("/readyz", index)[0]


@pytest.mark.deadline(OUTAGE + 60)
@pytest.mark.parametrize("by", ["unix", "tcp"])
def test_everything_resumes_after_an_outage(run, redis_, tmp_path, by):
    (tmp_path / "notes").touch()
    site = run.daemon("--team", "t", "--consume", "work", "--handler",
                      exec_handler("obey", "done", tmp_path / "notes"),
                      redis=redis_.uri if by == "unix" else redis_.tcp_uri,
                      gateways=2, workers=2)
    clients = [run.client(site, c) for c in ("json", "msgpack") * 5]
    for c in clients:
        c.ok("subscribe", channel="room")
        c.ok("subscribe", channel="done")
    plain = run.peer(site, "/ws/room")
    clients[0].ok("publish", channel="room", data="before")
    for c in clients:
        assert c.messages("room", 1)[0][2] == "before"
    assert plain.message()[1] == b'"before"'
    children = {r: site.children(r) for r in ("gateway", "worker")}
    assert ready(site) == ready(site, 1) == 200

    redis_.stop()
    begin = time.monotonic()
    eventually(lambda: ready(site) == ready(site, 1) == 503,
               what="/readyz stays good without Redis")
    assert site.http("/healthz")[0] == 200
    # Who publishes is told at once, and nothing is stored later.
    error = clients[0].error("publish", channel="room", data="meanwhile")
    assert (error["code"], error["retry"]) == ("unavailable", True)
    # Who subscribes is answered when Redis is back.
    waiting = clients[1].ask("subscribe", channel="other")
    assert clients[0].ok("ping")
    # Plain mode cannot tell it otherwise than by closing.
    plain.text("meanwhile")
    assert plain.closed() == 1013
    left = OUTAGE - (time.monotonic() - begin)
    holds(lambda: ready(site) == 503 and all(not c.eof for c in clients),
          max(left, 0), "it did not stay unready")

    redis_.start()
    eventually(lambda: ready(site) == ready(site, 1) == 200, 20,
               "not ready again")
    assert "ok" in clients[1].reply(waiting, 20)
    store = redis_.client()
    xadd(store, "room", json='"after"')
    for n in range(20):
        clients[2].ok("publish", channel="work", data={"n": n})
    for c in clients:
        assert c.messages("room", 1)[0][2] == "after"
        got = c.messages("done", 20)
        assert sorted(m[2]["n"] for m in got) == list(range(20))
        c.nothing_more("room", "done")
        assert not c.gaps
    assert {r: site.children(r) for r in ("gateway", "worker")} == children, \
        "somebody died of it"
    assert site.stop() == 0


@pytest.mark.deadline(60)
def test_frozen_redis_is_noticed(run, redis_):
    """Half-open: the connection stands, nothing answers."""
    site = run.daemon(redis=redis_)
    client = run.client(site)
    client.ok("subscribe", channel="a")
    redis_.freeze()
    eventually(lambda: ready(site) == 503, NOTICED, "a frozen Redis is not noticed")
    answer = client.reply(client.ask("publish", channel="a", data=1), NOTICED)
    assert answer["error"]["code"] in ("unavailable", "unknown")
    redis_.resume()
    eventually(lambda: ready(site) == 200, 20)
    eventually(lambda: "offset" in client.ok("publish", channel="a", data=2))
    box = client.inbox["a"] = client.inbox.get("a", [])
    client.until(lambda: box and box[-1][2] == 2)
    assert not client.gaps


def test_publish_that_was_under_way_is_answered_honestly(run, redis_):
    """What is answered by `unavailable` was not stored; `ok` was."""
    site = run.daemon(redis=redis_)
    client = run.client(site, timeout=20)
    for i in range(1, 5001):
        client.ask("publish", channel="a", data=i)
        if i == 3000:
            redis_.crash()
    client.until(lambda: len(client.replies) == 5000)
    redis_.start()
    stored = {int(f[b"json"]) for _, f in redis_.client().xrange(channel_key("a"))}
    codes = Counter(r["error"]["code"] if "error" in r else "ok"
                    for r in client.replies.values())
    assert set(codes) <= {"ok", "unavailable", "unknown", "busy"}
    assert codes["ok"] and codes["ok"] < 5000
    for i, r in client.replies.items():
        if "ok" in r:
            assert i in stored, f"{i} was answered and is lost"
        elif r["error"]["code"] != "unknown":
            assert i not in stored, f"{i} was refused and is stored"


def test_redis_that_comes_back_empty_is_another_epoch(run):
    redis_ = run.redis()            # keeps nothing
    site = run.daemon(redis=redis_)
    client = run.client(site)
    epoch = client.ok("subscribe", channel="a")["epoch"]
    last = client.ok("publish", channel="a", data=1)["offset"]
    client.messages("a", 1)
    redis_.crash()
    eventually(lambda: ready(site) == 503)
    redis_.start()
    eventually(lambda: ready(site) == 200, 20)
    again = run.client(site)
    assert again.welcome["epoch"] not in (None, epoch)
    answer = again.ok("subscribe", channel="a", offset=last, epoch=epoch)
    assert answer["epoch"] == again.welcome["epoch"]
    gap = again.gap("a")
    assert gap["from"] == last and gap["lost"] is None
    again.ok("publish", channel="a", data=2)
    assert again.messages("a", 1)[0][2] == 2
    # Who was connected all the time gets it too.
    assert client.messages("a", 1)[0][2] == 2


def test_a_channel_is_made_known_again_when_redis_lost_its_last_second(
        run, redis_, tmp_path):
    """The same data set, as it was a moment before: the gateway that told it of
    the channel tells it again, so that a pattern finds it."""
    (tmp_path / "notes").touch()
    site = run.daemon("--discover", "1h", "--team", "t", "--consume", "n:*",
                      "--handler", exec_handler("note", tmp_path / "notes"),
                      redis=redis_, workers=1)
    log, kept = redis_.dir / "appendonlydir", tmp_path / "kept"
    store = redis_.client()

    def publish(value):
        eventually(lambda: ready(site) == 200)
        with Client(site.port) as client:
            client.ok("publish", channel="n:1", data=value)

    def noted():
        return [json.loads(line)["data"] for line in
                (tmp_path / "notes").read_text().splitlines()]
    eventually(lambda: ready(site) == 200)
    # Among so many keys the keeper does not find it with its first page.
    store.mset({f"foreign{n}": "x" for n in range(50000)})
    redis_.stop()
    shutil.copytree(log, kept)
    redis_.start()
    publish("lost")
    eventually(lambda: noted() == ["lost"])
    assert store.zscore("rd:channels", "n:1") == 0
    redis_.crash()
    shutil.rmtree(log)
    shutil.copytree(kept, log)
    redis_.start()
    assert not store.exists("rd:ch:n:1")
    publish("kept")
    eventually(lambda: store.zscore("rd:channels", "n:1") == 0)
    eventually(lambda: noted() == ["lost", "kept"], 30)
    store.close()


def test_flushall_under_running_clients_and_workers(run, redis_, tmp_path):
    (tmp_path / "notes").touch()
    site = run.daemon("--team", "t", "--consume", "work", "--handler",
                      exec_handler("obey", "done", tmp_path / "notes"),
                      redis=redis_, workers=2)
    client = run.client(site)
    epoch = client.ok("subscribe", channel="done", offset="0")["epoch"]
    client.ok("publish", channel="work", data={"n": 1})
    last = client.messages("done", 1)[0][0]
    store = redis_.client()
    store.flushall()
    client.ok("publish", channel="work", data={"n": 2})
    assert client.messages("done", 1, timeout=20)[0][2] == {"n": 2}
    again = run.client(site)
    answer = again.ok("subscribe", channel="done", offset=last, epoch=epoch)
    assert answer["epoch"] != epoch
    gap = again.gap("done")
    assert (gap["from"], gap["lost"]) == (last, None)
    assert gap["first"] is not None
    assert again.messages("done", 1)[0][2] == {"n": 2}
    # The names of channels are known again.
    assert store.zscore("rd:channels", "work") is not None
    assert store.hget("rd:meta", "epoch").decode() == answer["epoch"]


def test_read_only_redis_refuses_publishes_and_goes_on_reading(run, redis_):
    """As a replica after a fail-over, or a full disk."""
    site = run.daemon(redis=redis_)
    client = run.client(site)
    client.ok("subscribe", channel="a")
    store = redis_.client()
    client.ok("publish", channel="a", data=1)
    store.config_set("min-replicas-to-write", "3")
    error = client.error("publish", channel="a", data=2)
    assert (error["code"], error["retry"]) == ("unavailable", True)
    assert error["message"]
    store.config_set("min-replicas-to-write", "0")
    client.ok("publish", channel="a", data=3)
    assert [m[2] for m in client.messages("a", 2)] == [1, 3]


def test_links_that_are_killed_come_back(run, redis_):
    site = run.daemon(redis=redis_, workers=1)
    client = run.client(site)
    names = [f"c{i}" for i in range(50)]
    for n in names:
        client.ok("subscribe", channel=n)
    store = redis_.client()
    for i in range(5):
        store.client_kill_filter(skipme=True, _type="normal")
        store.client_kill_filter(skipme=True, _type="pubsub")
        for n in names:
            xadd(store, n, json=str(i))
        client.until(lambda: all(
            len(client.inbox.get(n, [])) == i + 1 for n in names), timeout=20)
    assert all([m[2] for m in client.inbox[n]] == list(range(5)) for n in names)
    assert not client.gaps


def test_tracking_that_is_refused_has_a_fall_back(run):
    """A server whose rules allow no CLIENT TRACKING: slower, but all arrives."""
    redis_ = run.redis()
    store = redis_.client()
    store.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*",
                          "+@all", "-client|tracking")
    site = run.daemon(redis=f"unix://{redis_.path}?user=limited&password=pw")
    client = run.client(site)
    for i in range(20):
        client.ok("subscribe", channel=f"c{i}")
    for i in range(20):
        xadd(store, f"c{i}", json=str(i))
    for i in range(20):
        assert client.messages(f"c{i}", 1, timeout=20)[0][2] == i
    assert any(e.level == "warn" for e in site.log.find("doorbell.fallback"))


def test_clients_may_come_while_redis_is_away(run, redis_):
    site = run.daemon(redis=redis_)
    redis_.stop()
    eventually(lambda: ready(site) == 503)
    early = run.client(site)
    assert early.welcome["push"] == "welcome"
    waiting = early.ask("subscribe", channel="a")
    assert early.error("publish", channel="a", data=0)["code"] == "unavailable"
    try:
        with run.peer(site, "/ws/a", early=peer.frame(peer.TEXT, "x")) as plain:
            assert plain.closed() == 1013
    except Refused as e:
        assert e.status == 503
    redis_.start()
    eventually(lambda: ready(site) == 200, 20)
    assert "ok" in early.reply(waiting)
    early.ok("publish", channel="a", data=1)
    assert early.messages("a", 1)[0][2] == 1


def test_gateway_started_while_redis_is_away_waits_for_it(run, redis_):
    """The supervisor refuses; a restarted child does not give up."""
    site = run.daemon(redis=redis_)
    redis_.stop()
    eventually(lambda: ready(site) == 503)
    old = site.kill_child("gateway")
    site.wait_event("child.exit", pid=old)
    redis_.start()

    def served():
        try:
            with Client(site.port) as c:
                return c.ok("publish", channel="a", data=1)
        except (Closed, Refused, TimeoutError):
            return None
    eventually(served, 30)
    assert site.popen.poll() is None


def test_full_memory_is_told_to_publishers(run):
    redis_ = run.redis("--maxmemory-policy", "noeviction")
    site = run.daemon(redis=redis_)
    client = run.client(site)
    client.ok("publish", channel="a", data=1)
    store = redis_.client()
    store.config_set("maxmemory", "1mb")
    answer = client.error("publish", channel="a", data="x" * 10000)
    assert (answer["code"], answer["retry"]) == ("unavailable", True)
    store.config_set("maxmemory", "0")
    client.ok("publish", channel="a", data=2)


def test_keyspace_damage_is_survived(run, redis_):
    """Keys of ours with another type: said, and the rest goes on."""
    store = redis_.client()
    site = run.daemon(redis=redis_)
    client = run.client(site)
    for key in ("rd:channels", "rd:new", "rd:nodes"):
        store.delete(key)
        store.set(key, "damage")
    client.ok("subscribe", channel="fresh")
    client.ok("publish", channel="fresh", data=json.loads("1"))
    assert client.messages("fresh", 1)[0][2] == 1
    assert ready(site) == 200
