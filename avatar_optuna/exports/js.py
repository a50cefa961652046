"""The format `js`: one module of JavaScript that holds a hashed student's code and weights, and a page that uses it."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from avatar_optuna.exports._card import example_inputs, window_sentence, write_card
from avatar_optuna.exports._examples import example_texts, language_title
from avatar_optuna.exports._export import StudentToExport
from avatar_optuna.exports._hashed import SOURCES, in_comment, read_hashed

_USAGE = """
`student.js` is a module without dependencies, for browsers and node; it holds the weights.

```js
import {{ isTruncated, label, labelNames, predict }} from "./student.js";

const inputs = {inputs};
for (const probabilities of predict(inputs)) {{
  console.log(labelNames[label(probabilities)], probabilities); // the label by the student's threshold
}}
console.log({functions}.map(isTruncated)); // longer than what is read
```

{window} `encode(text)` gives the vector of one function, `classify(vectors)` the logits, which
`predict` divides by `temperature`. `index.html` is a page that
runs the student; it holds all that it needs and asks nothing of any network, so it may be opened from a folder.
"""


class JavaScriptModule:
    """`student.js`, `package.json` for node, and `index.html`."""

    name = "js"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        files = read_hashed(student, self.name)
        description = {
            "name": student.name,
            "language": files.language,
            "arity": student.task_shape.arity,
            "labelNames": files.label_names,
            "threshold": files.threshold,
            "temperature": files.temperature,
            "window": files.config["max_sequence_length"],
            "isBytes": files.is_bytes,
            "longest": files.longest,
            "buckets": files.config["buckets"],
            "hasMax": files.has_max,
            "layers": files.config["num_hidden_layers"],
        }
        weights = (student.files / "model.safetensors").read_bytes()
        source = (SOURCES / "hashed.js").read_text(encoding="utf-8").replace("__NAME__", in_comment(student.name))
        source = source.replace("__STUDENT__", _in_script(description))
        source = source.replace("__WEIGHTS__", base64.b64encode(weights).decode())
        (out_dir / "student.js").write_text(source, encoding="utf-8")
        (out_dir / "package.json").write_text('{"type": "module", "main": "student.js"}\n', encoding="utf-8")
        page = (SOURCES / "hashed.html").read_text(encoding="utf-8").replace("__TITLE__", html.escape(student.name))
        shown = {"example": example_texts(student), "language": language_title(student)}
        page = page.replace("__BYTES__", f"{len(weights):,}").replace("__PAGE__", _in_script(shown))
        page = page.replace("__MODULE__", source)
        (out_dir / "index.html").write_text(page, encoding="utf-8")
        inputs = example_inputs(student)
        usage = _USAGE.format(inputs=inputs, functions="inputs.flat()", window=window_sentence(student))
        write_card(student, out_dir, usage)


def _in_script(value: Any) -> str:
    """JSON that ends no script of HTML."""
    return json.dumps(value, indent=2).replace("<", "\\u003c")


FORMAT = JavaScriptModule()
