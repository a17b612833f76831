# SPDX-License-Identifier: MIT
"""What an operator sees and does: every number is computed and true, dead
letters come back exactly once, and names of others drive no terminal."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

from harness import (MARK, PROGRAMS, channel_key, clean_environment, eventually,
                     exec_handler, free_ports, holds, new_mark)
from harness import run as run_verb

FAILED, USAGE, UNAVAILABLE = 1, 64, 69
NASTY = "bad\x1b[31m\u0085\x7f-é"


def verb(server, *args, stdin=None, deadline=20):
    return run_verb(*args, env={"REDISTRIBUTE_TARGETS": server.uri},
                    stdin=stdin, deadline=deadline)


def ask(server, *args):
    """The JSON that a verb prints."""
    status, out, err = verb(server, *args, "--json")
    assert status == 0, err
    return json.loads(out)


@pytest.fixture
def fresh(run):
    """A Redis without a history."""
    return run.redis()


@pytest.fixture
def r(fresh):
    client = fresh.client(decode_responses=True)
    yield client
    client.close()


def make(r, channel, first, last):
    """Known, with entries of given numbers: ids 1-0, 2-0, ..."""
    r.zadd("rd:channels", {channel: 1})
    pipe = r.pipeline(transaction=False)
    for n in range(first, last + 1):
        pipe.xadd(channel_key(channel), {"json": str(n)}, id=f"{n}-0")
    pipe.execute()


def read(r, channel, team, count, consumer="n:0.a"):
    return r.xreadgroup(team, consumer, {channel_key(channel): ">"}, count=count)


# --- numbers -----------------------------------------------------------------

def read_and_trim_past(r, key):
    """Redis before 8 says 8 then, with 4 left."""
    read(r, "c", "t", 2)
    r.xack(key, "t", "1-0", "2-0")
    r.xtrim(key, minid="7-0", approximate=False)


def trim_past_then_read(r, key):
    """Redis before 8 goes on to count what was trimmed."""
    read_and_trim_past(r, key)
    read(r, "c", "t", 1)
    r.xack(key, "t", "7-0")


LAGS = [
    ("nothing was read", lambda r, key: None, 10, 0, 1),
    ("half was read", lambda r, key: read(r, "c", "t", 5), 5, 5, 1),
    ("all was read", lambda r, key: read(r, "c", "t", 99), 0, 10, 1),
    ("all was finished", lambda r, key: (
        read(r, "c", "t", 99),
        r.xack(key, "t", *[f"{n}-0" for n in range(1, 11)])), 0, 0, None),
    ("trimmed past the group", read_and_trim_past, 4, 0, 7),
    ("trimmed past, then read", trim_past_then_read, 3, 0, 8),
    ("some ahead were deleted", lambda r, key: (
        read(r, "c", "t", 2), r.xack(key, "t", "1-0", "2-0"),
        r.xdel(key, "5-0", "6-0")), 6, 0, 3),
    ("all ahead were deleted", lambda r, key: (
        read(r, "c", "t", 8), r.xack(key, "t", *[f"{n}-0" for n in range(1, 9)]),
        r.xdel(key, "9-0", "10-0")), 0, 0, None),
    ("everything was deleted", lambda r, key: r.xtrim(
        key, maxlen=0, approximate=False), 0, 0, None),
    ("the group was moved", lambda r, key: r.xgroup_setid(key, "t", "4-0"),
     6, 0, 5),
]


@pytest.mark.parametrize("change,lag,pending,oldest",
                         [row[1:] for row in LAGS], ids=[row[0] for row in LAGS])
def test_lag_and_age_are_those_of_what_is_left(
        fresh, r, change, lag, pending, oldest):
    make(r, "c", 1, 10)
    r.xgroup_create(channel_key("c"), "t", "0")
    change(r, channel_key("c"))
    channel, = ask(fresh, "channels", "c")["channels"]
    group, = channel["groups"]
    assert (group["lag"], group["pending"]) == (lag, pending)
    assert group["lag_exact"] is True
    if oldest is None:
        assert group["oldest_ms"] is None
    else:
        assert abs(time.time() * 1000 - oldest - group["oldest_ms"]) < 60000
    # The same through the count of all channels, and summed up.
    team, = ask(fresh, "teams")["teams"]
    assert (team["lag"], team["pending"]) == (lag, pending)


def test_a_lag_that_must_be_counted_is_bounded(fresh, r):
    make(r, "c", 1, 15000)
    r.xgroup_create(channel_key("c"), "t", "0")
    read(r, "c", "t", 1)
    r.xdel(channel_key("c"), "3-0")
    channel, = ask(fresh, "channels", "c")["channels"]
    group, = channel["groups"]
    assert group["lag"] >= 10000
    if not group["lag_exact"]:
        assert "10000+" in verb(fresh, "channels", "c")[1]


def test_channels_by_name_by_pattern_and_by_team(fresh, r):
    make(r, "room:1", 1, 3)
    make(r, "room:2", 1, 4)
    make(r, "hall", 1, 5)
    r.xgroup_create(channel_key("room:2"), "t", "0")
    r.xadd(channel_key("foreign"), {"a": "b"})      # nobody knows it
    names = [c["channel"] for c in ask(fresh, "channels")["channels"]]
    assert names == ["hall", "room:1", "room:2"]
    rooms = ask(fresh, "channels", "room:*")["channels"]
    assert [(c["channel"], c["length"]) for c in rooms] == [
        ("room:1", 3), ("room:2", 4)]
    assert rooms[0]["last"] == "3-0"
    team, = ask(fresh, "channels", "--team", "t")["channels"]
    assert team["channel"] == "room:2"
    assert ask(fresh, "channels", "foreign")["channels"][0]["length"] == 1
    status, out, err = verb(fresh, "channels", "nowhere")
    assert status == FAILED and "nowhere" in err and not out
    assert "no such channel" in verb(fresh, "channels", "x*")[1]


def test_a_foreign_key_among_the_channels_stops_nobody(fresh, r):
    make(r, "good", 1, 1)
    r.zadd("rd:channels", {"bad": 1, "gone": 1})
    r.set(channel_key("bad"), "no stream")
    r.set("rd:conf:t", "no hash")
    r.set("rd:dead:t", "no stream")
    r.zadd("rd:teams", {"t": 1})
    assert [c["channel"] for c in ask(fresh, "channels")["channels"]] == ["good"]
    team, = ask(fresh, "teams")["teams"]
    assert team["team"] == "t" and team["dead"] == 0


@pytest.mark.deadline(120)
def test_many_channels_are_counted_and_left(fresh, r):
    pipe = r.pipeline(transaction=False)
    for n in range(20000):
        pipe.zadd("rd:channels", {f"c{n}": 1})
        pipe.xadd(channel_key(f"c{n}"), {"json": "1"})
        pipe.xgroup_create(channel_key(f"c{n}"), "t", "0")
    pipe.execute()
    team, = ask(fresh, "teams")["teams"]
    assert (team["channels"], team["lag"]) == (20000, 20000)
    status, out, err = verb(fresh, "teams", "drop", "t", "--yes", deadline=60)
    assert status == 0, err
    assert "20000" in out
    assert ask(fresh, "teams")["teams"] == []
    assert r.xinfo_groups(channel_key("c777")) == []


# --- teams -------------------------------------------------------------------

def consume(run, server, tmp_path, *more, workers=1, channel="in", **keywords):
    notes = tmp_path / "notes"
    notes.touch()
    return run.daemon("--team", "t", "--consume", channel, "--handler",
                      exec_handler("obey", "out", notes), *more, redis=server,
                      workers=workers, **keywords)


def order(r, channel, n, **what):
    return r.xadd(channel_key(channel), {"json": json.dumps({"n": n, **what})})


def team_of(server, name="t"):
    found = [t for t in ask(server, "teams")["teams"] if t["team"] == name]
    return found[0] if found else None


def test_a_team_ends_everywhere_once_nobody_works_for_it(
        run, fresh, r, tmp_path):
    site = consume(run, fresh, tmp_path, gateways=0)
    order(r, "in", 1, do="dead")
    eventually(lambda: r.xlen("rd:dead:t") == 1)
    eventually(lambda: team_of(fresh)["workers"] == 1)
    assert team_of(fresh)["dead"] == 1
    status, _, err = verb(fresh, "teams", "drop", "t", "--yes")
    assert status == FAILED and "living" in err
    assert site.stop() == 0
    eventually(lambda: team_of(fresh)["workers"] == 0)
    status, _, err = verb(fresh, "teams", "drop", "t")
    assert status == USAGE and "--yes" in err       # nobody can be asked
    assert r.xinfo_groups(channel_key("in"))
    status, out, err = verb(fresh, "teams", "drop", "t", "--yes")
    assert status == 0, err
    assert team_of(fresh) is None
    assert r.xinfo_groups(channel_key("in")) == []
    assert [k for k in r.keys("rd:*:t*")] == []
    status, _, err = verb(fresh, "teams", "drop", "t", "--yes")
    assert status == FAILED and "no team" in err


def test_pause_and_resume_say_what_is_paused(run, fresh, r, tmp_path):
    status, _, err = verb(fresh, "pause", "in", "--team", "t")
    assert status == FAILED and "no team" in err
    consume(run, fresh, tmp_path, gateways=0)
    for what in ("in", "i*"):
        status, out, err = verb(fresh, "pause", what, "--team", "t")
        assert status == 0 and what in out, err
    assert {"pause:in", "pause:i*"} <= set(r.hkeys("rd:conf:t"))
    assert set(ask(fresh, "pause", "--team", "t")["paused"]) == {"in", "i*"}
    assert set(team_of(fresh)["paused"]) == {"in", "i*"}
    assert "i*" in verb(fresh, "status")[1]
    assert ask(fresh, "resume", "in", "--team", "t")["paused"] == ["i*"]
    status, _, err = verb(fresh, "resume", "in", "--team", "t")
    assert status == FAILED and "not paused" in err
    assert not r.hexists("rd:conf:t", "pause:in")


@pytest.mark.parametrize("consumed,channel", [("in", "in"),
                                              ("room:*", "room:1")])
def test_a_paused_channel_waits_until_it_is_resumed(
        run, fresh, r, tmp_path, consumed, channel):
    consume(run, fresh, tmp_path, channel=consumed, gateways=0)
    r.zadd("rd:channels", {channel: 1})
    r.xadd("rd:new", {"channel": channel})
    order(r, channel, 1)
    eventually(lambda: handled(r, 1) == 1)
    assert verb(fresh, "pause", consumed, "--team", "t")[0] == 0
    time.sleep(1)       # what is promised
    order(r, channel, 2)
    holds(lambda: handled(r, 2) == 0, 1.5)
    eventually(lambda: team_of(fresh)["lag"] == 1)
    assert verb(fresh, "resume", consumed, "--team", "t")[0] == 0
    eventually(lambda: handled(r, 2) == 1, 2)


def test_pending_tells_who_has_what(run, fresh, r, tmp_path):
    consume(run, fresh, tmp_path, gateways=0)
    slow = order(r, "in", 1, do="slow", seconds=30)
    eventually(lambda: ask(fresh, "pending")["pending"])
    row, = ask(fresh, "pending", "--team", "t")["pending"]
    assert (row["channel"], row["state"], row["pending"]) == ("in", "live", 1)
    entry, = ask(fresh, "pending", "in")["entries"]
    assert entry["id"] == slow and entry["consumer"] == row["consumer"]
    assert entry["deliveries"] == 1 and entry["failed"] == 0
    assert ask(fresh, "pending", "--team", "other")["pending"] == []
    # One that is dead, and one that waits for its retry, by hand.
    make(r, "side", 1, 2)
    r.xgroup_create(channel_key("side"), "t", "0")
    read(r, "side", "t", 2, "gone:0.x")
    r.xclaim(channel_key("side"), "t", "=later", 0, ["2-0"])
    due = int(time.time() * 1000) + 90000
    r.zadd("rd:later:t:{rd:ch:side}", {"2-0": due})
    r.hset("rd:tries:t:{rd:ch:side}", mapping={"2-0": 3, "1-0!": 2})
    one, two = ask(fresh, "pending", "side")["entries"]
    assert (one["state"], one["starts"], one["retry_at_ms"]) == ("dead", 2, None)
    assert (two["state"], two["failed"], two["retry_at_ms"]) == ("retry", 3, due)
    status, out, _ = verb(fresh, "pending", "side")
    assert status == 0 and re.search(r"retry in 1m\d+s", out)
    assert team_of(fresh)["waiting"] == 1
    status, _, err = verb(fresh, "pending", "nowhere")
    assert status == FAILED and "nowhere" in err


def test_status_has_members_and_numbers_of_teams(run, fresh, r, tmp_path):
    site = consume(run, fresh, tmp_path)
    eventually(lambda: team_of(fresh) and team_of(fresh)["workers"] == 1)
    eventually(lambda: len(ask(fresh, "status")["members"]) == 3)
    state = ask(fresh, "status")
    roles = {m["role"]: m for m in state["members"]}
    assert roles["worker"]["pid"] == site.child("worker")
    team, = state["teams"]
    assert len(team["live"]) == 1 and team["lag"] == 0
    status, out, _ = verb(fresh, "status")
    assert status == 0 and "gateway" in out and re.search(r"^t +1 ", out, re.M)


# --- dead letters ------------------------------------------------------------

def handled(r, n):
    return sum(json.loads(f["json"])["n"] == n
               for _, f in r.xrange(channel_key("out")))


def letters(server, *more):
    return ask(server, "dead", "list", "--team", "t", *more)["letters"]


def test_a_dead_letter_comes_back_to_its_team_exactly_once(
        run, fresh, r, tmp_path):
    consume(run, fresh, tmp_path, gateways=0)
    r.xgroup_create(channel_key("in"), "other", "$", mkstream=True)
    ids = [order(r, "in", n, do="dead", why=f"reason {n}", times=1)
           for n in range(1, 4)]
    eventually(lambda: len(letters(fresh)) == 3)
    found = letters(fresh)
    assert [x["id"] for x in found] == ids
    assert [x["reason"] for x in found] == [f"reason {n}" for n in (1, 2, 3)]
    assert [x["letter"] for x in letters(fresh, "--count", "2")] == [
        x["letter"] for x in found[1:]]
    shown = ask(fresh, "dead", "show", found[0]["letter"], "--team", "t")
    assert shown["data"]["n"] == 1 and shown["id"] == ids[0]
    status, out, _ = verb(fresh, "dead", "show", found[0]["letter"], "--team", "t")
    assert status == 0 and "reason 1" in out and "\"do\"" in out
    # The same letter by two operators at once, and once more.
    both = [subprocess.Popen(
        [PROGRAMS["redistribute"], "retry", found[0]["letter"], "--team", "t"],
        env=clean_environment({"REDISTRIBUTE_TARGETS": fresh.uri}),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    for p in both:
        p.communicate(timeout=20)
    assert sorted(p.returncode for p in both) == [0, FAILED]
    status, _, err = verb(fresh, "dead", "retry", found[0]["letter"],
                          "--team", "t")
    assert status == FAILED and found[0]["letter"] in err
    eventually(lambda: handled(r, 1) == 1)
    # The rest in one go.
    assert ask(fresh, "retry", "--all", "--team", "t")["retried"] == 2
    eventually(lambda: handled(r, 2) == handled(r, 3) == 1)
    eventually(lambda: r.xpending(channel_key("in"), "t")["pending"] == 0)
    assert handled(r, 1) == 1 and letters(fresh) == []
    assert r.hgetall("rd:tries:t:{rd:ch:in}") == {}
    # It was published once, and other teams saw nothing of this.
    assert r.xlen(channel_key("in")) == 3


@pytest.mark.parametrize("consumed", ["room:*", "room:1"])
def test_a_dead_letter_comes_back_in_a_divided_channel(
        run, fresh, r, tmp_path, consumed):
    more = ["--ordered"] if consumed == "room:1" else []
    consume(run, fresh, tmp_path, *more, channel=consumed, gateways=0)
    r.zadd("rd:channels", {"room:1": 1})
    r.xadd("rd:new", {"channel": "room:1"})
    order(r, "room:1", 1, do="dead", times=1)
    order(r, "room:1", 2)
    eventually(lambda: handled(r, 2) == 1 and len(letters(fresh)) == 1)
    assert ask(fresh, "retry", "--all", "--team", "t")["retried"] == 1
    eventually(lambda: handled(r, 1) == 1)
    eventually(lambda: r.xpending(channel_key("room:1"), "t")["pending"] == 0)
    assert handled(r, 1) == handled(r, 2) == 1 and letters(fresh) == []


def bury(r, channel, original, letter_of="t", **fields):
    return r.xadd(f"rd:dead:{letter_of}", {
        **fields, "channel": channel, "id": original, "deliveries": 3,
        "reason": "why", "error": "", "worker": "n:0.a", "time": 1})


def test_a_message_that_is_gone_is_published_again_only_when_asked(fresh, r):
    make(r, "c", 1, 3)
    r.xgroup_create(channel_key("c"), "t", "3-0")
    gone = bury(r, "c", "0-7", type="T", json="7")
    status, _, err = verb(fresh, "retry", gone, "--team", "t")
    assert status == FAILED and "--republish" in err
    assert r.xlen("rd:dead:t") == 1 and r.xlen(channel_key("c")) == 3
    r.zrem("rd:channels", "c")
    status, out, err = verb(fresh, "retry", gone, "--team", "t", "--republish")
    assert status == 0, err
    assert r.xlen("rd:dead:t") == 0
    assert r.xrevrange(channel_key("c"), count=1)[0][1] == {
        "type": "T", "json": "7"}
    assert r.zscore("rd:channels", "c") is not None


def test_a_retry_never_gives_a_message_twice(fresh, r):
    make(r, "c", 1, 5)
    r.xgroup_create(channel_key("c"), "t", "0")
    read(r, "c", "t", 3)
    r.xack(channel_key("c"), "t", "2-0", "3-0")
    cases = {"in hand": bury(r, "c", "1-0", json="1"),
             "to be read": bury(r, "c", "4-0", json="4"),
             "finished": bury(r, "c", "2-0", json="2")}
    assert ask(fresh, "retry", "--all", "--team", "t") == {
        "retried": 3, "republished": 0, "gone": 0, "failed": 0}
    assert r.xlen("rd:dead:t") == 0, cases
    waiting = r.xpending_range(channel_key("c"), "t", "-", "+", 10)
    assert [(e["message_id"], e["consumer"], e["times_delivered"])
            for e in waiting] == [("1-0", "n:0.a", 1), ("2-0", "=later", 0)]
    assert r.zrange("rd:later:t:{rd:ch:c}", 0, -1) == ["2-0"]


def test_a_letter_of_a_channel_without_the_group_stays(fresh, r):
    make(r, "c", 1, 1)
    bury(r, "c", "1-0", json="1")
    foreign = r.xadd("rd:dead:t", {"anything": "else"})
    status, out, err = verb(fresh, "retry", "--all", "--team", "t")
    assert status == FAILED and "no group" in err and foreign in err
    assert r.xlen("rd:dead:t") == 2
    assert verb(fresh, "dead", "--team", "t")[0] == 0


def test_dead_letters_are_dropped_by_name_or_all(fresh, r):
    ids = [bury(r, "c", f"{n}-0", json="1") for n in range(1, 1203)]
    status, out, err = verb(fresh, "dead", "drop", ids[0], ids[1], "--team", "t")
    assert status == 0 and r.xlen("rd:dead:t") == 1200, err
    status, _, err = verb(fresh, "dead", "drop", ids[0], "--team", "t")
    assert status == FAILED and ids[0] in err
    status, _, err = verb(fresh, "dead", "drop", "--all", "--team", "t")
    assert status == USAGE and r.xlen("rd:dead:t") == 1200
    listed = letters(fresh)
    assert [x["letter"] for x in listed] == ids[2:]
    assert ask(fresh, "dead", "drop", "--all", "--yes", "--team", "t") == {
        "dropped": 1200}
    assert "no dead letters" in verb(fresh, "dead", "--team", "t")[1]


# --- what is shown -----------------------------------------------------------

def test_names_of_others_drive_no_terminal(fresh, r):
    r.zadd("rd:channels", {NASTY: 1})
    r.xadd(channel_key(NASTY), {"json": "1"})
    r.xgroup_create(channel_key(NASTY), NASTY, "0")
    r.xreadgroup(NASTY, NASTY, {channel_key(NASTY): ">"})
    r.zadd("rd:nodes", {NASTY: time.time() * 1000 + 60000})
    r.hset(f"rd:node:{NASTY}", mapping={"role": "worker", "team": NASTY,
                                        "host": NASTY, "state": NASTY})
    bury(r, NASTY, "1-0", text=NASTY)
    for args in (["status"], ["teams"], ["channels"], ["pending"],
                 ["top", "--once"], ["dead", "--team", "t"], ["metrics"]):
        for more in ([], ["--json"]):
            if args == ["metrics"] and more:
                continue
            status, out, err = verb(fresh, *args, *more)
            assert status == 0, err
            if args != ["metrics"]:
                assert not set("\x1b\x7f\x85") & set(out), args
                assert "é" in out
            if more:
                json.loads(out)


@pytest.mark.parametrize("args", [
    ["teams", "drop"], ["teams", "drop", "a b"], ["teams", "x"],
    ["channels", "a", "b"], ["channels", "[a"], ["channels", ""],
    ["pending", "a", "b"], ["pending", ""], ["dead", "dance"],
    ["dead", "show"], ["dead", "show", "x"], ["dead", "retry"],
    ["dead", "retry", "1-1", "--all"], ["retry"], ["dead", "drop"],
    ["dead", "list", "x"], ["dead", "--count", "0"], ["dead", "--team", "a b"],
    ["pause", "a", "b"], ["resume"], ["pause", "a\n"], ["metrics", "x"],
    ["top", "x"], ["top", "--interval", "2"], ["top", "--interval", "x"],
    ["top", "--interval", "99h"]])
def test_wrong_use_is_said(server, args):
    status, out, err = verb(server, *args)
    assert status == USAGE and err.strip() and not out


@pytest.mark.parametrize("args", [
    ["teams"], ["channels"], ["pending"], ["dead"], ["retry", "1-1"],
    ["pause", "a"], ["metrics"], ["top", "--once"]])
def test_verbs_say_when_redis_is_away(args):
    port = free_ports()
    status, out, err = run_verb(
        *args, env={"REDISTRIBUTE_TARGETS": f"redis://127.0.0.1:{port}"})
    assert status == UNAVAILABLE and str(port) in err and not out
    assert run_verb(args[0], "--help")[0] == 0


# --- top ---------------------------------------------------------------------

def test_top_shows_speeds_from_the_growth_of_counters(
        run, fresh, r, tmp_path):
    consume(run, fresh, tmp_path)
    p = run.process([PROGRAMS["redistribute"], "top", "--json",
                     "--interval", "200ms"],
                    env={"REDISTRIBUTE_TARGETS": fresh.uri},
                    stdout=subprocess.PIPE)
    n = 0

    def moving():
        nonlocal n
        for _ in range(20):
            n += 1
            order(r, "in", n)
        frame = json.loads(p.popen.stdout.readline())
        teams = {t["team"]: t for t in frame["teams"]}
        workers = [m for m in frame["members"] if m["role"] == "worker"]
        return (teams.get("t", {}).get("rate", 0) > 0 and workers and
                workers[0]["rate"] == teams["t"]["rate"] and
                workers[0]["state"] == "live")
    eventually(moving, 20)
    p.send(signal.SIGINT)
    p.wait(5)
    p.popen.stdout.close()
    status, out, _ = verb(fresh, "top", "--once")
    assert status == 0
    for title in ("TEAM", "WORKER", "GATEWAY", "LAG", "OLDEST", "RATE/s"):
        assert title in out


class Terminal:
    """A verb in a terminal of its own."""

    def __init__(self, server, *args, columns=80, lines=24):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.clear()
            os.environ.update(clean_environment(
                {"REDISTRIBUTE_TARGETS": server.uri, "PATH": "/usr/bin:/bin",
                 "TERM": "xterm", MARK: new_mark()}))
            os.execv(PROGRAMS["redistribute"], ["redistribute", *args])
        self.resize(columns, lines)
        self.seen = b""

    def resize(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, text, deadline=15):
        end = time.monotonic() + deadline
        while text not in self.seen:
            assert time.monotonic() < end, (text, self.seen[-2000:])
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                break
        assert text in self.seen, self.seen[-2000:]

    def type(self, text):
        os.write(self.fd, text)

    def wait(self):
        """The exit status, with all that was still printed."""
        while True:
            try:
                got = os.read(self.fd, 65536)
            except OSError:
                break
            if not got:
                break
            self.seen += got
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)


@pytest.mark.parametrize("end", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_top_takes_a_terminal_and_gives_it_back(run, fresh, r, end):
    make(r, "c", 1, 3)
    r.xgroup_create(channel_key("c"), "a-team-with-a-very-long-name" * 4, "0")
    tty = run.add(Terminal(fresh, "top", "--interval", "100ms"))
    tty.until(b"\x1b[?1049h")
    tty.until(b"TEAM")
    eventually(lambda: not termios.tcgetattr(tty.fd)[3] & termios.ECHO)
    for line in re.split(rb"\x1b\[K(?:\r\n)?", tty.seen.split(b"\x1b[H")[-1]):
        text = re.sub(rb"\x1b\[[^A-Za-z]*[A-Za-z]", b"", line).decode(errors="replace")
        assert len(text.strip()) <= 80, text
    tty.seen = b""
    tty.resize(200, 24)
    tty.until(b"a-team-with-a-very-long-name" * 4)
    tty.type(end)
    assert tty.wait() == 0
    assert tty.seen.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")


def test_drop_asks_in_a_terminal(run, fresh, r):
    make(r, "c", 1, 3)
    r.xgroup_create(channel_key("c"), "t", "0")
    tty = run.add(Terminal(fresh, "teams", "drop", "t"))
    tty.until(b"[y/N]")
    tty.type(b"n\n")
    assert tty.wait() == FAILED and r.xinfo_groups(channel_key("c"))
    tty = run.add(Terminal(fresh, "teams", "drop", "t"))
    tty.until(b"[y/N]")
    tty.type(b"y\n")
    assert tty.wait() == 0 and not r.xinfo_groups(channel_key("c"))


# --- metrics -----------------------------------------------------------------

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse(text):
    """{metric: {labels: value}}, or an error: the grammar of the format."""
    types, samples, order_ = {}, {}, []
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} twice"
            assert kind in ("counter", "gauge", "histogram")
            types[name] = kind
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        base = re.sub("_(bucket|sum|count)$", "", name)
        family = base if types.get(base) == "histogram" else name
        assert family in types, f"{name} without a TYPE"
        if not order_ or order_[-1] != family:
            assert family not in order_, f"{family} is torn apart"
            order_.append(family)
        pairs = LABEL.findall(labels or "")
        assert "".join(LABEL.sub("", labels or "")) == "", labels
        key = tuple(sorted(pairs))
        assert key not in samples.setdefault(name, {}), f"{line} twice"
        samples[name][key] = float(value)
    return samples


def value(samples, name, **labels):
    return samples["redistribute_" + name][tuple(sorted(labels.items()))]


def test_metrics_are_the_same_by_verb_and_by_gateway(run, fresh, r, tmp_path):
    site = consume(run, fresh, tmp_path)
    for n in range(10):
        order(r, "in", n)
    order(r, "in", 10, do="dead")
    eventually(lambda: r.xlen(channel_key("out")) == 10)
    eventually(lambda: r.xlen("rd:dead:t") == 1)

    def told(text):
        m = parse(text)
        worker, = [k for k in m.get("redistribute_handled_total", [])] or [()]
        assert value(m, "team_workers", team="t") == 1
        assert value(m, "team_lag", team="t") == 0
        assert value(m, "team_pending", team="t") == 0
        assert value(m, "team_dead_letters", team="t") == 1
        assert m["redistribute_handled_total"][worker] == 10
        assert m["redistribute_dead_total"][worker] == 1
        assert dict(worker)["team"] == "t"
        assert value(m, "members", role="gateway") == 1
        return m

    def by_gateway():
        status, text = site.http("/metrics")
        assert status == 200
        m = told(text)
        assert value(m, "fleet_up") == 1 and value(m, "fleet_age_seconds") < 2
        return m
    eventually(by_gateway)
    eventually(lambda: told(verb(fresh, "metrics")[1]))


def test_histograms_and_strange_names_keep_to_the_format(fresh, r):
    odd = 'a"b\\c\nd'
    r.zadd("rd:teams", {odd: 1, b"\xff": 1})
    r.zadd("rd:nodes", {"n.worker.0": 9e12})
    r.hset("rd:node:n.worker.0", mapping={
        "role": "worker", "team": odd, "handled": 7, "failed": "many",
        "hist_1000": 3, "hist_100": 1, "hist_1000000": 5, "hist_count": 6,
        "hist_": 9, "hist_x": 9, "hist_10x": 9, "handler_us": 1500000})
    r.zadd("rd:nodes", {"n.supervisor.0": 9e12})
    r.hset("rd:node:n.supervisor.0", mapping={
        "role": "supervisor", "team.a.b.wanted": 3, "team.a.b.deaths": 1,
        "team.a.b.min": 2, "team.a.b.max": "x", "team.": 1, "team..wanted": 1})
    m = parse(verb(fresh, "metrics")[1])
    assert {dict(k)["team"]: v for k, v in
            m["redistribute_workers_wanted"].items()} == {"a.b": 3}
    assert "redistribute_workers_max" not in m
    label = 'a\\"b\\\\c\\nd'
    assert value(m, "team_workers", team=label) == 0
    buckets = {dict(k)["le"]: v
               for k, v in m["redistribute_handler_seconds_bucket"].items()}
    assert buckets == {"0.0001": 1, "0.001": 3, "1.0": 5, "+Inf": 6}
    who = {"team": label, "worker": "n.worker.0"}
    assert value(m, "handler_seconds_sum", **who) == 1.5
    assert value(m, "handler_seconds_count", **who) == 6
    assert value(m, "failed_total", **who) == 0


def test_a_frozen_redis_does_not_hold_up_a_scrape(run, tmp_path):
    server = run.redis()
    site = run.daemon(redis=server)
    eventually(lambda: "redistribute_fleet_up 1" in site.http("/metrics")[1])
    server.freeze()
    began = time.monotonic()

    def scrape():
        status, text = site.http("/metrics", timeout=10)
        assert status == 200 and "redistribute_gateway_ready" in text
        parse(text)
        return text
    for _ in range(3):
        scrape()
    assert time.monotonic() - began < 8
    assert site.http("/healthz")[0] == 200
    eventually(lambda: "redistribute_fleet_up 0" in scrape(), 20)
    server.resume()
    eventually(lambda: "redistribute_fleet_up 1" in scrape(), 20)
