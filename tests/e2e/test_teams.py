# SPDX-License-Identifier: MIT
"""What the workers of a team must agree on, and who is refused."""
import json

import pytest

from harness import PROGRAMS, eventually, exec_handler, holds, xadd
from harness import run as run_verb

CONF = "rd:conf:audit"
SENTENCE = ("team audit consumes a, b (shared) in Redis, but a, c are "
            "configured here; start with --replace-team to change it")


@pytest.fixture
def agreed(store):
    """Somebody came first: a and b, shared."""
    store.delete(CONF, "rd:team:audit")
    store.hset(CONF, mapping={"consume": "a\nb", "mode": "shared"})
    yield store
    store.delete(CONF)


def flags(server, tmp_path, *names):
    words = ["--targets", server.uri, "--data-dir", tmp_path, "--team",
             "audit", "--gateways", 0]
    for name in names:
        words += ["--consume", name]
    return words


def check(*args):
    """(status, the finding about the team) of `redistribute check`."""
    status, out, _ = run_verb("check", "--json", *args)
    found = [c for c in json.loads(out)["checks"] if c["check"] == "team"]
    assert len(found) <= 1
    return status, found[0] if found else None


def test_a_start_that_disagrees_with_its_team_is_refused(
        agreed, server, tmp_path):
    before = agreed.hgetall(CONF)
    status, _, err = run_verb("start", *flags(server, tmp_path, "c", "a"))
    assert status == 78
    assert SENTENCE in err
    # Nothing was started, and nothing changed.
    assert "child.start" not in err
    assert agreed.hgetall(CONF) == before


def test_check_says_what_start_would_say(agreed, server, tmp_path):
    before = agreed.hgetall(CONF)
    status, finding = check(*flags(server, tmp_path, "a", "c"))
    assert (status, finding["verdict"]) == (78, "bad")
    assert finding["text"] == SENTENCE
    status, finding = check("--ordered", *flags(server, tmp_path, "a", "b"))
    assert (status, finding["verdict"]) == (78, "bad")
    assert "a, b (shared) in Redis, but a, b (ordered)" in finding["text"]
    status, finding = check("--replace-team",
                            *flags(server, tmp_path, "a", "c"))
    assert (status, finding["verdict"]) == (0, "ok")
    assert "replaced by a, c" in finding["text"]
    status, finding = check(*flags(server, tmp_path, "b", "a"))
    assert (status, finding["verdict"]) == (0, "ok")
    assert agreed.hgetall(CONF) == before


def test_check_of_a_new_team_writes_nothing(store, server, tmp_path):
    store.delete(CONF)
    status, finding = check(*flags(server, tmp_path, "a", "room:*"))
    assert (status, finding["verdict"]) == (0, "ok")
    assert finding["text"] == ("team audit is new, and consumes a, room:* "
                               "(shared)")
    assert not store.exists(CONF)


def test_who_consumes_nothing_agrees_with_everything(
        agreed, server, tmp_path):
    assert check(*flags(server, tmp_path)) == (0, None)
    # Without workers nobody joins the team.
    assert check("--workers", 0,
                 *flags(server, tmp_path, "z")) == (0, None)


def test_each_team_of_a_file_is_asked(agreed, server, tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("consume = x\nteam = other\n"
                    "[team audit]\nconsume = c\nconsume = a\n")
    words = ["--config", conf, "--targets", server.uri, "--data-dir",
             tmp_path, "--gateways", 0]
    status, out, _ = run_verb("check", "--json", *words)
    assert status == 78
    assert [(c["verdict"], c["text"]) for c in json.loads(out)["checks"]
            if c["check"] == "team"] == [
        ("ok", "team other is new, and consumes x (shared)"),
        ("bad", SENTENCE)]
    status, _, err = run_verb("start", *words)
    assert status == 78 and SENTENCE in err


def test_a_worker_that_disagrees_refuses_by_itself(agreed, server, tmp_path):
    """As behind an embedded Redis, which nobody can ask before the start."""
    status, _, err = run_verb(*flags(server, tmp_path, "a", "c"),
                              program="worker")
    assert status == 78
    assert SENTENCE in err
    assert not agreed.exists("rd:ch:c")


def test_a_worker_replaces_what_its_team_consumes_when_told_to(
        run, agreed, server, tmp_path):
    worker = run.process([PROGRAMS["worker"], *flags(
        server, tmp_path, "room:*", "c"), "--replace-team", "--ordered"])
    told = worker.wait_event("team.replaced", team="audit")
    assert (told["was"], told["was_mode"]) == ("a, b", "shared")
    assert (told["is"], told["is_mode"]) == ("c, room:*", "ordered")
    assert agreed.hgetall(CONF) == {b"consume": b"c\nroom:*",
                                    b"mode": b"ordered"}
    # It is one of the team, and the team one of those that are known.
    eventually(lambda: agreed.zscore("rd:teams", "audit"))
    assert worker.stop() == 0


# --- what is replaced while workers run ----------------------------------------

def members(store):
    return {m for m in store.zrange("rd:team:audit", 0, -1)
            if not m.startswith(b"=")}


def worker(run, server, directory, *words):
    """A member of the team, on a machine of its own."""
    directory.mkdir(exist_ok=True)
    return run.process([PROGRAMS["worker"], *flags(server, directory),
                        *words])


def test_a_running_worker_hears_that_its_team_was_replaced(
        run, agreed, server, tmp_path):
    notes = tmp_path / "notes"
    notes.touch()
    old = worker(run, server, tmp_path / "1", "--consume", "b", "--consume",
                 "a", "--handler", exec_handler("obey", "replaced", notes))
    eventually(lambda: len(members(agreed)) == 1)
    xadd(agreed, "a", json='{"n": 1, "do": "slow", "seconds": 1.5}')
    eventually(notes.read_text)
    new = worker(run, server, tmp_path / "2", "--consume", "c",
                 "--replace-team")
    new.wait_event("team.replaced", team="audit")
    said = old.wait_event("worker.meta", 1, level="error")
    assert said["error"] == (
        "team audit consumes c (shared) in Redis, but a, b are configured "
        "here; start with --replace-team to change it")
    # It takes nothing more, and finishes what it has in hand.
    xadd(agreed, "a", json='{"n": 2}')
    assert old.wait() == 78
    assert [f[b"json"] for _, f in agreed.xrange("rd:ch:replaced")] == [
        b'{"n": 1}']
    assert agreed.xpending("rd:ch:a", "audit")["pending"] == 0
    # Whoever agrees stays.
    holds(lambda: new.popen.poll() is None and len(members(agreed)) == 1, 0.5)


def test_a_wish_to_replace_is_one_for_once(run, agreed, server, tmp_path):
    """Two that were both told to would go on for ever."""
    first = worker(run, server, tmp_path / "1", "--consume", "d",
                   "--replace-team")
    first.wait_event("team.replaced")
    second = worker(run, server, tmp_path / "2", "--consume", "d",
                    "--replace-team", "--ordered")
    second.wait_event("team.replaced")
    assert first.wait() == 78
    assert "d (ordered) in Redis" in first.wait_event("worker.meta")["error"]
    assert agreed.hgetall(CONF) == {b"consume": b"d", b"mode": b"ordered"}
    holds(lambda: second.popen.poll() is None, 0.5)


def test_what_was_removed_is_agreed_on_anew(run, agreed, server, tmp_path):
    """By hand, or with all there was: those who run still agree."""
    one = worker(run, server, tmp_path / "1", "--consume", "a", "--consume",
                 "b")
    eventually(lambda: len(members(agreed)) == 1)
    agreed.delete(CONF)
    eventually(lambda: agreed.hgetall(CONF) == {b"consume": b"a\nb",
                                                b"mode": b"shared"})
    assert one.popen.poll() is None
