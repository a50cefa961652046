"""Sections about the students: the one recommended, all of them beside their teacher, what was learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatar_optuna.hyperparameters import Hyperparameters
from avatar_optuna.report._content import Content
from avatar_optuna.report._markup import Html, definitions, element, figure, how, joined, paragraph, section, table
from avatar_optuna.report._words import (
    count,
    duration,
    interval,
    joules,
    megabytes,
    megaflops,
    milliseconds,
    percent,
    points,
    times,
)
from avatar_optuna.study import Student

_REFERENCES = {"teacher": "the teacher", "codebert": "CodeBERT"}


def recommended(content: Content) -> Html:
    """The student to take, with the reason; or why there is none."""
    if content.recommendation is None:
        return section(
            "recommended", "Recommended student", paragraph("None yet: no student of the front is distilled.")
        )
    student = content.recommendation.student
    result = student.result
    assert result is not None
    against = _against_teacher(content, student)
    return section(
        "recommended",
        f"Recommended: student {student.job}",
        element("div", *_headline(content, student), class_="headline"),
        paragraph(content.recommendation.reason, " ", against),
        paragraph(
            "The choice rests on validation figures and costs; test figures played no part in it. It is the rule of "
            "one standard error: of the students that are as good as the best, the cheapest.",
            class_="quiet",
        ),
        paragraph("Take it away: ", element("code", _export_command(content.name, student.job))),
        element("details", element("summary", "Its hyperparameters"), hyperparameters(student.hyperparameters)),
    )


def _headline(content: Content, student: Student) -> list[Html]:
    result = student.result
    assert result is not None
    ratio = content.times.get(student.job or 0, {}).get("teacher", {})
    bounds = result.valid.get(f"{content.metric}_interval")
    under = f"95 % interval {interval(bounds)}" if bounds is not None else ""
    latency_ms = content.latency_ms(student)
    found = [
        _tile(percent(result.effectiveness), f"{content.metric.replace('_', ' ')} on validation", under, "measured"),
        _tile(megabytes(result.size_bytes), "weights on disk", _than(ratio.get("size"), "smaller"), "measured"),
        _tile(milliseconds(latency_ms), "one input, median", _than(ratio.get("latency"), "faster"), "measured"),
    ]
    if student.energy is not None:
        than = f"{times(ratio['energy'])} less than the teacher" if "energy" in ratio else ""
        found.append(_tile(joules(student.energy["joules"]), "one input", than, "measured"))
    else:
        found.append(_tile(megaflops(result.flops), "one input", _than(ratio.get("flops"), "fewer"), "by formula"))
    return found


def _tile(value: str, what: str, under: str, obtained: Any) -> Html:
    return element("div", element("strong", value), element("span", what), element("small", under, " ", how(obtained)))


def _than(ratio: float | None, word: str) -> str:
    return f"{times(ratio)} {word} than the teacher" if ratio is not None else ""


def _against_teacher(content: Content, student: Student) -> str:
    teacher, result = content.teacher, student.result
    assert result is not None
    if teacher is None:
        return ""
    difference = result.effectiveness - teacher.valid[content.metric]
    sign = "above" if difference >= 0 else "below"
    own, other = (figures.get(f"{content.metric}_interval") for figures in (result.valid, teacher.valid))
    overlap = own is not None and other is not None and own[0] <= other[1] and other[0] <= own[1]
    said = f"It lies {points(abs(difference))} {sign} its teacher on validation"
    return f"{said}, and their 95 % intervals overlap." if overlap else f"{said}."


def _export_command(name: str, job: int | None) -> str:
    return f"avatar-optuna export --study-name {name} --trial {job} --out student-{job}"


def hyperparameters(student: Hyperparameters) -> Html:
    """All thirteen."""
    return definitions((name.replace("_", " "), value) for name, value in student.to_dict().items())


def students(content: Content) -> Html:
    """All distilled students beside teacher and CodeBERT."""
    if not content.students:
        return section("students", "Students", paragraph("No student of the front is distilled yet."))
    has_energy = any(student.energy is not None for student in content.students)
    names = [name for name in _REFERENCES if any(name in times_ for times_ in content.times.values())]
    ratio_keys = ["size", "latency", *(["energy"] if has_energy else [])]
    headings: list[object] = ["student", "predicted", "validation", "test", "MB", "MFLOPs", "ms"]
    headings += ["J"] if has_energy else []
    headings += [word for _ in names for word in ("smaller", "faster", "less J")[: len(ratio_keys)]]
    shares = joined([f"{content.metric.replace('_', ' ')}, % ", how("predicted", "measured")])
    costs = joined(["costs ", how("measured", "by formula")])
    groups: list[tuple[object, int]] = [("", 1), (shares, 3), (costs, 4 if has_energy else 3)]
    groups += [(f"times less than {_REFERENCES[name]}", len(ratio_keys)) for name in names]
    rows = [_row(content, student, names, ratio_keys, has_energy) for student in content.students]
    chosen = content.recommendation.student.job if content.recommendation is not None else None
    marked = [student.job == chosen for student in content.students]
    rows += [row for name in _REFERENCES if (row := _reference(content, name, len(headings), has_energy)) is not None]
    return section(
        "students", "Students", table(headings, rows, groups=groups, marked=marked, caption=_students_caption(content))
    )


def _row(content: Content, student: Student, names: list[str], keys: list[str], has_energy: bool) -> list[object]:
    result = student.result
    assert result is not None
    predicted = student.predicted
    ratio = content.times.get(student.job or 0, {})
    return [
        f"{student.job}{' •' if student.on_front else ''}",
        f"{100 * predicted['effectiveness']:.1f} ± {196 * predicted['std']:.1f}" if predicted is not None else "",
        _with_interval(result.valid, content.metric),
        _with_interval(result.test, content.metric),
        megabytes(result.size_bytes).removesuffix(" MB"),
        megaflops(result.flops).removesuffix(" MFLOPs"),
        milliseconds(content.latency_ms(student)).removesuffix(" ms"),
        *([f"{student.energy['joules']:.3g}" if student.energy is not None else ""] if has_energy else []),
        *(times(ratio[name][key]) if key in ratio.get(name, {}) else "" for name in names for key in keys),
    ]


def _reference(content: Content, name: str, width: int, has_energy: bool) -> list[object] | None:
    """The row of the teacher or of the CodeBERT architecture, whose weights are random: it has costs alone."""
    model, teacher = content.model(name), content.teacher if name == "teacher" else None
    if model is None and teacher is None:
        return None
    size_bytes = model["size_bytes"] if model is not None else teacher.size_bytes if teacher is not None else None
    flops = (teacher.flops if teacher is not None else None) or (model["flops"] if model is not None else None)
    latency_ms = content.reference_latency_ms(name)
    energy = model["energy"] if model is not None else None
    cells: list[object] = [
        name if name == "teacher" else "CodeBERT",
        "",
        _with_interval(teacher.valid, content.metric) if teacher is not None else "",
        _with_interval(teacher.test, content.metric) if teacher is not None and teacher.test is not None else "",
        megabytes(size_bytes).removesuffix(" MB") if size_bytes is not None else "",
        megaflops(flops).removesuffix(" MFLOPs") if flops is not None else "",
        milliseconds(latency_ms).removesuffix(" ms") if latency_ms is not None else "",
        *([f"{energy['joules']:.3g}" if energy is not None else ""] if has_energy else []),
    ]
    return cells + [""] * (width - len(cells))


def _with_interval(figures: Mapping[str, Any], metric: str) -> Html:
    """`69.3 (63.9 to 74.2)`, the interval below and smaller."""
    bounds = figures.get(f"{metric}_interval")
    value = f"{100 * figures[metric]:.1f}"
    return joined([value, element("small", interval(bounds))]) if bounds is not None else joined([value])


def _students_caption(content: Content) -> Html:
    said = [
        "Small: 95 % intervals. Validation chose the epoch and the student; test is only reported. Predicted: the "
        "indicator’s mean and 95 % interval. MB: float32 weights on disk, of 1,000,000 bytes. MFLOPs: matrix products "
        "of one input at full length. • no other distilled student is at least as good in everything measured. "
    ]
    if content.compared is not None:
        device = content.compared["device"]
        threads = f", {count(device['threads'], 'thread')}" if device.get("threads") else ""
        said.append(
            f"ms: median latency of one input, tokenization apart, all models timed by turns on {device['model']}"
            f"{threads}, {content.compared['repeats']} passes each. Ratios come from that one run; CodeBERT is "
            "its architecture with random weights, on which its cost does not depend."
        )
    else:
        said.append(
            "ms: median latency of one input as the student’s own worker timed it; ratios come with the comparison "
            "that ends a run."
        )
    if not any(s.energy is not None for s in content.students):
        said.append(" Energy was not measured: the device has no counter that could be read.")
    return joined(said)


def trust(content: Content) -> Html:
    """Predicted against measured, and how far the indicator may be trusted."""
    fitted = [found for found in content.rounds if found.indicator is not None]
    said = []
    for found in fitted:
        indicator = found.indicator
        assert indicator is not None
        prefix = f"Round {found.number + 1}: the" if len(fitted) > 1 else "The"
        said.append(
            f"{prefix} indicator was fitted on {count(indicator.num_samples, 'student')}. Each left out in turn and "
            f"predicted from the others: error {points(indicator.leave_one_out_error)}, rank correlation "
            f"{indicator.rank_correlation:.2f}, and {percent(indicator.coverage)} of them in their 95 % interval. "
        )
    if fitted and (last := fitted[-1].indicator) is not None:
        low, high = last.rank_correlation_interval
        said.append(
            f"It ranks students it has not seen better than chance (95 % interval {low:.2f} to {high:.2f}); neighbours "
            "on the front it cannot tell apart. "
            if last.ranks
            else f"As far as {count(last.num_samples, 'sample')} tell (95 % interval {low:.2f} to {high:.2f}), it "
            "cannot rank students here: more samples, or more of their epochs, may. "
        )
    drawn = [student for student in content.students if student.predicted is not None]
    if not drawn:
        said.append("No student with a prediction is measured yet." if fitted else "The indicator is not fitted yet.")
        return section("trust", "Predicted against measured", paragraph(*said))
    caption = joined(
        [
            how("predicted", "measured"),
            " Bars are 95 % intervals. Predictions speak of brief distillation, on which the indicator was fitted; "
            "students above the dotted line became better than that by learning longer.",
        ]
    )
    label = "Scatter plot of predicted against measured effectiveness of each distilled student"
    return section("trust", "Predicted against measured", paragraph(*said), figure("plot-trust", caption, label=label))


def learning(content: Content) -> Html:
    """Learning curves of the distilled students."""
    if not content.students:
        return Html("")
    seconds = sum(student.result.seconds for student in content.students if student.result is not None)
    caption = joined([how("measured"), " On the validation split after each epoch; the large dot is the epoch kept."])
    label = "Line chart of effectiveness on validation by epoch, one line a student"
    took = f"{count(len(content.students), 'student')}, {duration(seconds)} of distillation and measurement altogether."
    return section("learning", "Learning curves", paragraph(took), figure("plot-learning", caption, label=label))
