# SPDX-License-Identifier: MIT
"""Verbs find the Redis that is meant: of the supervisor that runs here, by the
file that a unit reads, and for redis-cli; and a second supervisor joins it."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import (PROGRAMS, FakeRedis, channel_key, clean_environment,
                     command_of, eventually, exec_handler, free_ports,
                     tls_redis)
from harness import run as run_verb

USAGE, UNAVAILABLE, CONFIG = 64, 69, 78
PASSWORD = "pw-0123456789"
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="it changes the user")


def members(*args, env):
    """The processes that status knows."""
    status, out, err = run_verb("status", "--json", *args, env=env)
    assert status == 0, err
    return {m["pid"] for m in json.loads(out)["members"]}


@pytest.fixture
def home(tmp_path):
    """The environment of a user with no other supervisor."""
    state = tmp_path / "state"
    state.mkdir()
    return {"XDG_STATE_HOME": str(state)}


# --- redis-cli -----------------------------------------------------------------

def test_redis_cli_reaches_the_embedded_one(run, home):
    site = run.daemon(env=home)
    args = ("cli", "--data-dir", site.data_dir)
    status, out, err = run_verb(*args, "XADD", "rd:ch:a", "*", "json", '{"a":1}')
    assert status == 0 and out.strip().endswith("-0"), err
    assert site.embedded().xlen(channel_key("a")) == 1
    # Without being told where it is, and with flags of redis-cli's own.
    for words, said in (
            (["XLEN", "rd:ch:a"], "1"), (["--raw", "XLEN", "rd:ch:a"], "1"),
            (["-r", "2", "PING"], "PONG\nPONG"),
            (["--", "--scan", "--pattern", "rd:ch:*"], "rd:ch:a"),
            (["--prefix", "rd", "PING"], "PONG")):
        status, out, err = run_verb("cli", *words, env=home)
        assert (status, out.strip()) == (0, said), err
    assert run_verb("cli", "-x", "SET", "k", env=home, stdin=b"v")[0] == 0
    assert site.embedded().get("k") == b"v"
    assert site.stop() == 0
    status, _, err = run_verb("cli", "PING", env=home)
    assert status == UNAVAILABLE and "no supervisor runs" in err
    status, out, _ = run_verb("cli", "--help")
    assert status == 0 and "usage: redistribute cli" in out


@pytest.mark.parametrize("how", ["tcp", "user", "db", "unix", "tls"])
def test_redis_cli_has_the_password_and_ps_has_not(run, tmp_path, how):
    args, env = [], {"REDISCLI_AUTH": "of another server"}
    if how == "tls":
        args, port, cert = tls_redis(tmp_path)
        env["REDISTRIBUTE_REDIS_CA"] = str(cert)
    redis = run.redis(*args, tcp=True, password=PASSWORD)
    redis.client().execute_command("ACL", "SETUSER", "u", "on", f">{PASSWORD}",
                                   "~*", "+@all")
    env["REDISTRIBUTE_TARGETS"] = {
        "tcp": redis.tcp_uri, "db": redis.tcp_uri + "/3", "unix": redis.uri,
        "user": f"redis://u:{PASSWORD}@127.0.0.1:{redis.port}",
        "tls": f"rediss://:{PASSWORD}@localhost:{port if how == 'tls' else 0}",
    }[how]
    verb = run.process([PROGRAMS["redistribute"], "cli", "BLPOP", "k", "0"],
                       env=env)
    store = redis.client(db=3 if how == "db" else 0)
    blocked = eventually(lambda: [c for c in store.client_list()
                                  if c["cmd"] == "blpop"])
    assert blocked[0]["user"] == ("u" if how == "user" else "default")
    assert "redis-cli" in command_of(verb.pid)
    assert PASSWORD not in command_of(verb.pid)
    store.rpush("k", "v")
    assert verb.wait() == 0


def test_redis_cli_without_a_password_takes_none_along(run):
    redis = run.redis()
    status, out, err = run_verb(
        "cli", "PING", env={"REDISTRIBUTE_TARGETS": redis.uri,
                            "REDISCLI_AUTH": "of another server"})
    assert (status, out, err) == (0, "PONG\n", "")


# --- which one -----------------------------------------------------------------

def test_the_only_one_is_found(run, home):
    status, _, err = run_verb("status", env=home)
    assert status == UNAVAILABLE and "--data-dir" in err and "--targets" in err
    site = run.daemon("--prefix", "other", env=home)
    status, out, err = run_verb("publish", "a", "1", env=home)
    assert status == 0, err
    assert site.embedded().xlen(channel_key("a", "other")) == 1
    for verb in (["status"], ["teams"], ["channels"], ["metrics"],
                 ["top", "--once"], ["pending"], ["dead"],
                 ["tail", "a", "--offset", "0", "--count", "1"]):
        assert run_verb(*verb, env=home)[0] == 0, verb
    # Of another user's nothing is found.
    assert run_verb("status")[0] != 0
    assert site.stop() == 0
    assert not list(Path(home["XDG_STATE_HOME"]).glob("redistribute/running/*"))
    assert not (site.data_dir / "instance").exists()
    assert run_verb("status", env=home)[0] == UNAVAILABLE


def test_one_that_was_killed_is_not_found(run, home):
    gone = run.daemon(env=home)
    gone.popen.kill()
    gone.wait()
    eventually(lambda: not gone.left())
    status, _, err = run_verb("status", env=home)
    assert status == UNAVAILABLE and "no supervisor runs" in err
    site = run.daemon(env=home)
    assert run_verb("status", env=home)[0] == 0
    assert len(list(Path(home["XDG_STATE_HOME"]).glob(
        "redistribute/running/*"))) == 1
    assert site.stop() == 0


def test_of_several_one_must_be_named(run, home, tmp_path):
    conf = tmp_path / "two.conf"
    conf.write_text("maxlen = 777\n")
    sites = [run.daemon(env=home), run.daemon("--config", conf, env=home)]
    status, _, err = run_verb("status", env=home)
    assert status == USAGE and err.count("\n") == 1
    for site in sites:
        assert f"--data-dir {site.data_dir} (at 127.0.0.1:{site.port})" in err
    for site in sites:
        eventually(lambda: site.pid in members("--data-dir", site.data_dir,
                                               env=home))
    # The one that was given this file.
    assert sites[1].pid in members("--config", conf, env=home)
    for site in sites:
        assert site.stop() == 0


def test_several_on_one_redis_are_one(run, server, home):
    sites = [run.daemon(redis=server, env=home) for _ in range(2)]
    eventually(lambda: {s.pid for s in sites} <= members(env=home))
    for site in sites:
        assert site.stop() == 0


def test_redis_with_a_password_is_named_and_the_password_is_not(run, home):
    redis = run.redis(tcp=True, password=PASSWORD)
    site = run.daemon(redis=redis.tcp_uri, env=home)
    for path in (site.data_dir, Path(home["XDG_STATE_HOME"])):
        for file in path.rglob("*"):
            assert not file.is_file() or \
                PASSWORD not in file.read_text(errors="replace")
    status, _, err = run_verb("status", env=home)
    assert status == CONFIG and err.count("\n") == 1
    assert f"redis://:***@127.0.0.1:{redis.port}" in err
    assert "REDISTRIBUTE_TARGETS" in err and str(site.data_dir) in err
    told = {**home, "REDISTRIBUTE_TARGETS": redis.tcp_uri}
    assert run_verb("status", env=told)[0] == 0
    status, _, err = run_verb("start", "--join", env=home)
    assert status == CONFIG and "REDISTRIBUTE_TARGETS" in err
    joined = run.process([PROGRAMS["redistribute"], "start", "--join"], env=told)
    joined.wait_event("ready", speaker=joined.pid, gateways=0)
    assert joined.stop() == 0 and site.stop() == 0


@pytest.mark.parametrize("answer", [
    b"-WRONGPASS invalid username-password pair\r\n", b"no Redis\r\n"])
def test_redis_that_will_not_do_is_asked_once(answer):
    """Nobody waits for what will not change."""
    with FakeRedis(answer) as fake:
        status, _, err = run_verb("status", env={
            "REDISTRIBUTE_TARGETS": f"redis://:{PASSWORD}@127.0.0.1:{fake.port}"})
        assert status == UNAVAILABLE and len(fake.links) == 1
        assert str(fake.port) in err and PASSWORD not in err


# --- what the unit reads -------------------------------------------------------

def settings(top, redis, name="redistribute"):
    """A file as of the unit, and its variables beside it."""
    conf = top / f"{name}.conf"
    conf.write_text("workers = 0\n")
    env = top / ("environment" if name == "redistribute"
                 else f"{name}.environment")
    env.write_text(f"# for root\n\nOTHER=1\nREDISTRIBUTE_TARGETS={redis}\n")
    env.chmod(0o600)
    return conf, env


@pytest.mark.parametrize("name", ["redistribute", "audit"])
def test_variables_beside_the_file_are_read(run, home, tmp_path, name):
    redis = run.redis(tcp=True, password=PASSWORD)
    conf, env = settings(tmp_path, redis.tcp_uri, name)
    args = ("--config", conf)
    for verb in (["publish", "a", "1"], ["status"], ["check"], ["cli", "PING"]):
        status, out, err = run_verb(verb[0], *args, *verb[1:], env=home)
        assert status == 0, (verb, out, err)
        assert PASSWORD not in out + err
    assert redis.client().xlen(channel_key("a")) == 1
    # Of one that runs by that file they are found, too.
    site = run.daemon("--config", conf, redis=redis.tcp_uri, env=home)
    status, _, err = run_verb("status", env=home)
    assert status == 0, err
    assert site.stop() == 0
    # The environment wins over them, and a mistake in them is named.
    status, _, err = run_verb("status", *args, env={
        **home, "REDISTRIBUTE_TARGETS": "redis://127.0.0.1:1"})
    assert status == UNAVAILABLE and "127.0.0.1:1" in err
    env.write_text("REDISTRIBUTE_WORKERS=many\n")
    status, _, err = run_verb("status", *args, env=home)
    assert status == CONFIG and str(env) in err and "REDISTRIBUTE_WORKERS" in err


@pytest.mark.parametrize("line", [
    "REDISTRIBUTE_TARGETS={}", '  REDISTRIBUTE_TARGETS="{}"  ',
    "REDISTRIBUTE_TARGETS='{}'\n", "REDISTRIBUTE_TARGETS= {} \n; x=1",
    "A=1 \\\n2\nREDISTRIBUTE_TARGETS={}", "not a variable\nREDISTRIBUTE_TARGETS={}",
])
def test_forms_of_a_variable(run, server, home, tmp_path, line):
    conf, env = settings(tmp_path, "")
    env.write_text(line.format(server.uri))
    status, _, err = run_verb("status", "--config", conf, env=home)
    assert status == 0, err


def by_nobody(top, verb, *args):
    """As a user who may read nothing of ours."""
    program = shutil.copy(PROGRAMS["redistribute"], top)
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
         program, verb, *map(str, args)],
        env=clean_environment({"XDG_STATE_HOME": top}), check=False,
        capture_output=True, text=True, timeout=20)


@as_root
def test_variables_that_may_not_be_read_are_named():
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        conf, env = settings(Path(top), f"redis://:{PASSWORD}@127.0.0.1:1")
        done = by_nobody(top, "status", "--config", conf)
        assert done.returncode == CONFIG and done.stderr.count("\n") == 1
        assert str(env) in done.stderr and "cannot be read" in done.stderr
        assert "REDISTRIBUTE_TARGETS" in done.stderr
        done = by_nobody(top, "check", "--config", conf)
        assert re.search(rf"^warn +environment +{env} cannot be read",
                         done.stdout, re.M)


@as_root
def test_file_that_another_user_could_write_is_not_read(run, home, tmp_path):
    """Else whoever runs a supervisor could have root read what he likes."""
    conf = tmp_path / "his.conf"
    conf.write_text("team = his\n")
    site = run.daemon("--config", conf, env=home)
    assert run_verb("dead", env=home)[1] == "team his has no dead letters\n"
    os.chown(conf, NOBODY, NOBODY)
    assert run_verb("dead", env=home)[1] == "team workers has no dead letters\n"
    assert site.stop() == 0


# --- one beside another ----------------------------------------------------------

def test_workers_join_the_one_that_runs(run, home, tmp_path):
    site = run.daemon("--prefix", "p", env=home)
    # Nobody wants to hear only that the port is taken.
    status, _, err = run_verb("start", "--port", site.port, "--ops-port", "0",
                              "--data-dir", tmp_path / "other", env=home)
    assert status == CONFIG and "--join" in err and str(site.data_dir) in err
    joined = run.process(
        [PROGRAMS["redistribute"], "start", "--join", "--workers", "2",
         "--team", "shouters", "--consume", "whispers", "--handler",
         exec_handler("echo", "shouts")], env=home)
    joined.wait_event("ready", speaker=joined.pid, gateways=0, workers=2)
    assert run_verb("publish", "whispers", '"x"', env=home)[0] == 0
    eventually(lambda: site.embedded().xlen(channel_key("shouts", "p")) == 1)
    # Still the verbs are in no doubt, and both are there.
    eventually(lambda: {joined.pid, site.pid} <= members(env=home))
    # One more, with a gateway.
    first = free_ports(2)
    gate = run.process(
        [PROGRAMS["redistribute"], "start", "--join", "--workers", "0",
         "--gateways", "1", "--port", first, "--ops-port", first + 1], env=home)
    gate.wait_event("ready", speaker=gate.pid, gateways=1, workers=0)
    client = run.client(first)
    client.ok("subscribe", channel="shouts", offset="0")
    client.until(lambda: client.inbox.get("shouts"), "nothing was shouted")
    # A reload keeps to it.
    at = joined.log.position()
    joined.send(signal.SIGHUP)
    assert joined.log.wait("reload", since=at)["changed"] == ""
    assert run_verb("publish", "whispers", '"y"', env=home)[0] == 0
    eventually(lambda: site.embedded().xlen(channel_key("shouts", "p")) == 2)
    assert gate.stop() == 0 and joined.stop() == 0
    assert site.stop() == 0


def test_join_says_whom_it_could_not_join(run, home):
    join = ("start", "--join", "--workers", "1", "--consume", "a")
    status, _, err = run_verb(*join, env=home)
    assert status == UNAVAILABLE and "no supervisor runs here" in err
    sites = [run.daemon(env=home) for _ in range(2)]
    status, _, err = run_verb(*join, env=home)
    assert status == USAGE and str(sites[1].data_dir) in err
    joined = run.process([PROGRAMS["redistribute"], *join, "--data-dir",
                          sites[1].data_dir], env=home)
    joined.wait_event("ready", speaker=joined.pid)
    eventually(lambda: sites[1].embedded().exists("rd:team:workers"))
    for it in (joined, *sites):
        assert it.stop() == 0


def test_join_a_redis_with_a_password(run, home, tmp_path):
    redis = run.redis(tcp=True, password=PASSWORD)
    conf, _ = settings(tmp_path, redis.tcp_uri)
    site = run.daemon("--config", conf, env=home)
    joined = run.process([PROGRAMS["redistribute"], "start", "--join",
                          "--workers", "1", "--consume", "a"], env=home)
    joined.wait_event("ready", speaker=joined.pid)
    for pid in joined.left():
        assert PASSWORD not in command_of(pid)
    assert joined.stop() == 0 and site.stop() == 0
