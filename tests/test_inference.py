"""What an exported student says of source files, however they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.inference import load_student, predict_files
from tests.fuzzing import make_sound_folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    make_sound_folder(folder)
    return folder


def test_a_byte_order_mark_does_not_change_an_answer(sound: Path, tmp_path: Path) -> None:
    text = (sound / "function.c").read_bytes()
    (tmp_path / "marked.c").write_bytes(b"\xef\xbb\xbf" + text)
    answers = predict_files(sound / "student", [sound / "function.c", tmp_path / "marked.c"])["inputs"]
    assert answers[0]["probability"] == answers[1]["probability"]


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "\ud800"])
def test_what_is_no_source_text_is_refused_alike(text: str, sound: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="each function of an input must be"):
        load_student(sound / "student").predict([text])
    (tmp_path / "f.c").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"f\.c: must be"):
        predict_files(sound / "student", [tmp_path / "f.c"])
