"""The format `hf`: a directory as Hugging Face lays it out, with a model card, that loads without this package."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avatar_optuna.exports._card import decision_of, decision_sentence, example_inputs, window_sentence, write_card
from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.exports._standalone import standalone
from avatar_optuna.manifest import DEFAULT_TEMPERATURE, renew_hashes

_MODULE = "modeling_student"
_LOGITS = "model(**batch).logits"
_USAGE = """
{what} In a process without avatar-optuna:

```python
import torch
from transformers import {imports}

directory = "."
model = AutoModelForSequenceClassification.from_pretrained(directory, {options})
{tokenizer}inputs = {inputs}
{batch}
with torch.inference_mode():
    probabilities = {logits}.softmax(dim=-1)  # shape (inputs, labels)
for row in probabilities:
    print(model.config.id2label[{label}], row.tolist())
```

{decision} `avatar.json` holds both. {window} With avatar-optuna: `avatar-optuna predict DIR {files}`.
"""
_OURS = "`avatar-optuna predict DIR {files}` loads it, and in Python `avatar_optuna.load_student(DIR)`, nothing else."
_STOCK = "It is a RoBERTa classifier to transformers, which loads it as it is."
_CUSTOM = (
    f"transformers loads it with the code in `{_MODULE}.py`, which needs torch, numpy and transformers: read it, then "
    "allow it by `trust_remote_code=True`."
)


class HuggingFaceDirectory:
    """Configuration, weights, tokenizer and manifest, a modelling file where RoBERTa's does not do, and the card."""

    name = "hf"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        shutil.copytree(student.files, out_dir, dirs_exist_ok=True)
        config = json.loads((out_dir / "config.json").read_text(encoding="utf-8"))
        family = student.hyperparameters.family.name
        is_ours = family in ("hashed", "transformer")
        modelling = find_spec(f"avatar_optuna.students.{family}.modeling") if is_ours else None
        files = "FILE FILE" if student.task_shape.is_pair else "FILE"
        if config.get("model_type") == "roberta":
            write_card(student, out_dir, _usage(student, is_stock=True), library="transformers")
        elif modelling is not None and modelling.origin is not None:
            docstring = f"The student in this directory for transformers: {student.hyperparameters.family.name}."
            source = standalone(Path(modelling.origin), docstring)
            (out_dir / f"{_MODULE}.py").write_text(source, encoding="utf-8")
            _name_code(out_dir / "config.json", config, student)
            renew_hashes(out_dir)
            write_card(student, out_dir, _usage(student, is_stock=False), library="transformers")
        else:
            write_card(student, out_dir, _OURS.format(files=files))


def _name_code(path: Path, config: dict[str, Any], student: StudentToExport) -> None:
    """Say in `config.json` which code loads the student, and the names of the labels as transformers has them."""
    config["auto_map"] = {
        "AutoConfig": f"{_MODULE}.ExportedConfig",
        "AutoModelForSequenceClassification": f"{_MODULE}.ExportedStudent",
    }
    if "label_names" in config:
        config["id2label"] = {str(label): name for label, name in enumerate(config["label_names"])}
        config["label2id"] = {name: label for label, name in enumerate(config["label_names"])}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _usage(student: StudentToExport, *, is_stock: bool) -> str:
    has_tokenizer = (student.files / "tokenizer.json").is_file()
    flat = "[function for pair in inputs for function in pair]" if student.task_shape.is_pair else "inputs"
    longest = student.hyperparameters.max_sequence_length
    if has_tokenizer:
        options = f'padding=True, truncation=True, max_length={longest}, split_special_tokens=True, return_tensors="pt"'
        batch = f"batch = tokenizer(\n    {flat}, {options}\n)"
    else:
        batch = f"batch = model.prepare({flat})  # cuts what is longer than it reads"
    temperature, threshold = decision_of(student)
    source = "directory" if is_stock else "directory, trust_remote_code=True"
    return _USAGE.format(
        what=_STOCK if is_stock else _CUSTOM,
        imports="AutoModelForSequenceClassification" + (", AutoTokenizer" if has_tokenizer else ""),
        options='dtype="float32"' if is_stock else "trust_remote_code=True",
        tokenizer=f"tokenizer = AutoTokenizer.from_pretrained({source})\n" if has_tokenizer else "",
        inputs=example_inputs(student),
        batch=batch,
        logits=_LOGITS if temperature == DEFAULT_TEMPERATURE else f"({_LOGITS} / {temperature!r})",
        label=f"int(row[1] >= {threshold!r})" if student.task_shape.num_labels == 2 else "int(row.argmax())",
        decision=decision_sentence(student),
        window=window_sentence(student),
        files="FILE FILE" if student.task_shape.is_pair else "FILE",
    )


FORMAT = HuggingFaceDirectory()
