# SPDX-License-Identifier: MIT
"""What holds the messages of a channel: the teams that consume its name, not
the groups that happen to be there."""
import json

import pytest

from harness import channel_key, eventually, exec_handler, holds
from harness import run as run_verb

SMALL = ("--maxlen", "500", "--discover", "300ms")
FULL = ("--maxlen", "500", "--backlog-limit", "1000", "--discover", "300ms")
COUNT = 1005


@pytest.fixture
def server(run):
    return run.redis()


@pytest.fixture
def store(server):
    client = server.client()
    yield client
    client.close()


@pytest.fixture
def notes(tmp_path):
    """Where the handler writes down what it is given."""
    path = tmp_path / "notes"
    path.touch()
    return path


def team(run, server, notes, *consume, more=()):
    words = [w for c in consume for w in ("--consume", c)]
    return run.daemon("--team", "t", *words, "--handler",
                      exec_handler("note", notes), *SMALL, *more, redis=server,
                      gateways=0, workers=1)


def publish(client, channel, count):
    """Each of them is answered."""
    for n in range(count):
        client.ok("publish", channel=channel, data={"n": n})


def numbers(notes):
    """What the handler was given, {channel: numbers}."""
    found = {}
    for line in notes.read_text().splitlines():
        said = json.loads(line)
        found.setdefault(said["channel"], []).append(said["data"]["n"])
    return found


def verb(server, *args):
    return run_verb(*args, env={"REDISTRIBUTE_TARGETS": server.uri})


def scale(server, store, n):
    eventually(lambda: verb(server, "scale", "--team", "t", n)[0] == 0)

    def living():
        return [m for m in store.zrange("rd:team:t", 0, -1) if m[:1] != b"="]
    eventually(lambda: len(living()) == n)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("away", ["scaled to 0", "stopped"])
def test_a_new_channel_of_a_pattern_waits_for_its_team(run, server, store, notes,
                                                       away):
    """Nobody of the team is there when two channels appear; they are published
    into beyond maxlen, and idle for longer than expire."""
    site = team(run, server, notes, "n:*")
    if away == "stopped":
        assert site.stop() == 0
    else:
        scale(server, store, 0)
    gate = run.daemon(*SMALL, "--expire", "4s", redis=server)
    client = run.client(gate)
    for channel in "n:1", "n:2":
        publish(client, channel, COUNT)
    holds(lambda: store.xlen("rd:ch:n:1") == store.xlen("rd:ch:n:2") == COUNT, 8)
    assert not store.xinfo_groups("rd:ch:n:1")
    # Where nobody consumes, all is as before.
    publish(client, "free", COUNT)
    eventually(lambda: store.xlen("rd:ch:free") <= 600)
    eventually(lambda: not store.exists("rd:ch:free"), 20)
    if away == "stopped":
        team(run, server, notes, "n:*")
    else:
        scale(server, store, 1)
    want = {"n:1": list(range(COUNT)), "n:2": list(range(COUNT))}
    eventually(lambda: numbers(notes) == want, 60)
    # And now they may go.
    eventually(lambda: not store.exists("rd:ch:n:1", "rd:ch:n:2"), 30)


@pytest.mark.deadline(120)
def test_backlog_limit_counts_a_team_without_a_group(run, server, store, notes):
    site = team(run, server, notes, "n:*")
    scale(server, store, 0)
    gate = run.daemon(*FULL, redis=server)
    client = run.client(gate)

    def refused():
        reply = client.reply(client.ask("publish", channel="n:1",
                                        data={"n": 0}))
        return reply.get("error", {}).get("code") == "backlog"
    eventually(refused, 30, interval=0)
    assert 1000 <= store.xlen("rd:ch:n:1") <= 1200
    told = gate.wait_event("publisher.full", channel="n:1", team="t")
    assert told.level == "warn"
    published = store.xlen("rd:ch:n:1")
    scale(server, store, 1)
    eventually(lambda: not refused(), 30)
    eventually(lambda: len(numbers(notes)["n:1"]) >= published, 30)
    assert site.stop() == 0


@pytest.mark.deadline(120)
def test_an_expired_team_holds_nothing_in_a_new_channel(run, server, store, notes):
    site = team(run, server, notes, "n:*")
    assert site.stop() == 0
    gate = run.daemon(*SMALL, "--team-expire", "1s", redis=server)
    client = run.client(gate)
    publish(client, "n:1", COUNT)
    eventually(lambda: store.xlen("rd:ch:n:1") <= 600, 30)
    told = gate.wait_event("trim.passed", channel="n:1", team="t")
    assert told.level == "warn"


def test_who_cannot_read_the_teams_trims_nothing(run, server, store):
    store.set("rd:teams", "x")
    gate = run.daemon(*SMALL, "--expire", "1s", redis=server)
    client = run.client(gate)
    publish(client, "c", COUNT)
    holds(lambda: store.xlen("rd:ch:c") == COUNT, 4)
    gate.wait_event("publisher.trim")
    store.delete("rd:teams")
    eventually(lambda: not store.exists("rd:ch:c"), 20)


@pytest.mark.deadline(120)
def test_a_channel_that_was_taken_out_of_consume_holds_nothing(
        run, server, store, notes):
    """Its group stays, with one message in hand and others not read; the team
    lives on."""
    client_of = run.daemon(*FULL, redis=server)
    client = run.client(client_of)
    site = team(run, server, notes, "a", "b")
    publish(client, "b", 3)
    eventually(lambda: numbers(notes) == {"b": [0, 1, 2]})
    assert site.stop() == 0
    publish(client, "b", 2)
    store.xreadgroup("t", "somebody", {"rd:ch:b": ">"}, count=1)
    # While it is consumed, it holds, and cannot be dropped.
    status, _, err = verb(server, "teams", "drop", "t", "--channel", "b", "--yes")
    assert status == 1 and "team t consumes b" in err
    site = team(run, server, notes, "a", more=["--replace-team"])
    eventually(lambda: store.hget("rd:conf:t", "consume") == b"a")
    publish(client, "b", 1500)
    eventually(lambda: store.xlen("rd:ch:b") <= 700, 20)
    group, = store.xinfo_groups("rd:ch:b")
    assert group["name"] == b"t"
    body = client_of.http("/metrics")[1]
    assert "redistribute_gateway_backlog_refused_total 0" in body
    # The whole team cannot be dropped while it runs, this channel can.
    status, _, err = verb(server, "teams", "drop", "t", "--yes")
    assert status == 1 and "living worker" in err
    store.hset("rd:tries:t:{rd:ch:b}", "1-0", 1)
    store.zadd("rd:later:t:{rd:ch:b}", {"1-0": 1})
    store.hset("rd:tally:t:{rd:ch:b}", "messages", 1)
    status, _, err = verb(server, "teams", "drop", "t", "--channel", "b")
    assert status != 0          # nobody is there who could confirm
    assert store.xinfo_groups("rd:ch:b")
    status, out, err = verb(server, "teams", "drop", "t", "--channel", "b",
                            "--yes", "--json")
    assert status == 0, err
    said = json.loads(out)
    assert (said["dropped"], said["channel"]) == ("t", "b")
    assert said["lag"] > 0 and said["pending"] == 1
    assert not store.xinfo_groups("rd:ch:b")
    assert not store.keys("*:t:{rd:ch:b}")
    assert store.xlen("rd:ch:b") > 500
    status, _, err = verb(server, "teams", "drop", "t", "--channel", "b", "--yes")
    assert status == 1 and "no group" in err
    # The team goes on with the rest.
    publish(client, "a", 3)
    eventually(lambda: numbers(notes).get("a") == [0, 1, 2])
    assert site.stop() == 0
