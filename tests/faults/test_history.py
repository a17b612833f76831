# SPDX-License-Identifier: MIT
"""Two minutes of history/run with fresh seeds; RD_HISTORY_SEED says which."""
import os
import subprocess
from pathlib import Path

import pytest

from harness import BUILD, PYTHON, clean_environment

RUN = Path(__file__).with_name("history") / "run"
PROFILES = "all,workers,gateways,handover,late,bell,second,full,foreign"


@pytest.mark.deadline(330)
def test_promises_hold_under_faults_drawn_from_a_seed():
    seed = os.environ.get("RD_HISTORY_SEED")
    argv = [PYTHON, str(RUN), "--minutes", "2", "--build", str(BUILD),
            "--profile", PROFILES, *(["--seed", seed] if seed else [])]
    with subprocess.Popen(argv, env=clean_environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True, text=True) as run:
        try:
            said, _ = run.communicate(timeout=300)
        except BaseException:
            run.terminate()     # it ends what it has started
            run.wait(30)
            raise
    print(said)
    assert run.returncode == 0, said
