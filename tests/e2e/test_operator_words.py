# SPDX-License-Identifier: MIT
"""What the verbs say: to what is misspelt, about one verb, and what check
finds beside a supervisor that runs."""
import json
import os
import re

import pytest

from harness import certificate, channel_key, eventually, free_ports
from harness import run as run_verb


def verb(server, *args, stdin=None):
    return run_verb(*args, env={"REDISTRIBUTE_TARGETS": server.uri},
                    stdin=stdin)


# --- what is misspelt ----------------------------------------------------------

@pytest.mark.parametrize("words,meant", [
    (["statsu"], '"status"'), (["help", "chanels"], '"channels"'),
    (["status", "--taregts", "x"], '"--targets"'),
    (["status", "--jsno"], '"--json"')])
def test_a_word_that_nobody_knows_is_answered_with_a_near_one(words, meant):
    status, out, err = run_verb(*words)
    assert status == 64 and not out
    assert f"did you mean {meant}?" in err and err.count("\n") == 1
    assert "did you mean" not in run_verb("frobnicate")[2]


def test_a_wrong_option_in_a_file_is_answered_with_a_near_one(tmp_path):
    (tmp_path / "conf").write_text("\nworker = 2\n")
    status, _, err = run_verb("check", "--config", tmp_path / "conf")
    assert status == 78 and 'conf:2: unknown option "worker"' in err
    assert 'did you mean "workers"?' in err


@pytest.mark.parametrize("name", ["pause", "pending", "dead"])
def test_a_team_that_is_not_there_is_answered_with_those_that_are(
        run, server, name):
    run.daemon("--team", "counters", "--consume", "one", redis=server,
               gateways=0, workers=1)
    words = [name, "one"] if name == "pause" else [name]
    status, out, err = verb(server, *words, "--team", "countres")
    assert status == 1 and not out
    assert "there is no team countres" in err and '"counters"?' in err
    assert verb(server, *words, "--team", "counters")[0] == 0


def test_what_a_team_never_consumes_cannot_be_paused(run, server):
    run.daemon("--team", "t", "--consume", "room:*", "--consume", "named",
               redis=server, gateways=0, workers=1)
    for wrong in ("roomm:*", "room", "nmaed", "named:*"):
        status, _, err = verb(server, "pause", wrong, "--team", "t")
        assert status == 1 and "consumes named, room:*" in err, wrong
    for right in ("room:*", "room:1", "room:1*", "*:1", "*", "named", "name?"):
        status, out, err = verb(server, "pause", right, "--team", "t")
        assert status == 0 and right in out, err


def test_an_empty_stdin_is_no_message(server, store, channel):
    status, out, err = verb(server, "publish", channel, stdin=b"")
    assert status == 1 and not out and "--empty" in err
    assert not store.exists(channel_key(channel))
    status, out, err = verb(server, "publish", channel, "--empty",
                                    stdin=b"")
    assert status == 0 and out, err
    assert verb(server, "publish", channel, "")[0] == 0
    assert store.xlen(channel_key(channel)) == 2


def test_teams_say_what_they_divide(run, server):
    run.daemon("--team", "both", "--consume", "room:*", "--consume", "named",
               redis=server, gateways=0, workers=1)
    out = verb(server, "teams")[1]
    assert "named (shared), room:* (divided)" in out


def test_help_of_a_verb_is_about_the_verb():
    _, short, _ = run_verb("help", "publish")
    assert "--lines" in short and "--max-connections" not in short
    assert short.count("\n") < 30
    _, long, _ = run_verb("help", "publish", "--settings")
    assert long.startswith(short.partition("\nIt asks")[0])
    assert "--max-connections" in long
    assert "--max-connections" in run_verb("help", "start")[1]


# --- check -------------------------------------------------------------------

def test_check_asks_whether_anybody_listens(run, tmp_path):
    site = run.daemon(data_dir=tmp_path / "data", workers=0)
    flags = ["--data-dir", tmp_path / "data", "--ops-port", "0"]
    _, out, _ = run_verb("check", *flags, "--port", site.port)
    assert f"ok    port                     127.0.0.1:{site.port} is listened on" in out
    _, out, _ = run_verb("check", *flags, "--port",
                                 free_ports())
    assert re.search(r"warn  port .* is not listened on, although", out)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read everything")
def test_check_reads_keys_as_the_service_would(tmp_path):
    cert, key = certificate(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    os.chmod(key, 0o600)
    status, out, _ = run_verb(
        "check", "--data-dir", data, "--cert", cert, "--key", key, "--port",
        free_ports(), "--ops-port", "0")
    assert status == 78
    assert re.search(r"bad   certificate +nobody cannot read .*localhost", out)


# --- what handlers publish -------------------------------------------------------

def test_status_counts_totals_among_what_was_emitted(run, server, channel):
    run.daemon("--consume", channel, "--handler",
               f"statistic:to={channel}-totals", redis=server, gateways=0,
               workers=1)
    store = server.client()
    for n in range(20):
        store.xadd(channel_key(channel), {"json": f'{{"agent":"a{n}","ip":"b"}}'})
    totals = channel_key(f"{channel}-totals")

    def emitted():
        members = json.loads(verb(server, "status", "--json")[1])["members"]
        return sum(m.get("emitted", 0) for m in members
                   if m["role"] == "worker" and m.get("handled") == 20)
    eventually(lambda: emitted() > 0)
    assert emitted() == store.xlen(totals)
