# SPDX-License-Identifier: MIT
"""`redistribute`: what it refuses and how it says so, what it does when
children die, the signals, the stop, the verbs, the ops port."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import harness
from harness import (PROGRAMS, REDIS_SERVER, FakeRedis, alive, certificate,
                     channel_key, command_of, eventually, free_ports, holds,
                     parent_of, tls_redis, xadd)
from harness import run as run_verb
from peer import Client, Peer, Refused

USAGE, UNAVAILABLE, CONFIG = 64, 69, 78


# --- what is refused ---------------------------------------------------------

def refused(run, *flags, redis=None, **more):
    """Starts what must not start: (status, the sentence)."""
    site = run.daemon(*flags, redis=redis, wait=False, **more)
    status = site.wait(20)
    assert not site.left(), "something was left behind"
    site.log.thread.join(5)
    # What is not of the log, or an error in it; a warning is another matter.
    lines = [e for e in site.log.find()
             if e.level not in ("info", "warn") and e.line]
    text = "\n".join(e.line for e in lines)
    assert len(lines) == 1, f"not one sentence:\n{site.transcript()}"
    assert not site.log.find("child.start", role="gateway"), "a gateway was started"
    assert not site.log.find("child.start", role="worker"), "a worker was started"
    return status, text


@pytest.mark.parametrize("flags,named", [
    (["--no-such-flag"], "no-such-flag"),
    (["--workers"], "workers"),
    (["--workers", "many"], "workers"),
    (["--workers", "-1"], "workers"),
    (["--workers", "100000"], "workers"),
    (["--port", "0"], "port"),
    (["--port", "99999"], "port"),
    (["--lease", "5 parsecs"], "lease"),
    (["--lease", "1ms"], "lease"),
    (["--max-message", "1x"], "max-message"),
    (["--log-level", "loud"], "log-level"),
    (["surplus"], "surplus"),
])
def test_bad_flag_is_a_usage_error(run, server, flags, named):
    status, text = refused(run, *flags, redis=server)
    assert status == USAGE and named in text


@pytest.mark.parametrize("flags,named", [
    (["--prefix", "a b"], "prefix"),
    (["--team", ""], "team"),
    (["--consume", "a\nb"], "consume"),
    (["--cert", "/does/not/exist"], "key"),
    (["--origin", "nonsense"], "origin"),
    (["--server-name", "https://a.example"], "server-name"),
    (["--pages", "/does/not/exist"], "pages"),
    (["--host", "0.0.0.0"], "insecure"),
    (["--ops-host", "0.0.0.0"], "ops-token-file"),
    (["--config", "/does/not/exist"], "/does/not/exist"),
    (["--retry-delay", "2h"], "retry-"),
])
def test_setting_that_cannot_be_is_a_configuration_error(run, server, flags, named):
    status, text = refused(run, *flags, redis=server)
    assert status in (CONFIG, USAGE) and named in text


def test_bad_certificates_are_refused_before_anything_starts(run, server, tmp_path):
    cert, key = certificate(tmp_path)
    _, other = certificate(tmp_path, "other")
    junk = tmp_path / "junk"
    junk.write_text("this is no certificate\n")
    for a, b, named in ((junk, key, "junk"), (cert, junk, "junk"),
                        (cert, other, "other"), ("/does/not/exist", key, "exist"),
                        (cert, "/does/not/exist", "exist")):
        status, text = refused(run, "--cert", a, "--key", b, redis=server)
        assert status == CONFIG and named in text


def test_bad_certificate_is_refused_with_the_embedded_redis_too(run, tmp_path):
    junk = tmp_path / "junk"
    junk.write_text("x")
    status, text = refused(run, "--cert", junk, "--key", junk)
    assert status == CONFIG and "junk" in text


@pytest.mark.parametrize("what", ["port", "ops-port"])
def test_port_in_use_is_said(run, server, what):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        status, text = refused(run, f"--{what}", port, redis=server)
    assert status == CONFIG and str(port) in text and "taken" in text


def test_address_that_is_not_ours_is_said(run, server, tmp_path):
    status, text = refused(run, "--host", "192.0.2.1", "--insecure", redis=server)
    assert status == CONFIG and "192.0.2.1" in text


def test_data_directory_in_use_is_said(run):
    first = run.daemon(gateways=0)
    status, text = refused(run, data_dir=first.data_dir)
    assert status == CONFIG and str(first.data_dir) in text
    assert first.stop() == 0
    # And free when the first has gone.
    assert run.daemon(gateways=0, data_dir=first.data_dir).stop() == 0


def test_data_directory_that_cannot_be_is_said(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, text = refused(run, data_dir=tmp_path / "file" / "sub")
    assert status == CONFIG and "file" in text


@pytest.mark.parametrize("answer,named", [
    (b"-ERR this is not the server you want\r\n", "not the server you want"),
    (b"-NOAUTH Authentication required.\r\n", "uth"),
    (b"-LOADING Redis is loading the dataset in memory\r\n", None),
    (b"+WHAT\r\n", None),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
])
def test_redis_that_answers_with_an_error_is_said(run, answer, named):
    with FakeRedis(answer) as fake:
        status, text = refused(run, redis=f"redis://127.0.0.1:{fake.port}")
    assert status == UNAVAILABLE or (status == CONFIG and b"AUTH" in answer)
    assert str(fake.port) in text
    assert named is None or named in text


def test_unreachable_redis_is_said(run, tmp_path):
    port = free_ports()
    status, text = refused(run, redis=f"redis://127.0.0.1:{port}")
    assert status == UNAVAILABLE and str(port) in text
    status, text = refused(run, redis=f"unix://{tmp_path}/no-socket")
    assert status == UNAVAILABLE and "no-socket" in text


def test_wrong_password_is_said_and_never_shown(run):
    server = run.redis(password="right-secret")
    status, text = refused(run, redis=f"unix://{server.path}?password=wrong-secret")
    assert status in (UNAVAILABLE, CONFIG) and "password" in text.lower()
    assert "wrong-secret" not in text
    status, text = refused(run, redis=f"unix://{server.path}")
    assert status in (UNAVAILABLE, CONFIG)
    site = run.daemon(redis=server)
    assert run.client(site).ok("ping")
    assert "right-secret" not in site.transcript()
    for pid in site.left():
        assert "right-secret" not in command_of(pid)


def test_data_of_another_layout_is_refused(run):
    server = run.redis()
    server.client().hset("rd:meta", mapping={"version": "99", "slots": "256",
                                             "epoch": "0" * 16})
    status, text = refused(run, redis=server)
    assert status == CONFIG and "99" in text


def test_bad_handler_is_said(run, server):
    status, text = refused(run, "--handler", "nonsense", "--consume", "a",
                           redis=server, workers=1)
    assert status == CONFIG and "nonsense" in text


def test_program_of_the_embedded_redis_that_is_missing_is_said(run):
    status, text = refused(run, "--redis-server", "/does/not/exist")
    assert status == CONFIG and "/does/not/exist" in text


# --- what is started ---------------------------------------------------------

def test_start_without_targets_runs_a_redis_that_keeps(run):
    site = run.daemon(workers=2)
    assert len(site.children("redis")) == 1
    assert len(site.children("gateway")) == 1
    assert len(site.children("worker")) == 2
    for role in ("redis", "gateway", "worker"):
        assert all(parent_of(p) == site.pid for p in site.children(role).values())
    store = site.embedded()
    assert store.config_get("appendonly") == {"appendonly": "yes"}
    assert store.config_get("appendfsync") == {"appendfsync": "always"}
    assert store.config_get("port") == {"port": "0"}
    store.close()
    with Client(site.port) as c:
        offset = c.ok("publish", channel="a", data=1)["offset"]
    assert site.stop() == 0
    again = run.daemon(data_dir=site.data_dir)
    client = run.client(again)
    client.ok("subscribe", channel="a", offset="0")
    assert client.messages("a", 1) == [[offset, None, 1]]


def test_data_directory_is_private(run, tmp_path):
    site = run.daemon(gateways=0, data_dir=tmp_path / "made")
    assert site.data_dir.stat().st_mode & 0o777 == 0o700
    assert site.stop() == 0


def test_gateways_alone_workers_alone_and_nothing(run, server):
    site = run.daemon(redis=server, workers=0)
    assert not site.children("worker") and site.children("gateway")
    site = run.daemon(redis=server, workers=2, gateways=0)
    assert not site.children("gateway")
    assert len(site.children("worker")) == 2
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", site.port), 1).close()
    assert site.stop() == 0


def test_ready_means_ready(run, server):
    """The line comes when all children have said so, and the port answers."""
    site = run.daemon(redis=server, gateways=2, workers=2, wait=False)
    site.wait_event("ready", speaker=site.pid)
    ready = site.log.find("child.ready")
    assert len(ready) == 4
    with Peer(site.port, "/ws/a"):
        pass


def test_settings_come_from_file_environment_and_flags(run, server, tmp_path):
    port = free_ports(2)
    conf = tmp_path / "rd.conf"
    conf.write_text("# a comment\nmax-message = 1000\nmax-subscriptions = 7\n"
                    "ping-interval = 5s\n")
    site = run.daemon("--config", conf, "--ping-interval", "7s", redis=server,
                      env={"REDISTRIBUTE_MAX_SUBSCRIPTIONS": "8"}, port=port)
    welcome = run.client(site).welcome
    assert welcome["limits"] == {"message": 1000, "subscriptions": 8}
    assert welcome["ping"] == 7000


def test_log_lines_are_json_where_asked_for(run, server):
    site = run.daemon("--log-format", "json", redis=server)
    for e in site.log.find():
        assert e.line.startswith("{"), e.line
        assert {"time", "level", "role", "pid", "event"} <= set(json.loads(e.line))


def test_nothing_that_clients_send_forges_a_log_line(run, server):
    site = run.daemon("--log-level", "debug", redis=server)
    evil = 'x%0aevent=ready%20pid=1'
    with Peer(site.port, f"/{evil}"):
        pass
    for path in (f"/ws/{evil}", "/ws/a?offset=%0aevent=forged"):
        with pytest.raises(Refused):
            Peer(site.port, path)
    with Peer(site.port, "/", headers=["User-Agent: a event=forged"]):
        pass
    with Client(site.port) as c:
        c.put({"id": 1, "do": "subscribe", "channel": "a\nevent=forged x=1"})
        c.reply(1)
    for e in site.log.find():
        assert e.get("event") != "forged" and "\x1b" not in e.line
        assert not e.line.startswith("event=")


# --- deaths ------------------------------------------------------------------

@pytest.mark.parametrize("role", ["gateway", "worker", "redis"])
def test_killed_child_is_restarted_with_an_obituary(run, role):
    site = run.daemon(workers=1)
    others = {r: site.child(r) for r in ("gateway", "worker", "redis") if r != role}
    old = site.kill_child(role)
    obituary = site.wait_event("child.exit", role=role, pid=old)
    assert obituary["signal"] == "SIGKILL" and "age" in obituary
    assert obituary["index"] == "0"
    new = site.wait_child(role, other_than=old)
    assert new != old
    for r, pid in others.items():
        assert alive(pid), f"the {r} died with it"
    client = eventually(lambda: Client(site.port), what="no gateway")
    run.add(client)
    eventually(lambda: client.ok("publish", channel="a", data=1))


def test_child_that_dies_again_and_again_is_restarted_slower(run, server):
    site = run.daemon(redis=server)
    waits = []
    old = site.child("gateway")
    for _ in range(4):
        since = site.log.position()
        harness.kill(old)
        e = site.log.wait("child.backoff", since=since, role="gateway")
        waits.append(int(e["wait_ms"]))
        old = site.wait_child("gateway", other_than=old)
    for first, second in zip(waits, waits[1:]):
        assert second > first
    assert waits[-1] < 5000


def test_worker_whose_settings_are_wrong_is_not_restarted_for_ever(run, server):
    """Not only a handler that is not known: one that says so later."""
    site = run.daemon("--handler", "statistic:nonsense=1", "--consume", "a",
                      redis=server, workers=1, wait=False)
    eventually(lambda: site.popen.poll() is not None or
               site.log.find("child.parked"), 20)
    assert len(site.log.find("child.start", role="worker")) <= 1


def test_supervisor_killed_leaves_nothing_behind(run):
    site = run.daemon("--handler", harness.exec_handler("echo", "b"),
                      "--consume", "a", workers=2, gateways=2)
    run.client(site).ok("publish", channel="a", data=1)
    eventually(lambda: any("handler.py" in c for c in site.left().values()))
    site.send(signal.SIGKILL)
    site.wait()
    eventually(lambda: not site.left(), 10, "left behind by a dead supervisor")
    # Its data are whole, and can be used at once.
    again = run.daemon(data_dir=site.data_dir)
    client = run.client(again)
    client.ok("subscribe", channel="a", offset="0")
    assert client.messages("a", 1)[0][2] == 1


# --- signals -----------------------------------------------------------------

def test_ttin_and_ttou_scale_the_team(run, server, tmp_path):
    site = run.daemon("--consume", "scaled", redis=server, workers=1)

    def count(n):
        eventually(lambda: len(site.children("worker")) == n and
                   len(survivors_of(site, "redistribute-worker")) == n,
                   what=f"{n} workers")
    site.send(signal.SIGTTIN)
    count(2)
    site.send(signal.SIGTTIN)
    site.wait_child("worker", 1)
    count(3)
    site.send(signal.SIGTTOU)
    count(2)
    site.send(signal.SIGTTOU)
    count(1)
    site.send(signal.SIGTTOU)
    count(0)
    site.send(signal.SIGTTOU)
    holds(lambda: not site.children("worker"), 0.3)
    site.send(signal.SIGTTIN)
    count(1)
    assert site.stop() == 0


def survivors_of(site, program):
    return [p for p, c in site.left().items() if program in c.split()[0]]


def test_hup_reloads_file_and_certificate(run, server, tmp_path):
    import ssl
    cert, key = certificate(tmp_path)
    conf = tmp_path / "rd.conf"
    conf.write_text("max-subscriptions = 7\n")
    site = run.daemon("--config", conf, "--cert", cert, "--key", key, redis=server,
                      workers=1)

    def look():
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        with Client(site.port, tls=tls) as c:
            return (c.sock.getpeercert(binary_form=True),
                    c.welcome["limits"]["subscriptions"])

    before, limit = look()
    assert limit == 7
    worker = site.child("worker")
    certificate(tmp_path)
    conf.write_text("max-subscriptions = 9\n")
    site.send(signal.SIGHUP)
    eventually(lambda: look()[1] == 9, 20, "the new limit")
    eventually(lambda: look()[0] != before, 20, "the new certificate")
    assert alive(site.child("worker")) and worker
    # A mistake in the file is said, and changes nothing.
    conf.write_text("max-subscriptions = lots\n")
    since = site.log.position()
    site.send(signal.SIGHUP)
    eventually(lambda: any("max-subscriptions" in e.line and e.level != "info"
                           for e in site.log.find(since=since)))
    assert eventually(look)[1] == 9
    assert site.popen.poll() is None
    assert site.stop() == 0


def test_usr2_replaces_the_children_one_by_one(run, server):
    site = run.daemon(redis=server, gateways=2, workers=2)
    before = {**{("g", i): p for i, p in site.children("gateway").items()},
              **{("w", i): p for i, p in site.children("worker").items()}}
    site.send(signal.SIGUSR2)
    seen = []

    def replaced():
        seen.append(len(site.children("gateway")))
        return all(site.wait_child("gateway", i, before["g", i]) and
                   site.wait_child("worker", i, before["w", i]) for i in (0, 1))
    eventually(replaced, 30)
    exits = site.log.find("child.exit")
    assert {int(e["pid"]) for e in exits} == set(before.values())
    assert min(seen) >= 1
    assert run.client(site).ok("ping")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stop_ends_all_and_the_embedded_redis_last(run, sig):
    site = run.daemon(workers=2, gateways=2)
    client = run.client(site)
    client.ok("publish", channel="a", data=1)
    client.kill()
    begin = time.monotonic()
    assert site.stop(sig=sig) == 0
    assert time.monotonic() - begin < 5
    exits = site.log.find("child.exit")
    assert len(exits) == 5
    assert exits[-1]["role"] == "redis"
    assert all(e.get("status") == "0" for e in exits), \
        [e.line for e in exits if e.get("status") != "0"]


def test_second_signal_hurries(run, server, tmp_path):
    (tmp_path / "n").touch()
    site = run.daemon("--consume", "hang", "--drain-timeout", "60s", "--handler",
                      harness.exec_handler("obey", "out", tmp_path / "n"),
                      redis=server, workers=1)
    xadd(server.client(), "hang", json='{"n":1,"do":"hang"}')
    eventually(lambda: (tmp_path / "n").read_text())
    site.send(signal.SIGTERM)
    holds(lambda: site.popen.poll() is None, 1, "it did not wait for the handler")
    site.send(signal.SIGTERM)
    site.wait(10)
    eventually(lambda: not site.left(), 2)


def test_stop_while_starting(run, server):
    for pause in (0, 0.01, 0.03, 0.1):
        site = run.daemon(redis=server, workers=1, wait=False)
        holds(lambda: True, pause)
        site.stop()


def test_stop_while_redis_is_away(run):
    server = run.redis()
    site = run.daemon(redis=server, workers=1)
    run.client(site)
    server.crash()
    begin = time.monotonic()
    site.stop()
    assert time.monotonic() - begin < 12


# --- the ops port ------------------------------------------------------------

METRIC = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})? '
                    r'[-+]?([0-9.]+([eE][-+]?[0-9]+)?|Inf|NaN)$')


def metrics(site, index=0):
    status, body = site.http("/metrics", index)
    assert status == 200
    found = {}
    for line in body.splitlines():
        if line and not line.startswith("#"):
            assert METRIC.match(line), line
            name, value = line.rsplit(" ", 1)
            assert name not in found, f"{name} stands twice"
            found[name] = float(value)
    return found, body


def test_health_and_readiness(site):
    assert site.http("/healthz")[0] == 200
    assert site.http("/readyz")[0] == 200
    assert site.http("/nothing")[0] == 404


def test_metrics_are_prometheus_text_and_count(run, server, channel):
    site = run.daemon(redis=server)
    before, text = metrics(site)
    assert "# TYPE " in text and "# HELP " in text
    clients = [run.client(site) for _ in range(3)]
    for c in clients:
        c.ok("subscribe", channel=channel)
    for i in range(5):
        clients[0].ok("publish", channel=channel, data=i)
    for c in clients:
        c.messages(channel, 5)
    after, _ = metrics(site)
    assert set(before) <= set(after)
    grown = {k: after[k] - before[k] for k in before if after[k] != before[k]}
    assert 3 in grown.values(), f"nothing counts 3 clients: {grown}"
    assert 15 in grown.values(), f"nothing counts 15 deliveries: {grown}"
    assert 5 in grown.values(), f"nothing counts 5 publishes: {grown}"
    for c in clients:
        c.kill()
    eventually(lambda: not any(
        v == 3 and "connections" in k and "total" not in k
        for k, v in metrics(site)[0].items()))
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "metrics"], input=text.encode(),
                       check=True)


def test_ops_port_can_be_off(run, server):
    site = run.daemon("--ops-port", "0", redis=server)
    with pytest.raises(OSError):
        site.http("/healthz")


# --- the verbs ---------------------------------------------------------------

def verb(server, *args, **more):
    return run_verb(*args, env={"REDISTRIBUTE_TARGETS": server.uri}, **more)


def test_version(server):
    for args in (["version"], ["--version"]):
        status, out, err = run_verb(*args)
        assert status == 0 and re.search(r"\b\d+\.\d+\.\d+\b", out), err
    status, out, _ = run_verb("version", "--json")
    assert status == 0 and re.match(r"\d+\.\d+\.\d+", json.loads(out)["version"])


def test_help_names_every_verb_and_every_flag():
    status, out, _ = run_verb("--help")
    assert status == 0
    verbs = re.findall(r'^\s+\{"(\w+)", ',
                       (harness.REPO / "src/main.c").read_text(), re.M)
    assert len(verbs) > 15
    manual = (harness.REPO / "deploy/redistribute.8").read_text()
    for word in verbs:
        assert re.search(rf"^  {word} ", out, re.M), word
        assert re.search(rf"^\.BR? .*\b{word}\b", manual, re.M), word
        status, about, _ = run_verb("help", word)
        assert status == 0, word
        own = about.partition("\nFlags:\n")[2].partition("\nSettings")[0]
        for flag in re.findall(r"^  (-[\w-]+)", own, re.M):
            assert flag.replace("-", "\\-") in manual, (word, flag)
    status, out, _ = run_verb("start", "--help")
    assert status == 0
    names = re.findall(
        r'^(?:STR|INT|TIME|SIZE|BOOL|ENUM|LIST)\s*\(\w+,\s*"([\w-]+)"',
        (harness.REPO / "src/options.def").read_text(), re.M)
    assert len(names) > 30
    for name in names:
        assert f"--{name}" in out
    for program in ("gateway", "worker"):
        status, out, _ = run_verb("--help", program=program)
        assert status == 0 and "--targets" in out


@pytest.mark.parametrize("args", [[], ["dance"], ["publish"], ["tail"],
                                  ["status", "--bogus"], ["tail", "a", "b"],
                                  ["status", "surplus"],
                                  ["version", "surplus"]])
def test_wrong_use_of_a_verb_is_said(server, args):
    status, out, err = verb(server, *args, stdin=b"")
    assert status == USAGE
    assert err.strip() and not out


def test_publish_prints_the_offset(server, store, channel):
    key = channel_key(channel)
    status, out, err = verb(server, "publish", channel, '{"a":1}')
    assert status == 0, err
    assert out.strip() == store.xrange(key)[-1][0].decode()
    assert store.xrange(key)[-1][1] == {b"json": b'{"a":1}'}
    status, out, err = verb(server, "publish", channel, "plain words",
                            "--type", "T")
    assert status == 0, err
    assert store.xrange(key)[-1][1] == {b"type": b"T", b"text": b"plain words"}
    for flags, data, field in ((["--text"], "5", b"text"), (["--bin"], "5", b"bin"),
                               (["--json"], "5", b"json"), ([], "5", b"json")):
        status, out, err = verb(server, "publish", *flags, channel, data)
        assert status == 0, err
        assert store.xrange(key)[-1][1] == {field: data.encode()}
    status, _, err = verb(server, "publish", "--json", channel, "no json")
    assert status != 0 and err.strip()
    # From stdin: as it is, or line by line.
    status, out, err = verb(server, "publish", channel, stdin=b"\xff\0bytes\n")
    assert status == 0, err
    assert store.xrange(key)[-1][1] == {b"bin": b"\xff\0bytes\n"}
    status, out, err = verb(server, "publish", "--lines", channel,
                            stdin=b"one\n{}\nthree\n")
    assert status == 0, err
    assert [f for _, f in store.xrange(key)[-3:]] == [
        {b"text": b"one"}, {b"json": b"{}"}, {b"text": b"three"}]
    assert out.split() == [i.decode() for i, _ in store.xrange(key)[-3:]]
    status, _, err = verb(server, "publish", "", "x")
    assert status == USAGE and err.strip()


def test_tail_follows_a_channel(run, server, store, channel):
    for i in range(3):
        xadd(store, channel, json=str(i))
    p = run.process([PROGRAMS["redistribute"], "tail", channel, "--offset", "0",
                     "--json"],
                    env={"REDISTRIBUTE_TARGETS": server.uri},
                    stdout=subprocess.PIPE)
    for i in range(3):
        line = json.loads(p.popen.stdout.readline())
        assert line["data"] == i and "-" in line["offset"]
    xadd(store, channel, type="T", json='{"live":true}')
    line = json.loads(p.popen.stdout.readline())
    assert (line["type"], line["data"]) == ("T", {"live": True})
    p.send(signal.SIGINT)
    assert p.wait(5) in (0, -signal.SIGINT, 130)
    p.popen.stdout.close()


def test_tail_of_everything_prints_what_is_readable(run, server, store, channel):
    xadd(store, channel, text="words \x1b[31m and controls\n")
    xadd(store, channel, bin=b"\xff\0")
    p = run.process([PROGRAMS["redistribute"], "tail", channel, "--offset", "0"],
                    env={"REDISTRIBUTE_TARGETS": server.uri},
                    stdout=subprocess.PIPE)
    first = p.popen.stdout.readline()
    assert b"words" in first and b"\x1b" not in first
    assert p.popen.stdout.readline().strip()
    p.send(signal.SIGTERM)
    p.wait(5)
    p.popen.stdout.close()


def test_check_says_what_is_good_and_what_is_not(server, tmp_path):
    status, out, err = verb(server, "check", "--data-dir", tmp_path)
    assert status == 0, out + err
    status, out, err = run_verb(
        "check", "--data-dir", tmp_path,
        env={"REDISTRIBUTE_TARGETS": f"redis://127.0.0.1:{free_ports()}"})
    assert status == UNAVAILABLE and out + err
    status, out, err = verb(server, "check", "--cert", "/does/not/exist", "--key",
                            "/does/not/exist", "--data-dir", tmp_path)
    assert status == CONFIG and "/does/not/exist" in out + err
    status, out, _ = verb(server, "check", "--json", "--data-dir", tmp_path)
    assert status == 0 and json.loads(out)


@pytest.mark.parametrize("flags, verdict, named", [
    (["--rule", "room:* subscribe=handler"], "warn", "no team of this"),
    (["--connect", "handler", "--consume", "audit"], "warn", "no team of this"),
    (["--connect", "handler", "--consume", "asked", "--handler", "exec:true"],
     "ok", "team workers"),
    (["--connect", "handler", "--consume", "as*", "--handler", "exec:true"],
     "ok", "team workers"),
    (["--connect", "handler", "--gateways", "0"], None, None),
])
def test_handlers_that_nobody_runs_are_warned_of(run, server, tmp_path, flags,
                                                 verdict, named):
    status, out, err = verb(server, "check", "--json", "--data-dir", tmp_path,
                            "--events", "asked", *flags)
    assert status == 0, out + err
    found = [c for c in json.loads(out)["checks"] if c["check"] == "events"]
    assert [c["verdict"] for c in found] == ([verdict] if verdict else [])
    assert not verdict or ("asked" in found[0]["text"] and
                           named in found[0]["text"])
    if verdict == "warn":
        site = run.daemon("--events", "asked", *flags, redis=server)
        said = site.log.find("preflight", what="events")
        assert len(said) == 1 and named in said[0]["why"]


def test_check_never_shows_a_password(run, tmp_path):
    server = run.redis(password="right-secret")
    status, out, err = verb(server, "check", "--data-dir", tmp_path)
    assert status == 0, err
    assert "right-secret" not in out + err
    for more in (["--json"], []):
        _, out, err = verb(server, "status", *more)
        assert "right-secret" not in out + err


def test_status_tells_who_is_there(run):
    server = run.redis()
    site = run.daemon("--team", "readers", "--consume", "a", redis=server,
                      gateways=2, workers=2)

    def complete():
        status, out, err = verb(server, "status", "--json")
        assert status == 0, err
        return out if {site.pid, *site.children("gateway").values(),
                       *site.children("worker").values()} <= set(
                           find_numbers(json.loads(out))) else None
    eventually(complete, what="not all processes in `status --json`")
    status, out, err = verb(server, "status")
    assert status == 0, err
    assert "gateway" in out and "worker" in out and "readers" in out
    assert site.stop() == 0
    # Those who have left say so.
    def gone():
        out = verb(server, "status", "--json")[1]
        return site.pid not in set(find_numbers(json.loads(out)))
    eventually(gone)


def find_numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            yield from find_numbers(v)
    elif isinstance(value, int):
        yield value
    elif isinstance(value, str) and value.isdigit():
        yield int(value)


@pytest.mark.parametrize("args", [["status"], ["publish", "a", "1"],
                                  ["tail", "a"], ["check"]])
def test_verbs_say_when_redis_is_away(args):
    port = free_ports()
    status, out, err = run_verb(
        *args, env={"REDISTRIBUTE_TARGETS": f"redis://127.0.0.1:{port}"})
    assert status == UNAVAILABLE and str(port) in out + err


def test_verbs_reach_the_embedded_redis(run):
    """By the data directory alone."""
    site = run.daemon()
    status, out, err = run_verb("publish", "a", "1", "--data-dir", site.data_dir)
    assert status == 0, err

    def seen():
        status, out, err = run_verb("status", "--data-dir", site.data_dir)
        assert status == 0, err
        return "gateway" in out
    eventually(seen)


def test_titles_tell_processes_apart(run, server):
    site = run.daemon(redis=server, gateways=2, workers=1)
    titles = [c for c in site.left().values()]
    assert sum("gateway" in t for t in titles) >= 2
    assert sum("worker" in t for t in titles) >= 1


def test_systemd_is_told(run, server, tmp_path):
    """READY=1 when ready, STOPPING=1 when told to stop, by sd_notify."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(10)
        site = run.daemon(redis=server, env={"NOTIFY_SOCKET": str(path)})

        def hear(word):
            while True:
                lines = s.recv(4096).decode().splitlines()
                if word in lines:
                    return lines
        hear("READY=1")
        site.send(signal.SIGTERM)
        hear("STOPPING=1")
        assert site.wait() == 0


def test_redis_of_a_password_with_strange_letters(run):
    from urllib.parse import quote
    server = run.redis(password="p@ss:w/rd%?#&=", tcp=True)
    word = quote(server.password, safe="")
    for uri in (f"unix://{server.path}?password={word}",
                f"redis://:{word}@127.0.0.1:{server.port}/2"):
        site = run.daemon(redis=uri)
        with Client(site.port) as c:
            assert c.ok("publish", channel="a", data=1)
        assert site.stop() == 0


def test_targets_by_tcp_host_name_and_database(run):
    server = run.redis(tcp=True)
    for uri in (f"redis://127.0.0.1:{server.port}",
                f"redis://localhost:{server.port}/3", f"localhost:{server.port}"):
        site = run.daemon(redis=uri)
        with Client(site.port) as c:
            assert c.ok("publish", channel="a", data=1)
        assert site.stop() == 0
    assert server.client(db=3).xlen(channel_key("a")) == 1
    assert server.client().xlen(channel_key("a")) == 2


def test_redis_by_tls(run, tmp_path):
    flags, port, cert = tls_redis(tmp_path)
    server = run.redis(*flags)
    site = run.daemon("--redis-ca", cert, redis=f"rediss://localhost:{port}")
    assert run.client(site).ok("publish", channel="a", data=1)
    assert server.client().xlen(channel_key("a")) == 1
    status, text = refused(run, redis=f"rediss://localhost:{port}")
    assert status == UNAVAILABLE and "certificate" in text.lower()


def test_embedded_redis_may_be_named(run):
    site = run.daemon("--redis-server", shutil.which(REDIS_SERVER),
                      "--redis-fsync", "everysec")
    store = site.embedded()
    assert store.config_get("appendfsync") == {"appendfsync": "everysec"}
    store.close()
    assert os.path.exists(site.data_dir)
