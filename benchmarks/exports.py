"""Exported students in environments of their own: what must be installed, how soon they answer, and whether alike.

    python -m benchmarks.exports [--folder DIR] [--repeats 7]

One hashed student (35 KB in int4) and one transformer (2 x 32, float32) with random weights are exported in each
format. A fresh virtual environment holds what the format needs and nothing else; C is compiled, JavaScript is run by
node. Sizes are those of site-packages without pip (of the program, for C). Start-up is the wall time of a process that
answers one function, the median; the first run, which writes Python's byte code, is left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar_optuna.exports import FORMATS
from avatar_optuna.inference import load_student
from avatar_optuna.students import FAMILIES, Configuration
from avatar_optuna.testing.exports import random_student

FUNCTION = "int add(int *values, int count) { int t = 0; while (count > 0) t += values[--count]; return t; }\n"
_TRAINED = {"hidden_dropout_prob": 0.1, "learning_rate": 1e-3, "batch_size": 32}
_NUMPY = """
import json, sys
sys.path.insert(0, {folder!r})
import student
print(json.dumps(student.load().predict([{text!r}]).tolist()[0]))
"""
_HF = """
import json, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained({folder!r}, trust_remote_code=True)
if hasattr(model, "prepare"):
    batch = model.prepare([{text!r}])
else:
    tokenizer = AutoTokenizer.from_pretrained({folder!r}, trust_remote_code=True)
    batch = tokenizer([{text!r}], truncation=True, max_length=256, split_special_tokens=True, return_tensors="pt")
with torch.inference_mode():
    print(json.dumps(model(**batch).logits.double().softmax(dim=-1)[0].tolist()))
"""
_JS = 'import {{ predict }} from "{folder}/student.js"; console.log(JSON.stringify(predict([{text}])[0]));'
_C = """
#include <stdio.h>
#include "student.h"
int main(void) {{
    const char *texts[] = {{{text}}};
    double p[STUDENT_LABELS];
    student_predict(texts, p);
    printf("[%.9g, %.9g]", p[0], p[1]);
    return 0;
}}
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    family: str
    format_name: str
    needs: str
    installed_mb: float
    files_kb: float
    start_s: float
    difference: float


def students() -> tuple[Configuration, Configuration]:
    """A hashed student of 35 KB, and a transformer."""
    hashed = FAMILIES.get("hashed").configure(
        **{**_TRAINED, "grams": "token-bigrams", "buckets": 3264, "width": 14, "pooling": "mean+max"},
        num_hidden_layers=1,
        intermediate_size=64,
        max_sequence_length=512,
        precision="int4",
    )
    transformer = FAMILIES.get("transformer").configure(
        **{**_TRAINED, "tokenizer": "BPE", "vocab_size": 1000, "num_hidden_layers": 2, "hidden_size": 32},
        hidden_act="gelu",
        intermediate_size=64,
        num_attention_heads=4,
        attention_probs_dropout_prob=0.1,
        max_sequence_length=256,
        position_embedding_type="absolute",
    )
    return hashed, transformer


def environment(folder: Path, packages: Sequence[str]) -> tuple[Path, float]:
    """The Python of an environment that holds these packages, made once, and the megabytes that they take."""
    place = folder / ("venv-" + "-".join(packages))
    python = place / "bin/python"
    constraints = Path(__file__).parents[1] / "constraints.txt"
    if not python.is_file():
        venv.create(place, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "-c", str(constraints), *packages]
        subprocess.run(command, check=True)
    (site,) = place.glob("lib/python*/site-packages")
    kept = (p for p in site.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    sizes = {p.relative_to(site).parts[0]: 0 for p in site.iterdir()}
    for path in kept:
        sizes[path.relative_to(site).parts[0]] += path.stat().st_size
    return python, sum(size for name, size in sizes.items() if not name.startswith(("pip", "setuptools"))) / 1e6


def command_of(format_name: str, out: Path, folder: Path, family: str) -> tuple[list[str], str, float]:
    """The command that answers one function, what it needs, and the megabytes of that."""
    if format_name == "js":
        program = out / "answer.mjs"
        program.write_text(_JS.format(folder=out, text=json.dumps(FUNCTION)))
        return ["node", str(program)], "node", Path(str(shutil.which("node"))).resolve().stat().st_size / 1e6
    if format_name == "c":
        (out / "answer.c").write_text(_C.format(text=json.dumps(FUNCTION)))
        program = out / "answer"
        subprocess.run(["cc", "-O2", str(out / "answer.c"), "-lm", "-o", str(program)], check=True)
        return [str(program)], "libc, libm", program.stat().st_size / 1e6
    packages = ["torch", "transformers"] if format_name == "hf" else ["numpy"] if format_name == "numpy" else []
    packages += ["onnxruntime"] if format_name.startswith("onnx") else []
    packages += ["tokenizers"] if family == "transformer" and format_name != "hf" else []
    python, megabytes = environment(folder, packages)
    code = _HF if format_name == "hf" else _NUMPY
    return [str(python), "-I", "-c", code.format(folder=str(out), text=FUNCTION)], ", ".join(packages), megabytes


def measure(student: Configuration, format_name: str, folder: Path, repeats: int) -> Row:
    """Export, run, and compare one student in one format."""
    family = student.family.name
    place = Path(tempfile.mkdtemp(dir=folder))
    made = random_student(place, arity=1, hyperparameters=student)
    out = place / "out"
    out.mkdir()
    FORMATS.get(format_name).write(made, out)
    files_kb = sum(path.stat().st_size for path in out.iterdir() if path.name != "README.md") / 1e3
    command, needs, megabytes = command_of(format_name, out, folder, family)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
        seconds.append(time.perf_counter() - start)
    expected = load_student(made.files, runtime="torch").predict([FUNCTION])[0].probabilities
    difference = float(np.abs(np.asarray(json.loads(done.stdout)) - expected).max())
    return Row(
        family=family,
        format_name=format_name,
        needs=needs,
        installed_mb=megabytes,
        files_kb=files_kb,
        start_s=statistics.median(seconds[1:]),
        difference=difference,
    )


def main() -> None:
    """Measure every format that a student can be exported in, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="for environments, kept; a temporary one by default")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--formats", nargs="+", default=["numpy", "onnx", "onnx-int8", "c", "js", "hf"])
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    print("| student | format | needs | installed MB | files KB | start-up s | difference |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for student in students():
        for name in options.formats:
            if student.family.name == "transformer" and name in ("c", "js"):
                continue
            row = measure(student, name, folder.resolve(), options.repeats)
            print(
                f"| {row.family} | {row.format_name} | {row.needs} | {row.installed_mb:,.1f} | {row.files_kb:,.0f} | "
                f"{row.start_s:.3f} | {row.difference:.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
