# SPDX-License-Identifier: MIT
"""Several teams under one supervisor, and how many workers they have: sections
of the file, reloads, signals, `scale` over several machines, the backlog."""
import json
import signal
import time

import pytest

import harness
from harness import (alive, channel_key, eventually, exec_handler, holds, kill,
                     xadd)
from harness import run as run_verb

FAILED, USAGE, UNAVAILABLE, CONFIG = 1, 64, 69, 78


@pytest.fixture
def server(run):
    """A Redis that nobody else reports to."""
    return run.redis()


@pytest.fixture
def store(server):
    client = server.client()
    yield client
    client.close()


class File:
    """A configuration of teams."""

    def __init__(self, path):
        self.path = path

    def write(self, top="", **teams):
        text = top + "\n"
        for name, lines in teams.items():
            text += f"\n[team {name}]\n" + "\n".join(lines) + "\n"
        self.path.write_text(text)


@pytest.fixture
def conf(tmp_path):
    return File(tmp_path / "rd.conf")


def team(consume, to, workers=1, *more):
    return [f"consume = {consume}", f"handler = {exec_handler('echo', to)}",
            f"workers = {workers}", *more]


def report(store, site):
    """What a supervisor says of itself."""
    for name in store.keys("rd:node:*.supervisor.0"):
        fields = {k.decode(): v.decode() for k, v in store.hgetall(name).items()}
        if fields.get("pid") == str(site.pid):
            return fields
    return {}


def teams(store, site):
    """{team: (wanted, running)}, as the supervisor says."""
    fields = report(store, site)
    return {k.split(".")[1]: (int(v), int(fields[k.replace("wanted", "running")]))
            for k, v in fields.items() if k.endswith(".wanted")}


def workers(site):
    """{index: pid} of the living."""
    return site.children("worker")


def members(store, name):
    """Places of the living workers of a team, as Redis has them."""
    return {int(m.split(b":")[1].split(b".")[0])
            for m in store.zrange(f"rd:team:{name}", 0, -1) if m[:1] != b"="}


def settled(store, site, **wanted):
    """Waits until each of these teams, and no other, has so many workers."""
    want = {k: (n, n) for k, n in wanted.items()}
    eventually(lambda: teams(store, site) == want, 20,
               what=f"{want}, there is {teams(store, site)}")
    eventually(lambda: len(workers(site)) == sum(wanted.values()))


def numbers(store, channel):
    return [json.loads(f[b"json"]) for _, f in store.xrange(channel_key(channel))]


def publish(store, channel, *values):
    for v in values:
        xadd(store, channel, json=json.dumps(v))


def scale(server, *args, **more):
    return run_verb("scale", *args, env={"REDISTRIBUTE_TARGETS": server.uri}, **more)


# --- several teams in one file -----------------------------------------------

def test_two_teams_in_one_file_do_their_work(run, server, store, conf):
    conf.write(one=team("a", "from-one", 2), two=team("a", "from-two", 1))
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    settled(store, site, one=2, two=1)
    assert set(workers(site)) == {0, 1, 2}
    assert members(store, "one") == {0, 1} and members(store, "two") == {2}
    publish(store, "a", *range(20))
    eventually(lambda: sorted(numbers(store, "from-one")) == list(range(20)))
    eventually(lambda: sorted(numbers(store, "from-two")) == list(range(20)))
    assert site.stop() == 0
    assert len(numbers(store, "from-one")) == len(numbers(store, "from-two")) == 20


def test_team_outside_of_sections_runs_where_it_consumes(run, server, store, conf):
    conf.write("\n".join(["team = outer", "batch = 7", *team("a", "from-outer", 1)]),
               inner=team("b", "from-inner", 1))
    site = run.daemon("--config", conf.path, "--workers", "2", redis=server,
                      gateways=0)
    settled(store, site, outer=2, inner=1)
    publish(store, "a", 1)
    publish(store, "b", 2)
    eventually(lambda: numbers(store, "from-outer") == [1])
    eventually(lambda: numbers(store, "from-inner") == [2])


def test_section_takes_from_outside_what_it_does_not_say(run, server, store, conf):
    """Also what a flag says; its own lines win over that."""
    conf.write(f"handler = {exec_handler('echo', 'out')}",
               one=["consume = a"], two=["consume = b", "workers = 1"])
    site = run.daemon("--config", conf.path, "--workers", "2", redis=server,
                      gateways=0)
    settled(store, site, one=2, two=1)
    publish(store, "a", 1)
    publish(store, "b", 2)
    eventually(lambda: sorted(numbers(store, "out")) == [1, 2])


@pytest.mark.parametrize("text,line,named", [
    ("[team a]\nconsume = x\n[team a]\nworkers = 1\n", 3, "stands at"),
    ("[team]\nworkers = 1\n", 1, "[team NAME]"),
    ("[team a b]\nworkers = 1\n", 1, "a b"),
    ("[team \xfc]\n", 1, "[team NAME]"),
    ("[teams]\nworkers = 1\n", 1, "[teams]"),
    ("[gateway]\n", 1, "[gateway]"),
    ("[team a] workers = 1\n", 1, "workers = 1"),
    ("[team a]\nworker = 1\n", 2, "\"worker\""),
    ("[team a]\nport = 1\n", 2, "port"),
    ("[team a]\nteam = b\n", 2, "team"),
    ("[team a]\nworkers = many\n", 2, "many"),
    ("workers = 1\n[team a]\nconsume = {\n", 2, "consume"),
    ("consume = x\n[team workers]\nconsume = y\n", 2, "outside of sections"),
    ("[team a]\nretry-delay = 2h\n", 2, "retry-delay"),
    ("[team a]\nworkers = 3\nworkers-max = 2\n", 1, "workers-max"),
    ("[team a\nworkers = 3\n", 1, "name = value"),
])
def test_bad_section_is_one_sentence_with_its_line(run, server, tmp_path, text,
                                                   line, named):
    path = tmp_path / "rd.conf"
    path.write_text(text)
    site = run.daemon("--config", path, redis=server, wait=False)
    assert site.wait() == CONFIG
    site.log.thread.join(5)
    lines = site.transcript().splitlines()
    assert len(lines) == 1, lines
    assert f"{path}:{line}: " in lines[0] and named in lines[0]


def test_check_shows_sections(server, conf, tmp_path):
    conf.write(one=team("a", "x", 2, "workers-max = 5"),
               two=["consume = b", "max-attempts = 9"])
    status, out, err = run_verb("check", "-v", "--config", conf.path, "--workers",
                                "3", "--gateways", "0", "--data-dir", tmp_path,
                                env={"REDISTRIBUTE_TARGETS": server.uri})
    assert status == 0, out + err
    assert "[team one]\nconsume = a\n" in out
    assert "[team two]\nconsume = b\nmax-attempts = 9\n" in out
    assert "team one: 2 workers to 5" in out and "team two: 3 workers" in out


def test_death_is_told_to_the_team_of_the_dead(run, server, store, conf):
    conf.write(one=team("a", "x", 1), two=team("b", "y", 1))
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    settled(store, site, one=1, two=1)
    old = {m for m in store.zrange("rd:team:two", 0, -1) if m[:1] != b"="}
    pid = site.kill_child("worker", 1)
    site.wait_event("child.exit", role="worker", pid=pid)
    eventually(lambda: not old & set(store.zrange("rd:team:two", 0, -1)), 2)
    eventually(lambda: report(store, site).get("team.two.deaths") == "1")
    assert report(store, site)["team.one.deaths"] == "0"
    settled(store, site, one=1, two=1)
    assert members(store, "two") == {1}


def test_status_shows_what_each_team_has(run, server, store, conf):
    conf.write(one=team("a", "x", 2, "workers-max = 4"), two=team("b", "y", 0))
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    settled(store, site, one=2, two=0)
    env = {"REDISTRIBUTE_TARGETS": server.uri}
    status, out, err = run_verb("status", "--json", env=env)
    assert status == 0, err
    said = [m for m in json.loads(out)["members"] if m["role"] == "supervisor"]
    assert {k: v for k, v in said[0].items() if k.startswith("team.")} == {
        "team.one.workers": 2, "team.one.wanted": 2, "team.one.running": 2,
        "team.one.deaths": 0, "team.one.stuck": 0, "team.one.auto": 1, "team.one.min": 2,
        "team.one.max": 4, "team.two.workers": 0,
        "team.two.wanted": 0, "team.two.running": 0, "team.two.deaths": 0,
        "team.two.stuck": 0}
    status, out, err = run_verb("status", env=env)
    assert status == 0, err
    assert "team.one.wanted=2" in out and "team.two.running=0" in out


# --- reload ------------------------------------------------------------------

def test_reload_adds_removes_and_changes_teams(run, server, store, conf):
    one, two, three = (team("a", "x", 2), team("b", "y", 1), team("c", "z", 2))
    conf.write(one=one, two=two)
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    settled(store, site, one=2, two=1)
    before = workers(site)
    conf.write(one=one, three=three)
    site.send(signal.SIGHUP)
    site.wait_event("team.gone", team="two")
    site.wait_event("team.new", team="three")
    settled(store, site, one=2, three=2)
    # Who is not concerned stays; the number of one that is going is not reused.
    assert all(alive(before[i]) for i in (0, 1)) and not alive(before[2])
    assert members(store, "one") == {0, 1}
    assert len(members(store, "three")) == 2
    publish(store, "c", 7)
    eventually(lambda: numbers(store, "z") == [7])
    # A change replaces the workers of that team alone.
    before = workers(site)
    conf.write(one=one, three=[*three, "batch = 5"])
    site.send(signal.SIGHUP)
    changed = site.wait_event("team.changed", team="three")
    assert changed["changed"] == "batch"
    eventually(lambda: not any(alive(before[i]) for i in before if i > 1)
               and len(workers(site)) == 4, 20)
    settled(store, site, one=2, three=2)
    assert all(alive(before[i]) for i in (0, 1))
    # A number that changes starts and stops, and replaces nobody.
    before = workers(site)
    conf.write(one=team("a", "x", 1), three=[*three, "batch = 5"])
    site.send(signal.SIGHUP)
    settled(store, site, one=1, three=2)
    assert {i: p for i, p in before.items() if i != 1} == workers(site)
    # A mistake changes nothing.
    conf.write(one=["workers = none"])
    site.send(signal.SIGHUP)
    site.wait_event("config.bad")
    holds(lambda: teams(store, site) == {"one": (1, 1), "three": (2, 2)}, 0.5)
    assert site.stop() == 0


def test_reload_may_change_what_a_team_consumes(run, server, store, conf):
    """It is an explicit wish, so nobody has to say --replace-team."""
    conf.write(one=team("a", "x", 2))
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    settled(store, site, one=2)
    before = workers(site)
    conf.write(one=team("b", "x", 2))
    site.send(signal.SIGHUP)
    eventually(lambda: not any(alive(p) for p in before.values()), 20)
    settled(store, site, one=2)
    assert not site.log.find("child.parked")
    publish(store, "b", 3)
    eventually(lambda: numbers(store, "x") == [3])
    # And the wish is over: who runs when somebody else replaces it agrees no
    # more, and starting it again would be of no use.
    assert store.hget("rd:conf:one", "consume") == b"b"
    store.hset("rd:conf:one", "consume", "c")
    for i in (0, 1):
        site.wait_event("child.parked", role="worker", index=i)
    assert store.hget("rd:conf:one", "consume") == b"c"


def test_what_somebody_scaled_outlives_a_reload(run, server, store, conf):
    conf.write(one=team("a", "x", 1))
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    site.send(signal.SIGTTIN)
    settled(store, site, one=2)
    conf.write(one=team("a", "x", 1, "batch = 5"))
    site.send(signal.SIGHUP)
    site.wait_event("team.changed", team="one")
    settled(store, site, one=2)
    conf.write(one=team("a", "x", 3, "batch = 5"))
    site.send(signal.SIGHUP)
    settled(store, site, one=3)


def test_roll_takes_one_at_a_time_of_all_teams(run, server, store, conf):
    conf.write(one=team("a", "x", 2), two=team("b", "y", 2))
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    settled(store, site, one=2, two=2)
    before = workers(site)
    site.send(signal.SIGUSR2)
    eventually(lambda: not any(alive(p) for p in before.values()), 30)
    settled(store, site, one=2, two=2)

    def order():
        events = [e["event"] for e in site.log.find() if e.speaker == site.pid
                  and e.get("event") in ("replace", "child.ready")]
        return events[events.index("replace"):]
    # A worker is of its team before its supervisor has heard that it is ready.
    eventually(lambda: len(order()) >= 8, 10)
    assert order() == ["replace", "child.ready"] * 4


# --- signals and orders ------------------------------------------------------

def test_ttin_and_ttou_are_for_the_first_team(run, server, store, conf):
    conf.write(one=team("a", "x", 1), two=team("b", "y", 1))
    site = run.daemon("--config", conf.path, redis=server, gateways=0)
    site.send(signal.SIGTTIN)
    settled(store, site, one=2, two=1)
    assert members(store, "one") == {0, 2}
    site.send(signal.SIGTTOU)
    settled(store, site, one=1, two=1)
    site.send(signal.SIGTTOU)
    settled(store, site, one=0, two=1)
    # The lowest places that are free.
    site.send(signal.SIGTTIN)
    settled(store, site, one=1, two=1)
    assert members(store, "one") == {0}


def test_supervisor_that_says_ready_can_be_scaled(run):
    """`systemctl start redistribute && redistribute scale 2`"""
    server = run.redis()
    run.daemon("--consume", "a", redis=server, gateways=0, workers=1)
    status, out, err = scale(server, "2")
    assert status == 0, out + err


def test_scale_on_one_machine(run, server, store):
    site = run.daemon("--consume", "a", "--node", "n1", redis=server, gateways=0,
                      workers=1)
    settled(store, site, workers=1)
    begin = time.monotonic()
    status, out, err = scale(server, "4")
    assert status == 0, out + err
    assert out.strip() == "team workers on n1: 1 -> 4"
    assert time.monotonic() - begin < 10
    settled(store, site, workers=4)
    order = site.log.find("control.order")[-1]
    assert order["workers"] == "4" and "@" in order["by"]
    status, out, err = scale(server, "2", "--json")
    assert status == 0, err
    assert json.loads(out) == {
        "team": "workers", "workers": 2, "reached": True,
        "nodes": [{"node": "n1", "from": 4, "to": 2, "running": 2,
                   "reached": True}]}
    settled(store, site, workers=2)
    assert scale(server, "0")[0] == 0
    settled(store, site, workers=0)
    # It is still the team's machine.
    assert scale(server, "1")[0] == 0
    settled(store, site, workers=1)


def test_scale_over_two_machines(run, server, store, conf):
    conf.write(one=team("a", "x", 1), two=team("b", "y", 1))
    first = run.daemon("--config", conf.path, "--node", "n1", redis=server,
                       gateways=0)
    second = run.daemon("--config", conf.path, "--node", "n2", redis=server,
                        gateways=0)
    third = run.daemon("--node", "n3", redis=server, gateways=0)
    for site in (first, second):
        settled(store, site, one=1, two=1)
    settled(store, third, workers=0)
    status, out, err = scale(server, "5", "--team", "one")
    assert status == 0, out + err
    assert out.splitlines() == ["team one on n1: 1 -> 3", "team one on n2: 1 -> 2"]
    settled(store, first, one=3, two=1)
    settled(store, second, one=2, two=1)
    status, out, err = scale(server, "1", "--team", "one")
    assert status == 0, out + err
    settled(store, first, one=1, two=1)
    settled(store, second, one=0, two=1)
    status, out, err = scale(server, "3", "--team", "two", "--node", "n2")
    assert status == 0, out + err
    assert out.splitlines() == ["team two on n2: 1 -> 3"]
    settled(store, first, one=1, two=1)
    settled(store, second, one=0, two=3)
    settled(store, third, workers=0)
    # Two teams: which one is meant?
    status, out, err = scale(server, "3")
    assert status == USAGE and "one" in err and "two" in err
    # Who is named is asked, whatever its number is.
    assert scale(server, "1", "--node", "n3", "--team", "workers")[0] == 0
    settled(store, third, workers=1)


def test_scale_outlives_an_outage_of_redis(run):
    server = run.redis(persist=True)
    site = run.daemon("--consume", "a", "--node", "n1", redis=server, gateways=0,
                      workers=1)
    store = server.client()
    settled(store, site, workers=1)
    server.stop()
    server.start()
    store = server.client()
    settled(store, site, workers=1)
    assert scale(server, "2")[0] == 0
    settled(store, site, workers=2)


@pytest.mark.parametrize("args", [[], ["many"], ["-1"], ["1", "2"], ["1.5"],
                                  ["1", "--team", "a b"], ["1", "--node", ""],
                                  ["1", "--wait", "soon"], ["1", "--bogus"],
                                  ["99999999"]])
def test_wrong_use_of_scale_is_said(server, args):
    status, out, err = scale(server, *args)
    assert status == USAGE and err.strip() and not out


def test_scale_says_what_it_cannot_do(run, server, store):
    status, _, err = scale(server, "3")
    assert status == FAILED and "no supervisor" in err
    site = run.daemon("--consume", "a", "--node", "n1", redis=server, gateways=0,
                      workers=1)
    settled(store, site, workers=1)
    status, _, err = scale(server, "3", "--team", "other")
    assert status == FAILED and "other" in err
    status, _, err = scale(server, "3", "--node", "n9")
    assert status == FAILED and "n9" in err
    status, _, err = scale(server, "513")
    assert status == USAGE and "512" in err
    # One that does not follow.
    kill(site.pid, signal.SIGSTOP)
    try:
        status, out, _ = scale(server, "3", "--wait", "1s")
    finally:
        kill(site.pid, signal.SIGCONT)
    assert status == FAILED and "not reached" in out
    settled(store, site, workers=3)
    port = harness.free_ports()
    status, _, err = run_verb(
        "scale", "1", env={"REDISTRIBUTE_TARGETS": f"redis://127.0.0.1:{port}"})
    assert status == UNAVAILABLE and str(port) in err


def test_orders_that_are_none_do_no_harm(run, server, store):
    site = run.daemon("--consume", "a", "--node", "n1", redis=server, gateways=0,
                      workers=1)
    settled(store, site, workers=1)
    good = {"order": "scale", "team": "workers", "workers": "2", "node": "n1"}
    bad = [{"order": "dance"}, {"team": "a b"}, {"team": "x" * 65}, {"team": ""},
           {"workers": "513"}, {"workers": "-1"}, {"workers": "1e3"},
           {"workers": ""}, {"node": "n2"}, {"team": "other"},
           {"by": "x\nevent=forged " + "y" * 5000, "workers": "?"}]
    for change in bad:
        store.xadd("rd:control", {**good, **change})
    store.xadd("rd:control", {"what": "else"})
    store.xadd("rd:control", {**good, "workers": "3"})
    settled(store, site, workers=3)
    assert not site.log.find("forged")
    assert max(len(e.line) for e in site.log.find("control.order")) < 500
    # A key that is no stream is said once, and does not stop anything.
    store.delete("rd:control")
    store.set("rd:control", "x")
    site.wait_event("control.read")
    site.send(signal.SIGTTIN)
    settled(store, site, workers=4)
    store.delete("rd:control")
    assert scale(server, "1")[0] == 0
    assert len(site.log.find("control.read")) == 1


# --- by the backlog ----------------------------------------------------------

@pytest.mark.deadline(90)
def test_backlog_starts_workers_between_two_bounds(run, server, store, tmp_path):
    (tmp_path / "n").touch()
    site = run.daemon("--consume", "a", "--workers-max", "3", "--batch", "1",
                      "--handler", exec_handler("obey", "out", tmp_path / "n"),
                      redis=server, gateways=0, workers=1)
    eventually(lambda: teams(store, site) == {"workers": (1, 1)})
    assert report(store, site)["team.workers.auto"] == "1"
    for n in range(400):
        xadd(store, "a", json=json.dumps({"n": n, "do": "slow", "seconds": 0.1}))
    eventually(lambda: teams(store, site) == {"workers": (3, 3)}, 30)
    steps = [(e["from"], e["to"]) for e in site.log.find("scale", why="autoscale")]
    assert steps == [("1", "2"), ("2", "3")]
    said = site.log.find("autoscale")[0]
    assert int(said["backlog"]) > 0
    # A person wants more than that: the backlog decides no longer.
    status, out, err = scale(server, "5")
    assert status == 0, out + err
    site.wait_event("autoscale.off", team="workers")
    eventually(lambda: teams(store, site) == {"workers": (5, 5)})
    assert "team.workers.auto" not in report(store, site)
    # Until the next reload.
    site.send(signal.SIGHUP)
    eventually(lambda: teams(store, site) == {"workers": (3, 3)}, 20)


# --- recycling ---------------------------------------------------------------

def test_worker_that_has_done_enough_is_followed_at_once(run, server, store):
    site = run.daemon("--consume", "a", "--max-messages", "20", "--batch", "5",
                      "--handler", exec_handler("echo", "out"),
                      redis=server, gateways=0, workers=1)
    old = site.child("worker")
    for n in range(60):
        publish(store, "a", n)
    eventually(lambda: sorted(numbers(store, "out")) == list(range(60)), 30)
    site.wait_event("child.recycle", role="worker")
    gone = site.log.find("child.exit", role="worker", pid=old)[0]
    assert gone["status"] == "10" and gone.level == "info"
    eventually(lambda: teams(store, site) == {"workers": (1, 1)})
    assert report(store, site)["team.workers.deaths"] == "0"
    assert not site.log.find("child.backoff")
