"""Sections about the study: what was asked, what is missing, where its figures come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avatar_optuna.hyperparameters import CATEGORIES, NAMES
from avatar_optuna.report._content import Content
from avatar_optuna.report._markup import Html, definitions, element, how, joined, paragraph, section, table
from avatar_optuna.report._words import count, listed, percent

_TASKS = {
    "clone-detection": "clone detection: do two functions do the same?",
    "vulnerability-prediction": "vulnerability prediction: is a function vulnerable?",
    "python-clones": "clone detection among rewritten functions of Python’s standard library",
    "python-defects": "defect prediction on seeded faults in Python’s standard library",
}
_OBJECTIVES = {
    "effectiveness": "predicted effectiveness up",
    "size_bytes": "size down",
    "flops": "FLOPs down",
    "latency_ms": "latency down",
    "energy_j": "energy down",
}


def missing(content: Content) -> Html:
    """What an unfinished study lacks, and how to get it; nothing for a finished one."""
    faults = _faults(content)
    if not faults:
        return Html("")
    rows = element("ul", *(element("li", fault) for fault in faults))
    advice = paragraph("The same command goes on where it stopped: ", element("code", "avatar-optuna run STUDY.toml"))
    return section("missing", "What is missing", rows, advice)


def _faults(content: Content) -> list[str]:
    settings, jobs = content.settings, content.jobs
    faults = []
    if content.teacher is None:
        faults.append("The teacher has not been measured.")
    scored = {found.number: len(found.found) for found in content.rounds}
    for number in range(settings.search.rounds):
        place = f" of round {number + 1}" if settings.search.rounds > 1 else ""
        if number not in scored:
            faults.append(f"The search{place} has not begun.")
        elif scored[number] < settings.search.n_trials and content.jobs["COMPLETE"] == content.samples:
            faults.append(f"The search{place} has scored {scored[number]:,} of {settings.search.n_trials:,}.")
    if content.samples < settings.indicator.samples:
        faults.append(f"{content.samples} of {settings.indicator.samples} samples of the indicator are distilled.")
    if not content.students:
        faults.append("No student of the front has been distilled.")
    if waiting := jobs["WAITING"] + jobs["RUNNING"]:
        faults.append(f"{count(waiting, 'job')} still to be done: {jobs['RUNNING']} running, {jobs['WAITING']} queued.")
    faults += [f"Job {number} failed: {reason}" for number, reason in content.failures]
    uncompared = [str(student.job) for student in content.students if content.model(str(student.job)) is None]
    if uncompared:
        faults.append(
            f"{count(len(uncompared), 'student')} not yet timed side by side with the teacher: {listed(uncompared)}."
        )
    return faults


def asked(content: Content) -> Html:
    """The settings, in words."""
    settings = content.settings
    search, distillation = settings.search, settings.distillation
    weight = distillation.hard_label_weight
    labels = (
        "the teacher’s outputs alone"
        if weight == 0
        else "the data’s labels alone"
        if weight == 1
        else f"the teacher’s outputs and, at a weight of {weight:g}, the data’s labels"
    )
    rows: list[tuple[object, object]] = [
        ("Task", joined([f"{_TASKS.get(settings.task.kind, settings.task.kind)} ", *_inputs(content)])),
        ("Teacher", content.teacher.source if content.teacher is not None else _teacher_source(content)),
        ("Effectiveness", f"{content.metric.replace('_', ' ')} on the validation split"),
        ("Constraints", _constraints(content)),
        (
            "Search",
            f"{count(search.rounds, 'round')} of {search.n_trials:,} feasible configurations, NSGA-II with a "
            f"population of {search.population_size}: {listed([_OBJECTIVES[name] for name in search.objectives])}",
        ),
        (
            "Indicator",
            f"fitted on {count(settings.indicator.samples, 'student')} distilled for "
            f"{count(settings.indicator.epochs, 'epoch')} each",
        ),
        (
            "Distillation",
            f"{count(distillation.students, 'student')} of each round’s front, {count(distillation.epochs, 'epoch')}, "
            f"temperature {distillation.temperature:g}, from {labels}",
        ),
        ("Measurement", _measurement(content)),
    ]
    details = element("details", element("summary", "The space, hyperparameter by hyperparameter"), _space(content))
    return section("asked", "What was asked", definitions(rows), details)


def _inputs(content: Content) -> list[str]:
    if content.data is None:
        return []
    inputs = content.data["inputs"]
    return [f"({inputs['train']:,} training, {inputs['valid']:,} validation and {inputs['test']:,} test inputs)"]


def _teacher_source(content: Content) -> str:
    teacher = content.settings.teacher
    given = ((name, getattr(teacher, name)) for name in ("checkpoint", "soft_labels", "pretrained", "architecture"))
    return next((f"{name}: {value}" for name, value in given if value is not None), "")


def _constraints(content: Content) -> Html:
    written: Sequence[object] = [element("code", text) for text in content.settings.constraints]
    parts: list[object] = []
    for index, text in enumerate(written):
        parts += [", " if index else "", text]
    parts.append("; heads divide the width" if written else "heads divide the width")
    if content.feasible is not None:
        parts.append(f". {percent(content.feasible['share'])} of uniform draws are feasible")
        if content.feasible["binding"] is not None:
            parts += ["; what binds is ", element("code", content.feasible["binding"])]
    return joined(parts)


def _measurement(content: Content) -> str:
    asked_for = content.settings.measurement
    threads = count(asked_for.threads or 1, "thread")
    place = f"cpu, {threads}" if asked_for.device == "cpu" else asked_for.device
    batches = listed([str(size) for size in sorted({1, *asked_for.batch_sizes})])
    country = f", carbon for {asked_for.country}" if asked_for.country is not None else ""
    return f"on {place}, batches of {batches}, {asked_for.repeats} passes{country}"


def _space(content: Content) -> Html:
    feasible = content.feasible
    distributions = content.settings.space.distributions
    rows = [
        [
            name.replace("_", " "),
            _range(name, feasible["asked"][name]) if feasible is not None else str(distributions[name]),
            _range(name, feasible["ranges"][name]) if feasible is not None else "",
        ]
        for name in NAMES
    ]
    exact = "exact bounds, by Z3" if feasible is not None and feasible["exact"] else "bounds by Z3"
    caption = joined([how("by formula"), f" Feasible: {exact}."]) if feasible is not None else None
    return table(["hyperparameter", "asked for", "feasible"], rows, caption=caption)


def _range(name: str, values: Sequence[Any]) -> str:
    if name in CATEGORIES:
        return ", ".join(map(str, values))
    low, high = (f"{value:,}" if isinstance(value, int) else f"{value:g}" for value in values)
    return f"{low} to {high}" if low != high else low


def provenance(content: Content) -> Html:
    """Versions, device, host, seeds, data: what another would need to get the same."""
    settings, begun = content.settings, content.provenance
    seeds = {
        "task": settings.task.seed,
        "teacher": settings.teacher.seed,
        "search": settings.search.seed,
        "distillation": settings.distillation.seed,
    }
    rows: list[tuple[object, object]] = [
        ("Begun", f"{begun.get('begun_utc', 'unknown')} (UTC) on {begun.get('host', 'unknown')}"),
        ("System", begun.get("system", "unknown")),
        ("Distilled on", _places(content)),
        ("Seeds", ", ".join(f"{name} {seed}" for name, seed in seeds.items())),
        ("Versions", _versions(begun.get("versions", {}))),
        ("Data", settings.task.data or "built in"),
        ("Data fingerprint", _fingerprint(content)),
        ("Students’ files", content.artifacts),
    ]
    return section("provenance", "Provenance", definitions(rows), paragraph(how("recorded"), class_="caption"))


def _places(content: Content) -> str:
    found = []
    for student in content.students:
        result = student.result
        if result is None:
            continue
        threads = result.device.get("threads")
        place = f"{result.device.get('model', result.device.get('name'))} of {result.host}"
        found.append(f"{place}, {count(threads, 'thread')}" if threads else place)
    return "; ".join(dict.fromkeys(found)) or "nothing yet"


def _versions(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version is not None)


def _fingerprint(content: Content) -> Html:
    if content.data is None:
        return joined(["not recorded: the study was made by an older version"])
    return joined(["SHA-256 ", element("code", content.data["fingerprint"])])
