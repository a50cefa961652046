"""One searcher a study; the lock dies with its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from avatar_optuna.exceptions import StudyBusyError
from avatar_optuna.storage import open_storage, search_lock

HOLD = """
import sys, time
from avatar_optuna.storage import open_storage, search_lock
with search_lock(open_storage(sys.argv[1]), "s"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_searcher_is_told_so_and_the_lock_dies_with_its_holder(storage_url: str) -> None:
    storage = open_storage(storage_url)
    with subprocess.Popen([sys.executable, "-c", HOLD, storage_url], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyBusyError, match="'s' is being searched"), search_lock(storage, "s"):
            pass
        with search_lock(storage, "another"):
            pass
        holder.kill()
        holder.wait()
    with search_lock(storage, "s"):
        pass


def test_it_can_be_taken_again_and_leaves_no_file(sqlite_url: str, tmp_path: Path) -> None:
    storage = open_storage(sqlite_url)
    for _ in range(2):
        with search_lock(storage, "s"):
            assert list(tmp_path.glob("*.lock"))
    assert not list(tmp_path.glob("*.lock"))
