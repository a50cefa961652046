"""The format `numpy`: the student's files, and one file of Python that runs them without torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports._card import example_inputs, window_sentence, write_card
from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.exports._standalone import standalone
from avatar_optuna.runtimes import find_runtime

_USAGE = """
`student.py` runs it; it needs {requires}, and neither torch nor avatar-optuna.

```python
from student import load

student = load()  # the directory of student.py; load(DIRECTORY) for another
inputs = {inputs}
probabilities = student.predict(inputs)  # shape (inputs, labels)
for row in probabilities:
    print(student.label_names[student.label(row)], row)  # the label by the student's threshold
print(student.is_truncated({functions}))  # longer than what is read
```

`python student.py {files}` prints the label, its name and a probability. {window} `student.encode(functions)` gives
vectors, {classify}, {temperature}.
"""


class NumpyDirectory:
    """What `hf` holds besides the card, and `student.py`."""

    name = "numpy"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        family = student.hyperparameters.family.name
        runtime = find_runtime(family)
        if runtime is None:
            raise InputError(f"the export format numpy needs a family with a runtime, {family} has none")
        shutil.copytree(student.files, out_dir, dirs_exist_ok=True)
        requires = " and ".join(runtime.REQUIRES)
        docstring = f"Runs the student in this directory with {requires}: python student.py FILE ..."
        (out_dir / "student.py").write_text(standalone(Path(runtime.__file__), docstring), encoding="utf-8")
        is_pair, inputs = student.task_shape.is_pair, example_inputs(student)
        usage = _USAGE.format(
            requires=requires,
            inputs=inputs,
            functions="inputs[0]" if is_pair else "inputs",
            files="FILE FILE" if is_pair else "FILE ...",
            window=window_sentence(student),
            classify="`student.classify` the logits of two vectors joined" if is_pair else "`student.classify` logits",
            temperature="which `predict` divides by `student.temperature`",
        )
        write_card(student, out_dir, usage)


FORMAT = NumpyDirectory()
