"""The formats `onnx` and `onnx-int8`: an encoder and a head as ONNX graphs, and one file of Python that runs them."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports._card import decision_sentence, example_inputs, window_sentence, write_card
from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.exports._standalone import standalone
from avatar_optuna.manifest import MANIFEST_FILE, renew_hashes
from avatar_optuna.runtimes import load_numpy_student

_RUNTIMES = Path(__file__).parents[1] / "runtimes"
_USAGE = """
`encode.onnx` takes `input_ids` (functions, tokens) and gives `vectors`; `classify.onnx` takes the vectors of an input,
joined, and gives `logits`{of_pairs}. {decision} `student.py` runs both graphs; it needs onnxruntime{tokenizers}.

```python
from student import load

student = load()  # the directory of student.py; load(DIRECTORY) for another
inputs = {inputs}
probabilities = student.predict(inputs)  # shape (inputs, labels)
for row in probabilities:
    print(student.label_names[student.label(row)], row)  # the label by the student's threshold
print(student.is_truncated({functions}))  # longer than what is read
```

`python student.py {files}` prints the label, its name and a probability. {window}{quantised}
"""
_QUANTISED = """ Matrices and tables are
in 8 bits (onnxruntime's dynamic quantisation): probabilities differ from those of the student by some hundredths."""


class OnnxDirectory:
    """`encode.onnx`, `classify.onnx`, and `student.py` with what it reads.

    Args:
        is_quantised: Whether onnxruntime's dynamic quantisation makes 8 bits of the weights.
    """

    def __init__(self, *, is_quantised: bool = False) -> None:
        self.is_quantised = is_quantised
        self.name = "onnx-int8" if is_quantised else "onnx"
        self.requires: tuple[str, ...] = ("onnx", "onnxruntime") if is_quantised else ("onnx",)

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        family = student.hyperparameters.family.name
        loaded = load_numpy_student(student.files)
        if loaded is None or family not in ("hashed", "transformer"):
            raise InputError(f"the export format {self.name} is for the families hashed and transformer, got {family}")
        from avatar_optuna.exports import _onnx_graph  # loads onnx, an extra

        for name, make in (("encode", _onnx_graph.encoder), ("classify", _onnx_graph.head)):
            # onnxruntime's quantisation reads matrices in float32 alone.
            graph = make(loaded, is_float32=self.is_quantised)
            (out_dir / f"{name}.onnx").write_bytes(graph.SerializeToString())
            if self.is_quantised:
                _quantise(out_dir / f"{name}.onnx")
        _copy_files(student.files, out_dir)
        docstring = "Runs the student in this directory with onnxruntime: python student.py FILE ..."
        source = standalone(_RUNTIMES / f"onnx_{family}.py", docstring)
        (out_dir / "student.py").write_text(source, encoding="utf-8")
        is_pair = student.task_shape.is_pair
        usage = _USAGE.format(
            of_pairs=" of a pair" if is_pair else "",
            decision=decision_sentence(student),
            tokenizers="" if family == "hashed" else " and tokenizers",
            inputs=example_inputs(student),
            functions="inputs[0]" if is_pair else "inputs",
            files="FILE FILE" if is_pair else "FILE ...",
            window=window_sentence(student),
            quantised=_QUANTISED if self.is_quantised else "",
        )
        write_card(student, out_dir, usage)


def _copy_files(files: Path, out_dir: Path) -> None:
    """What `student.py` reads; the manifest lists what is there."""
    for path in files.iterdir():
        if path.name != "model.safetensors":
            shutil.copy(path, out_dir / path.name)
    manifest: dict[str, Any] = json.loads((out_dir / MANIFEST_FILE).read_text(encoding="utf-8"))
    names = [name for name in manifest["sha256"] if name != "model.safetensors"]
    manifest["sha256"] = dict.fromkeys([*names, "classify.onnx", "encode.onnx"], "")
    (out_dir / MANIFEST_FILE).write_text(json.dumps(manifest), encoding="utf-8")
    renew_hashes(out_dir)


def _quantise(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = path.with_suffix(".full.onnx")
    path.rename(full)
    logging.disable(logging.WARNING)  # it advises a preparation that the graphs do not need
    try:
        # Weights of 7 bits: a processor without VNNI adds two products in 16 bits, which 8 overflow.
        quantize_dynamic(full, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    finally:
        logging.disable(logging.NOTSET)
    full.unlink()


FORMAT = OnnxDirectory()
INT8_FORMAT = OnnxDirectory(is_quantised=True)
