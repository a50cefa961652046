"""Students of each precision as ONNX graphs: bytes beside the student's weights, and how fast onnxruntime runs them.

    python -m benchmarks.onnx_precisions

Two students with random weights. `load` is the median of opening the encoder, `run` that of one function of 256 tokens
or n-grams, both with one thread; `difference` is the largest one of a probability to torch's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from avatar_optuna.exports.onnx import FORMAT
from avatar_optuna.inference import load_student
from avatar_optuna.students import FAMILIES, PRECISIONS, Configuration
from avatar_optuna.testing.exports import FUNCTIONS, random_student

_WINDOW = 256
_HASHED: dict[str, Any] = {
    **{"grams": "token-bigrams", "buckets": 4000, "width": 48, "pooling": "mean+max", "num_hidden_layers": 2},
    **{"intermediate_size": 64, "hidden_dropout_prob": 0.1},
}
_TRANSFORMER: dict[str, Any] = {
    **{"tokenizer": "BPE", "vocab_size": 2000, "num_hidden_layers": 3, "hidden_size": 96, "hidden_act": "gelu"},
    **{"intermediate_size": 192, "num_attention_heads": 4, "attention_probs_dropout_prob": 0.1},
    **{"hidden_dropout_prob": 0.1, "position_embedding_type": "absolute"},
}


def main() -> None:
    """Print a row a student."""
    print("| student | precision | weights, KB | graphs, KB | load, ms | run, ms | difference |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for family, values in (("hashed", _HASHED), ("transformer", _TRANSFORMER)):
        for precision in PRECISIONS:
            of_training = {"max_sequence_length": _WINDOW, "learning_rate": 1e-3, "batch_size": 8}
            student = FAMILIES.get(family).configure(**values, **of_training, precision=precision)
            with tempfile.TemporaryDirectory() as folder:
                print(_row(family, precision, student, Path(folder)), flush=True)


def _row(family: str, precision: str, student: Configuration, folder: Path) -> str:
    made, out = random_student(folder, arity=1, hyperparameters=student), folder / "out"
    out.mkdir()
    FORMAT.write(made, out)
    weights = (made.files / "model.safetensors").stat().st_size
    graphs = sum(path.stat().st_size for path in out.glob("*.onnx"))
    load_ms = _median_ms(lambda: _session(out), 15)
    session = _session(out)
    ids = {"input_ids": np.random.default_rng(0).integers(5, 1000, (1, _WINDOW))}
    run_ms = _median_ms(lambda: session.run(["vectors"], ids), 300)
    difference = np.abs(np.asarray(_answers(out)) - np.asarray(_torch_answers(made.files))).max()
    return (
        f"| {family} | {precision} | {weights / 1e3:.1f} | {graphs / 1e3:.1f} | {load_ms:.1f} | {run_ms:.3f} "
        f"| {difference:.0e} |"
    )


def _session(directory: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(directory / "encode.onnx"), options, providers=["CPUExecutionProvider"])


def _answers(directory: Path) -> Any:
    """Probabilities by the exported code, in a process that reads the directory alone."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import student; "
        "print(json.dumps(student.load().predict(json.load(sys.stdin)).tolist()))"
    )
    command = [sys.executable, "-I", "-c", code, str(directory)]
    done = subprocess.run(command, input=json.dumps(FUNCTIONS), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _torch_answers(directory: Path) -> list[Any]:
    return [answer.probabilities for answer in load_student(directory, runtime="torch").predict(list(FUNCTIONS))]


def _median_ms(operation: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        operation()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


if __name__ == "__main__":
    main()
