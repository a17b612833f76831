# SPDX-License-Identifier: MIT
"""Copies of the data: made while everything runs, put back, and never ignored
without a word."""
import json
import os
import re
import shutil
import signal
import stat
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest

from harness import (PROGRAMS, REDIS_SERVER, REPO, channel_key, eventually,
                     exec_handler, free_ports, tls_redis, xadd)
from harness import run as run_verb

FAILED, USAGE, UNAVAILABLE, CONFIG = 1, 64, 69, 78
PASSWORD = "pw-0123456789"


def numbers(store, channel):
    return [json.loads(f[b"json"])["n"]
            for _, f in store.xrange(channel_key(channel))]


def started(path, n):
    """How often did a handler start message n?"""
    return sum(line.split()[0] == str(n) for line in path.read_text().splitlines())


class Load(threading.Thread):
    """Publishes numbers until it is told to stop."""

    def __init__(self, store, channel, first):
        super().__init__(daemon=True)
        self.store, self.channel, self.next = store, channel, first
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            xadd(self.store, self.channel, json=json.dumps({"n": self.next}))
            self.next += 1

    def stop(self):
        self.over.set()
        self.join(10)


@pytest.fixture
def fleet(run, tmp_path):
    """Starts an embedded Redis, a gateway and a team in a directory."""
    notes = tmp_path / "notes"
    notes.touch()

    def start(data_dir, **more):
        return run.daemon(
            "--team", "t", "--consume", "work", "--consume", "room:*",
            "--handler", exec_handler("obey", "out", notes), "--lease", "1s",
            "--drain-timeout", "1s", "--discover", "300ms",
            data_dir=data_dir, workers=2, **more)
    start.notes = notes
    return start


def busy(site):
    """Dead letters, one message that is never answered, and a load."""
    store = site.embedded()
    for n in range(5):
        xadd(store, "work", json=json.dumps({"n": n, "do": "dead"}))
    xadd(store, "room:1", json=json.dumps({"n": 5, "do": "silent", "times": 1}))
    eventually(lambda: store.xlen("rd:dead:t") == 5)
    eventually(lambda: store.xpending(channel_key("room:1"), "t")["pending"])
    load = Load(site.embedded(), "work", 6)
    load.start()
    eventually(lambda: len(numbers(store, "out")) > 20)
    return store, load


@pytest.mark.deadline(120)
def test_copy_of_a_busy_fleet_goes_on_where_it_was_made(run, fleet, tmp_path):
    site = fleet(tmp_path / "one")
    store, load = busy(site)
    epoch = store.hget("rd:meta", "epoch")
    file = tmp_path / "copy.rdb"
    before = load.next
    status, out, err = run_verb("backup", file, "--data-dir", site.data_dir)
    assert status == 0 and str(file) in out, err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.glob("copy*")] == ["copy.rdb"]
    # Everything went on meanwhile.
    at = load.next
    eventually(lambda: load.next > at + 20)
    load.stop()
    assert site.stop() == 0

    status, out, err = run_verb("restore", file, "--data-dir", tmp_path / "two")
    assert status == 0, err
    again = fleet(tmp_path / "two")
    store = again.embedded()
    kept = numbers(store, "work")
    # All that was there when it was asked for, and nothing with a hole in it.
    assert kept == list(range(5)) + list(range(6, kept[-1] + 1))
    assert before - 1 <= kept[-1] < load.next
    assert store.xlen("rd:dead:t") == 5
    # What was in somebody's hands is handled, each once; leases of workers
    # that are no more hold nobody up.
    want = Counter(range(5, kept[-1] + 1))
    eventually(lambda: Counter(numbers(store, "out")) == want, 30)
    assert started(fleet.notes, 5) >= 2
    info, = store.xinfo_groups(channel_key("work"))
    assert info["name"] == b"t" and info["pending"] == 0
    # Whoever saw later messages must not take these data for those.
    assert store.hget("rd:meta", "epoch") != epoch
    assert store.hget("rd:meta", "version") is not None
    # It is persistent, and goes on.
    xadd(store, "work", json='{"n":1000000}')
    eventually(lambda: 1000000 in numbers(store, "out"))
    assert again.stop() == 0
    last = fleet(tmp_path / "two")
    assert numbers(last.embedded(), "out").count(1000000) == 1
    assert last.stop() == 0


@pytest.mark.deadline(120)
def test_restore_at_once_in_place_of_what_is_there(run, fleet, tmp_path):
    """The same node, seconds later: nobody holds its name."""
    site = fleet(tmp_path / "d")
    store, load = busy(site)
    file = tmp_path / "copy.rdb"
    assert run_verb("backup", file, "--data-dir", site.data_dir)[0] == 0
    load.stop()
    client = run.client(site)
    later = client.ok("publish", channel="work", data={"n": 2000000})
    # Not beside a supervisor.
    status, _, err = run_verb("restore", file, "--replace", "--data-dir",
                              site.data_dir)
    assert status == CONFIG and "in use" in err and "stop it" in err
    epoch = store.hget("rd:meta", "epoch").decode()
    assert site.stop() == 0
    # Not over what is there.
    status, _, err = run_verb("restore", file, "--data-dir", site.data_dir)
    assert status == FAILED and "--replace" in err
    assert run_verb("restore", file, "--replace", "--data-dir",
                    site.data_dir)[0] == 0
    again = fleet(tmp_path / "d", deadline=8)
    assert 2000000 not in numbers(again.embedded(), "work")
    # A client that was given it is told.
    client = run.client(again)
    client.ok("subscribe", channel="work", offset=later["offset"], epoch=epoch)
    assert client.gap("work")
    assert again.stop() == 0


def damaged(kind, file, tmp_path):
    data = file.read_bytes()
    other = tmp_path / kind
    other.write_bytes({"cut": data[:-20], "flipped": data[:60] +
                       bytes([data[60] ^ 0xff]) + data[61:],
                       "other": b"no snapshot\n", "empty": b""}[kind])
    return other


@pytest.mark.parametrize("kind", ["cut", "flipped", "other", "empty"])
def test_damaged_copy_changes_nothing(run, tmp_path, kind):
    site = run.daemon(data_dir=tmp_path / "d")
    xadd(site.embedded(), "a", json="1")
    file = tmp_path / "copy.rdb"
    assert run_verb("backup", file, "--data-dir", tmp_path / "d")[0] == 0
    assert site.stop() == 0
    bad = damaged(kind, file, tmp_path)
    status, _, err = run_verb("restore", bad, "--replace", "--data-dir",
                              tmp_path / "d")
    assert status == FAILED and str(bad) in err and err.count("\n") == 1
    assert not list((tmp_path / "d").glob("restore*"))
    site = run.daemon(data_dir=tmp_path / "d")
    assert site.embedded().xlen(channel_key("a")) == 1
    assert site.stop() == 0


def test_files_that_cannot_be(run, tmp_path):
    site = run.daemon(data_dir=tmp_path / "d")
    args = ("--data-dir", tmp_path / "d")
    status, _, err = run_verb("backup", tmp_path / "none/x", *args)
    assert status == FAILED and "none/x" in err
    assert run_verb("backup", *args)[0] == USAGE
    assert run_verb("restore", "a", "b", *args)[0] == USAGE
    assert site.stop() == 0
    for name in ("missing", "."):
        status, _, err = run_verb("restore", tmp_path / name, *args)
        assert status == FAILED and str(tmp_path / name) in err
    status, _, err = run_verb("backup", tmp_path / "x", *args)
    assert status == UNAVAILABLE and "no supervisor runs" in err
    assert not list(tmp_path.glob("x*"))
    status, _, err = run_verb("restore", tmp_path / "x", "--targets",
                              "redis://127.0.0.1:1")
    assert status == CONFIG and "embedded" in err


def test_interrupted_backup_leaves_the_one_of_before(run, tmp_path):
    """Of a Redis that never begins to send."""
    redis = run.redis("--repl-diskless-sync", "yes",
                      "--repl-diskless-sync-delay", "3600")
    file = tmp_path / "copy.rdb"
    file.write_text("that of before")
    verb = run.process([PROGRAMS["redistribute"],
                        "backup", file],
                       env={"REDISTRIBUTE_TARGETS": redis.uri})
    eventually(lambda: redis.client().info("replication")["connected_slaves"])
    verb.send(signal.SIGTERM)
    assert verb.wait() == FAILED
    assert file.read_text() == "that of before"
    assert [p.name for p in tmp_path.iterdir()] == ["copy.rdb"]
    eventually(lambda: not verb.left())


@pytest.mark.parametrize("how", ["unix", "tcp", "tls"])
def test_copy_of_a_redis_elsewhere(run, tmp_path, how):
    args, env = [], {}
    if how == "tls":
        args, port, cert = tls_redis(tmp_path)
        env["REDISTRIBUTE_REDIS_CA"] = str(cert)
    redis = run.redis("--repl-diskless-sync-delay", "0", *args,
                      tcp=how == "tcp", password=PASSWORD)
    env["REDISTRIBUTE_TARGETS"] = {
        "unix": redis.uri, "tcp": redis.tcp_uri if how == "tcp" else "",
        "tls": f"rediss://:{PASSWORD}@localhost:{port if how == 'tls' else 0}",
    }[how]
    xadd(redis.client(), "a", json="1")
    file = tmp_path / "copy.rdb"
    status, out, err = run_verb("backup", file, env=env)
    assert status == 0 and PASSWORD not in out + err, err
    # ... becomes the data of an embedded one.
    assert run_verb("restore", file, "--data-dir", tmp_path / "d")[0] == 0
    site = run.daemon(data_dir=tmp_path / "d")
    assert site.embedded().xlen(channel_key("a")) == 1
    assert site.stop() == 0


def test_least_that_a_user_needs_to_copy(run, tmp_path):
    """As deploy/README.md has it."""
    rules = re.search(r"^user backup (.*)$",
                      (REPO / "deploy/README.md").read_text(), re.M)[1]
    redis = run.redis("--repl-diskless-sync-delay", "0", tcp=True)
    admin = redis.client()
    admin.execute_command("ACL", "SETUSER", "backup",
                          *rules.replace("PASSWORD", PASSWORD).split())
    admin.acl_log_reset()
    env = {"REDISTRIBUTE_TARGETS":
           f"redis://backup:{PASSWORD}@127.0.0.1:{redis.port}"}
    status, _, err = run_verb("backup", tmp_path / "copy.rdb", env=env)
    assert (status, admin.acl_log()) == (0, []), err
    # Who may not is told why.
    admin.execute_command("ACL", "SETUSER", "backup", "-sync", "-psync")
    status, _, err = run_verb("backup", tmp_path / "other.rdb", env=env)
    assert status == FAILED and "SYNC" in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["copy.rdb"]


# --- what would be ignored -----------------------------------------------------

@pytest.fixture
def snapshot(run, tmp_path):
    """A dump.rdb with one message, as Redis makes it."""
    redis = run.redis()
    xadd(redis.client(), "a", json="1")
    redis.client().save()
    return shutil.copy(redis.dir / "dump.rdb", tmp_path / "dump.rdb")


def refused(data_dir):
    """What start says, and check likewise."""
    said = []
    for verb in ("start", "check"):
        status, out, err = run_verb(
            verb, "--data-dir", data_dir, "--port", free_ports(), "--ops-port",
            "0", "--redis-server", shutil.which(REDIS_SERVER))
        assert status == CONFIG, out + err
        said.append(out + err)
    assert said[0].count("\n") == 1
    assert said[0].split(":", 1)[1].strip() in said[1]
    return said[0]


@pytest.mark.parametrize("beside", ["nothing", "data"])
def test_snapshot_in_the_data_directory_is_not_ignored(run, tmp_path, snapshot,
                                                       beside):
    data = tmp_path / "d"
    if beside == "data":
        site = run.daemon(data_dir=data)
        xadd(site.embedded(), "b", json="1")
        assert site.stop() == 0
    data.mkdir(exist_ok=True)
    shutil.copy(snapshot, data / "dump.rdb")
    said = refused(data)
    command = said.split("`")[1].split()
    assert command[:2] == ["redistribute", "restore"]
    assert ("--replace" in command) == (beside == "data")
    # What it says to do helps.
    assert run_verb(*command[1:])[0] == 0
    assert not (data / "dump.rdb").exists()
    site = run.daemon(data_dir=data)
    assert site.embedded().keys("rd:ch:*") == [b"rd:ch:a"]
    assert site.stop() == 0


def test_append_only_files_that_would_be_ignored(run, tmp_path):
    data = tmp_path / "d"
    site = run.daemon(data_dir=data)
    assert site.stop() == 0
    if not (data / "appendonlydir").exists():
        pytest.skip("this Redis has one append-only file")
    (data / "appendonly.aof").write_bytes(b"x")
    assert "appendonly.aof beside appendonlydir" in refused(data)
    (data / "appendonly.aof").unlink()
    (data / "appendonlydir/appendonly.aof.manifest").unlink()
    assert "manifest" in refused(data)


def test_snapshot_that_the_server_made_by_order_is_in_nobodys_way(run, tmp_path):
    site = run.daemon(data_dir=tmp_path / "d")
    store = site.embedded()
    xadd(store, "a", json="1")
    store.bgsave()
    eventually(lambda: not store.info("persistence")["rdb_bgsave_in_progress"]
               and store.info("persistence")["rdb_saves"])
    assert site.stop() == 0
    again = run.daemon(data_dir=tmp_path / "d")
    assert again.embedded().xlen(channel_key("a")) == 1
    assert again.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="it changes the user")
def test_root_restores_for_the_user_of_the_service(snapshot):
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        data = Path(top) / "d"
        data.mkdir(mode=0o700)
        os.chown(data, 65534, 65534)
        status, _, err = run_verb("restore", snapshot, "--data-dir", data)
        assert status == 0, err
        for path in data.iterdir():
            assert path.stat().st_uid == 65534, path
        mode = (data / "appendonly.aof").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
