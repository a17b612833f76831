# SPDX-License-Identifier: MIT
"""What Redis must offer, said before anything starts; and the least that its
users need, as deploy/README.md has it, proved by a fleet that has no more."""
import contextlib
import json
import socket

import pytest

import blocks
import sse
from harness import (REDIS_SERVER, FakeRedis, channel_key,
                     eventually, exec_handler, free_ports, http_get, xadd)
from harness import run as run_verb

PASSWORD = "pw-0123456789"


def judged(uri, tmp_path, *args):
    """(status, what is said) of check and of start."""
    said = []
    for verb in ("check", "start"):
        status, out, err = run_verb(
            verb, "--data-dir", tmp_path / "d", "--port", free_ports(),
            "--ops-port", "0", *args, env={"REDISTRIBUTE_TARGETS": uri})
        said.append((status, out + err))
    return said


class OldRedis(FakeRedis):
    """Answers INFO as a version, PING, and all else by OK."""

    def __init__(self, version):
        super().__init__()
        text = f"redis_version:{version}\r\nredis_mode:standalone\r\n".encode()
        self.answers = {b"INFO": b"$%d\r\n%s\r\n" % (len(text), text),
                        b"PING": b"+PONG\r\n"}

    def _serve(self, link):
        with contextlib.suppress(OSError, ValueError), link, \
                link.makefile("rb") as lines:
            while head := lines.readline():
                words = []
                for _ in range(int(head[1:])):
                    n = int(lines.readline()[1:])
                    words.append(lines.read(n + 2)[:n])
                link.sendall(self.answers.get(words[0].upper(), b"+OK\r\n"))


@pytest.mark.parametrize("version", ["6.0.16", "5.0.3", "6.1.240"])
def test_redis_that_is_too_old(tmp_path, version):
    with OldRedis(version) as fake:
        for status, said in judged(f"redis://127.0.0.1:{fake.port}", tmp_path):
            assert status == 78
            assert version in said and "6.2 or later is needed" in said


def test_address_of_a_sentinel(run, server, tmp_path):
    port = free_ports()
    conf = tmp_path / "sentinel.conf"
    conf.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    run.process([REDIS_SERVER, conf, "--sentinel"])
    eventually(lambda: socket.create_connection(
        ("127.0.0.1", port), timeout=1).close() or True)
    for status, said in judged(f"redis://127.0.0.1:{port}", tmp_path):
        assert status == 78
        assert "this is a Sentinel" in said and "targets" in said


@pytest.mark.parametrize("rules,missing", [
    ("+@all -@scripting", "EVALSHA"),
    ("+@all -xadd -xreadgroup", "XADD, XREADGROUP"),
    ("+@all -subscribe", "SUBSCRIBE"),
    ("+@all resetchannels", "SUBSCRIBE"),
    ("+@all resetkeys ~other:*", "XADD"),
])
def test_user_who_may_not_do_what_is_needed(run, tmp_path, rules, missing):
    redis = run.redis(tcp=True)
    redis.client().execute_command(
        "ACL", "SETUSER", "u", "on", f">{PASSWORD}", "~*", "&*",
        *rules.split())
    uri = f"redis://u:{PASSWORD}@127.0.0.1:{redis.port}"
    for status, said in judged(uri, tmp_path, "--workers", "1", "--consume",
                               "a"):
        assert status == 78
        assert "refuses what is needed" in said and missing in said
        assert PASSWORD not in said
    assert redis.client().dbsize() == 0


def test_gateways_alone_need_less(run, tmp_path):
    redis = run.redis(tcp=True)
    redis.client().execute_command(
        "ACL", "SETUSER", "u", "on", f">{PASSWORD}", "~*", "&*", "+@all",
        "-xreadgroup")
    uri = f"redis://u:{PASSWORD}@127.0.0.1:{redis.port}"
    env = {"REDISTRIBUTE_TARGETS": uri}
    assert run_verb("check", "--data-dir", tmp_path, "--workers", "0",
                    env=env)[0] == 0


def test_policy_of_memory_is_said(run, tmp_path):
    redis = run.redis("--maxmemory-policy", "allkeys-lru")
    status, out, err = run_verb("check", "--data-dir", tmp_path,
                                env={"REDISTRIBUTE_TARGETS": redis.uri})
    assert status == 0 and "noeviction" in out + err


# --- the least ---------------------------------------------------------------

def least():
    """{user: rules} of deploy/README.md."""
    block = blocks.example("deploy/README.md", "test", "text")
    users = {}
    for line in block.replace("\\\n", " ").splitlines():
        words = line.split()
        assert words[0] == "user" and ">PASSWORD" in words, line
        users[words[1]] = [w.replace("PASSWORD", PASSWORD) for w in words[2:]]
    return users


@pytest.fixture
def guarded(run):
    """A Redis whose default user may do nothing, and what was denied."""
    redis = run.redis(tcp=True)
    admin = redis.client()
    for name, rules in least().items():
        admin.execute_command("ACL", "SETUSER", name, *rules)
    admin.acl_log_reset()

    def denied():
        return [(e["username"], e["reason"], e["object"])
                for e in admin.acl_log()]
    return redis, admin, denied


def uri_of(redis, user):
    return f"redis://{user}:{PASSWORD}@127.0.0.1:{redis.port}"


@pytest.mark.deadline(240)
def test_fleet_lives_by_the_least(run, guarded, tmp_path):
    """Each on its own user: a gateway, workers, an operator."""
    redis, admin, denied = guarded
    gate = run.daemon("--events", "ev", "--connect", "handler", "--discover",
                      "300ms", redis=uri_of(redis, "gateway"))
    team = run.daemon(
        "--consume", "in", "--consume", "room:*", "--handler",
        exec_handler("obey", "out", tmp_path / "notes"), "--max-attempts", "2",
        "--retry-delay", "50ms", "--discover", "300ms", "--lease", "1s",
        redis=uri_of(redis, "worker"), gateways=0, workers=2)
    assert run_verb("check", "--data-dir", tmp_path / "g", "--workers", "0",
                    "--events", "ev", "--connect", "handler", env={
                        "REDISTRIBUTE_TARGETS": uri_of(redis, "gateway")
                    })[0] == 0
    # Messages that succeed, fail, are retried, and become dead letters.
    n = 0
    for channel in ("in", "room:1", "room:2"):
        for order in ({}, {"do": "retry", "ms": 50, "times": 1},
                      {"do": "dead", "why": "x"}, {"do": "crash", "times": 1}):
            n += 1
            xadd(admin, channel, json=json.dumps({"n": n, **order}))
        for _ in range(30):
            n += 1
            xadd(admin, channel, json=json.dumps({"n": n}))
    def done():
        assert denied() == []
        return admin.xlen(channel_key("out")) >= 90 and \
            admin.xlen("rd:dead:workers") >= 3
    eventually(done, 30)
    # A worker that dies in the midst; its messages are taken over.
    team.kill_child("worker", 0)
    team.wait_child("worker", 0)

    def op(*args):
        status, out, err = run_verb(*args, env={
            "REDISTRIBUTE_TARGETS": uri_of(redis, "operator")})
        assert status == 0, (args, out, err, denied())
        return out

    for args in (["status"], ["top", "--once"], ["teams"], ["channels"],
                 ["pending"], ["pending", "in"], ["dead"], ["metrics"],
                 ["publish", "in", '{"n":1000}'],
                 ["publish", "in", '{"n":1001}', "--delay", "100ms"],
                 ["tail", "in", "--offset", "0", "--count", "3"],
                 ["pause", "room:*"], ["pause"], ["resume", "room:*"],
                 ["scale", "1"], ["retry", "--all", "--republish", "--yes"]):
        op(*args)
    # From now on the gateway does the housekeeping.
    assert team.stop() == 0
    # Clients: refused, as nobody answers; by POST and by an event stream, too.
    assert sse.request(gate.port, "POST", "/sse/x", b"1")[0] in (403, 503)
    eventually(lambda: http_get(gate.ops_port, "/metrics")[0] == 200)
    assert gate.stop() == 0
    open_gate = run.daemon("--maxlen", "10", "--expire", "1s", "--discover",
                           "300ms", "--replace-rules",
                           redis=uri_of(redis, "gateway"))
    client = run.client(open_gate)
    client.ok("subscribe", channel="c", offset="-5")
    for i in range(150):
        client.ok("publish", channel="c", data=i)
    client.ok("history", channel="c", limit=5)
    xadd(admin, "foreign", json="1")
    for gone in ("c", "foreign"):
        eventually(lambda name=gone: not admin.exists(channel_key(name)), 90)
    assert open_gate.stop() == 0
    op("teams", "drop", "workers", "--yes")
    assert denied() == []
