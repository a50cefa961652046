"""Telling a dead process from a living one."""

from __future__ import annotations

import json
import subprocess
import sys

from avatar_optuna.pool._identity import is_certainly_gone, this_process


def test_a_process_is_gone_when_it_has_ended() -> None:
    code = "import json; from avatar_optuna.pool._identity import this_process; print(json.dumps(this_process()))"
    command = [sys.executable, "-c", f"{code}; input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        described = json.loads(process.stdout.readline())
        assert described["pid"] == process.pid
        assert not is_certainly_gone(described)
        process.kill()
        process.wait()
    assert is_certainly_gone(described)


def test_what_cannot_be_known_is_not_gone() -> None:
    here = this_process()
    assert not is_certainly_gone(here)
    assert not is_certainly_gone({})
    assert not is_certainly_gone(here | {"place": "another machine", "started": 0})
    assert is_certainly_gone(here | {"started": 0})  # the number was given to another process
