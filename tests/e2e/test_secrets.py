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
