"""The end of a model card: how an exported student is used."""

from __future__ import annotations

from pathlib import Path

from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.manifest import DEFAULT_TEMPERATURE, DEFAULT_THRESHOLD, read_manifest


def write_card(student: StudentToExport, out_dir: Path, usage: str, *, library: str | None = None) -> None:
    """Write `README.md`: the student's card, then how its files are used.

    Args:
        usage: In Markdown, below a heading of its own.
        library: Which of the libraries that Hugging Face's hub knows loads the files, if any does.
    """
    card = student.card
    if library is not None and card.startswith("---\n"):
        card = f"---\nlibrary_name: {library}\n" + card.removeprefix("---\n")
    text = f"{card.rstrip()}\n\n## How to use it\n{usage.strip()}\n"
    (out_dir / "README.md").write_text(text, encoding="utf-8")


def example_inputs(student: StudentToExport) -> str:
    """A list of inputs in Python or JavaScript, of the student's form."""
    if student.task_shape.is_pair:
        return '[["int f(int a) { return a; }", "int g(int b) { return b; }"]]'
    return '["int f(int a) { return a; }"]'


def decision_of(student: StudentToExport) -> tuple[float, float]:
    """Temperature and threshold of a student, as its manifest has them."""
    manifest = read_manifest(student.files)
    temperature = float(manifest.get("temperature", DEFAULT_TEMPERATURE))
    return temperature, float(manifest.get("threshold", DEFAULT_THRESHOLD))


def decision_sentence(student: StudentToExport) -> str:
    """How logits become probabilities and a label, for whoever does that without the exported code."""
    temperature, threshold = decision_of(student)
    logits = "logits" if temperature == DEFAULT_TEMPERATURE else f"logits divided by {temperature!r}"
    given = "the likeliest" if student.task_shape.num_labels != 2 else f"the second from {threshold!r} on"
    return f"Probabilities are the softmax of the {logits}; the label is {given}."


def window_sentence(student: StudentToExport) -> str:
    """What is read of a long function."""
    unit = "distinct n-grams" if student.hyperparameters.family.name == "hashed" else "tokens"
    return (
        f"Of a function the first {student.hyperparameters.max_sequence_length:,} {unit} are read: what is longer is "
        "cut."
    )
