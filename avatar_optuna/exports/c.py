"""The format `c`: one header that holds a hashed student's code and weights, and a program that includes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.exports._card import window_sentence, write_card
from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.exports._hashed import SOURCES, HashedFiles, in_comment, read_hashed
from avatar_optuna.runtimes.weights import read_tensors

_LAYER = ("norm.weight", "norm.bias", "dense.weight", "dense.bias", "output.weight", "output.bias")
_NAMED = {
    "table_weight": "table.weight",
    "norm_weight": "norm.weight",
    "norm_bias": "norm.bias",
    "dense_weight": "classifier.dense.weight",
    "dense_bias": "classifier.dense.bias",
    "out_weight": "classifier.out_proj.weight",
    "out_bias": "classifier.out_proj.bias",
}
# By the type of the stored numbers: the number of the type in the header, and the type of the array in C.
_TYPES = {"float32": (0, "uint32_t"), "float16": (1, "uint16_t"), "int8": (2, "int8_t"), "uint8": (3, "uint8_t")}
_USAGE = """
`student.h` is all that a program in C or C++ includes; it needs the C library and libm, and holds the weights.

```c
#include <stdio.h>
#include "student.h"

int main(void) {{
    const char *texts[STUDENT_ARITY] = {{{texts}}};
    double probabilities[STUDENT_LABELS];
    int label = student_predict(texts, probabilities);
    if (label < 0) return 1; /* no memory */
    printf("%s %.3f\\n", student_label_names[label], probabilities[label]);
    return 0;
}}
```

Texts are UTF-8. {window} `student_encode` gives the vector of one function and says whether it was cut,
`student_classify` the probabilities of vectors. `predict.c` labels files: `cc -O2 predict.c -lm -o predict`, then
`./predict {files}`.
"""


class CHeader:
    """`student.h`, and `predict.c`."""

    name = "c"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        files = read_hashed(student, self.name)
        source = (SOURCES / "hashed.h").read_text(encoding="utf-8")
        source = source.replace("__NAME__", in_comment(student.name))
        source = source.replace("__CONSTANTS__", _constants(student, files))
        source = source.replace("__WEIGHTS__", _weights(student.files / "model.safetensors", files))
        (out_dir / "student.h").write_text(source, encoding="utf-8")
        program = (SOURCES / "hashed.c").read_text(encoding="utf-8")
        (out_dir / "predict.c").write_text(program, encoding="utf-8")
        texts = ["int f(int a) { return a; }", "int g(int b) { return b; }"][: student.task_shape.arity]
        usage = _USAGE.format(
            texts=", ".join(map(_literal, texts)),
            window=window_sentence(student),
            files="FILE FILE" if student.task_shape.is_pair else "FILE ...",
        )
        write_card(student, out_dir, usage)


def _constants(student: StudentToExport, files: HashedFiles) -> str:
    config = files.config
    values: Mapping[str, Any] = {
        "ARITY": f"{student.task_shape.arity} /* functions an input */",
        "LABELS": student.task_shape.num_labels,
        "THRESHOLD": f"{files.threshold!r} /* of two labels, the second from this probability on */",
        "TEMPERATURE": f"{files.temperature!r} /* logits are divided by it before the softmax */",
        "WINDOW": f"{config['max_sequence_length']} /* distinct n-grams of a function that are read at most */",
        "IS_BYTES": f"{int(files.is_bytes)} /* whether n-grams are of bytes, and not of tokens */",
        "LONGEST": f"{files.longest} /* tokens or bytes of the longest n-grams */",
        "BUCKETS": f"{config['buckets']}u",
        "WIDTH": config["width"],
        "HAS_MAX": int(files.has_max),
        "SIZE": f"{files.vector_size} /* numbers of a function's vector */",
        "LAYERS": config["num_hidden_layers"],
        "UNITS": config["intermediate_size"],
    }
    lines = [f"#define STUDENT_{name} {value}" for name, value in values.items()]
    names = ", ".join(map(_literal, files.label_names))
    return "\n".join([*lines, "", f"static const char *const student_label_names[STUDENT_LABELS] = {{{names}}};"])


def _weights(path: Path, files: HashedFiles) -> str:
    tensors, columns = read_tensors(path)
    layers = [[f"layers.{layer}.{part}" for part in _LAYER] for layer in range(files.config["num_hidden_layers"])]
    names = [*_NAMED.values(), *(name for layer in layers for name in layer)]
    lines = []
    for place, name in enumerate(names):
        lines.append(_array(f"student_data_{place}", tensors[name]))
        if (scale := tensors.get(f"{name}.scale")) is not None:
            lines.append(_array(f"student_scale_{place}", scale))

    def entry(name: str) -> str:
        place, tensor = names.index(name), tensors[name]
        scale = f"student_scale_{place}" if f"{name}.scale" in tensors else "NULL"
        return (
            f"{{{_TYPES[tensor.dtype.name][0]}, {columns.get(name, tensor.shape[-1])}, student_data_{place}, {scale}}}"
        )

    lines += [f"static const student_tensor student_{ours} = {entry(name)};" for ours, name in _NAMED.items()]
    rows = [f"{{{', '.join(map(entry, layer))}}}" for layer in layers] or ["{{0, 0, NULL, NULL}}"]
    lines.append(f"static const student_tensor student_layers[][{len(_LAYER)}] = {{{', '.join(rows)}}};")
    return "\n".join(lines)


def _array(name: str, values: npt.NDArray[Any]) -> str:
    """A constant array of C; floating-point numbers as their bits, so that none is rounded."""
    flat = values.reshape(-1)
    if flat.dtype.kind == "f":
        flat = flat.view(f"<u{flat.dtype.itemsize}").astype(np.uint32)
    rows = [",".join(map(str, flat[at : at + 32].tolist())) for at in range(0, len(flat), 32)]
    return f"static const {_TYPES[values.dtype.name][1]} {name}[] = {{\n" + ",\n".join(rows) + "};"


def _literal(text: str) -> str:
    """A string of C: bytes beyond ASCII, and those that mean something in one, as octal numbers."""
    return (
        '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()) + '"'
    )


FORMAT = CHeader()
