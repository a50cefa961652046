"""The command `predict`, apart from the others: it starts without what studies need."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

from rich.console import Console

from avatar_optuna.exceptions import AvatarError
from avatar_optuna.inference import predict_files
from avatar_optuna.progress import say


def predict(options: Namespace, console: Console) -> None:
    """Print what a student says of files."""
    predictions = predict_files(options.directory, options.files, is_jsonl=options.jsonl, threshold=options.threshold)
    for fault in predictions.faults:
        sys.stderr.write(f"avatar-optuna predict: {fault}\n")
    if options.format == "jsonl":
        console.file.writelines(json.dumps(entry) + "\n" for entry in predictions.inputs)
    elif options.format == "json":
        console.file.write(json.dumps(predictions.to_dict(), indent=2) + "\n")
    else:
        for entry in predictions.inputs:
            place = ", ".join(entry["files"]) + (f":{entry['line']}" if "line" in entry else "")
            say(console, f"{entry['label']} {entry['label_name']}  {entry['probability']:.3f}  {place}")
    if predictions.truncated:
        sys.stderr.write(
            f"avatar-optuna predict: {predictions.truncated} of {predictions.functions} functions are longer than the "
            f"student's window of {predictions.window} tokens: it read their beginning\n"
        )
    if predictions.faults:
        total = len(predictions.faults) + len(predictions.inputs)
        raise AvatarError(f"{len(predictions.faults)} of {total} inputs could not be read")
