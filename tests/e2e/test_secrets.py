# SPDX-License-Identifier: MIT
"""What others on the machine must not see: the password of Redis, the data of
the embedded one, and, in a log, what only looks like text."""
import json
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness import (MARK, PROGRAMS, PYTHON, Process, channel_key,
                     clean_environment, command_of, eventually, xadd)

SECRET = "xyzzy-very-secret"


@pytest.fixture
def silent():
    """A server that accepts and says nothing: whoever asks it, waits."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield s


@pytest.mark.parametrize("program,words", [
    ("redistribute", ["start"]),
    ("redistribute", ["tail", "room"]),
    ("redistribute", ["check"]),
    ("gateway", []),
    ("worker", []),
])
@pytest.mark.parametrize("form", ["apart", "joined"])
def test_no_password_in_ps(run, silent, tmp_path, program, words, form):
    """It goes at the first step, before anybody is waited for."""
    uri = f"redis://user:{SECRET}@127.0.0.1:{silent.getsockname()[1]}"
    flag = [f"--targets={uri}"] if form == "joined" else ["--targets", uri]
    one = run.process([PROGRAMS[program], *words, *flag,
                       "--data-dir", tmp_path, "--port", "1"])
    silent.settimeout(15)
    link, _ = silent.accept()      # it is past reading its words
    with link:
        said = command_of(one.pid)
        assert SECRET not in said
        assert "redistribute" in said
    one.send(signal.SIGKILL)


def test_program_of_a_handler_sees_no_password(run, tmp_path):
    redis = run.redis(password=SECRET)
    told = tmp_path / "environment"
    daemon = run.daemon(
        "--consume", "in", "--handler",
        f"exec:env > {told}.new && mv {told}.new {told}; exec {PYTHON} -c "
        "'import json\nfor l in iter(input, 0): "
        "print(json.dumps({\"seq\": json.loads(l)[\"seq\"]}), flush=True)'",
        redis=redis, workers=1, env={"OF_THE_OPERATOR": "kept",
                                     "REDISTRIBUTE_LOG_LEVEL": "debug"})
    xadd(redis.client(), "in", json="1")
    eventually(told.exists)
    seen = told.read_text()
    assert SECRET not in seen
    assert "REDISTRIBUTE_" not in seen
    assert "OF_THE_OPERATOR=kept" in seen and "PATH=" in seen
    assert SECRET not in daemon.log.text()


def modes(path):
    return {str(p.relative_to(path)): stat.S_IMODE(p.stat().st_mode)
            for p in [path, *path.rglob("*")] if not p.is_socket()}


def test_data_of_the_embedded_redis_are_nobody_elses(run, tmp_path):
    """Also in a directory that was there, with files of an earlier version."""
    os.chmod(tmp_path, 0o755)
    before = os.umask(0o022)
    try:
        daemon = run.daemon(data_dir=tmp_path)
        daemon.embedded().set("x", "1")
        daemon.stop()
        for name in {"appendonlydir", "appendonly.aof", "dump.rdb"} & {
                p.name for p in tmp_path.iterdir()}:   # as they were made before
            os.chmod(tmp_path / name,
                     0o755 if name == "appendonlydir" else 0o644)
        daemon = run.daemon(data_dir=tmp_path)
    finally:
        os.umask(before)
    assert daemon.embedded().get("x") == b"1"
    open_to_others = {name: oct(mode) for name, mode in modes(tmp_path).items()
                      if mode & 0o077 and name != "."}
    # Whoever may enter the directory may see which files there are.
    assert not open_to_others, open_to_others


BIDI = "a\u202eb\u2066c\u061cd\u0085e\u2028f"


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_turns_text_around_is_shown(run, server, channel, form):
    daemon = run.daemon(
        "--consume", channel, "--log-format", form, "--team", form,
        "--max-attempts", "1", "--handler",
        "exec:read x; printf '%s\\n' 'a\u202eb\u2066c\u061cd\u0085e\u2028f' "
        ">&2; printf '\\233\\n' >&2; sleep 60",
        redis=server, workers=1)
    xadd(server.client(), channel, json="1")
    found = daemon.wait_event("exec.stderr")
    eventually(lambda: len(daemon.log.find("exec.stderr")) >= 2)
    raw = "\n".join(e.line for e in daemon.log.find("exec.stderr"))
    assert not set(raw) & set("\u202e\u2066\u061c\u0085\u2028\ufffd\u009b")
    text = json.loads(found.line)["text"] if form == "json" else found.line
    assert form != "json" or text == BIDI
    assert form != "text" or "\\xe2\\x80\\xae" in text
