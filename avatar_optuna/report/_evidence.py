"""Sections about the evidence: the front, the search, the audit of the stand-ins, the study's own cost."""

from __future__ import annotations

from avatar_optuna.carbon import carbon_g
from avatar_optuna.report._content import Content
from avatar_optuna.report._figures import AXES, axis_title, front_shown, others_shown
from avatar_optuna.report._markup import Html, element, figure, how, joined, paragraph, section, table
from avatar_optuna.report._words import count, duration, interval, joules, megaflops, milliseconds, percent, times
from avatar_optuna.schema import PHASES, EstimatedPower, RankCorrelation, StudyCost

_PHASES = {
    "teacher": "teacher: training or loading, and measuring",
    "calibration": "calibration of cost models",
    "samples": "samples of the indicator",
    "search": "search",
    "distillation": "distillation of students",
    "audit": "audit of the stand-ins",
    "comparison": "comparison side by side",
}
_FIGURES = {"latency_ms": "latency", "energy_j": "energy"}


def front(content: Content) -> Html:
    """The front in the plane, with axes to choose, and in space."""
    if not content.rounds and not content.students:
        return section("front", "The front", paragraph("Nothing is predicted or measured yet."))
    axes = ["size_bytes", "flops", "effectiveness"]
    if content.students:
        axes.insert(2, "latency_ms")
    if any(student.energy is not None for student in content.students):
        axes.insert(3, "energy_j")
    controls = [
        element("label", f"{name} ", _axis_select(which, chosen, axes, content))
        for which, name, chosen in (("x", "across", "size_bytes"), ("y", "up", "effectiveness"))
    ]
    hint = "Choose a point to see what it is."
    return section(
        "front",
        "The front",
        figure("plot-front", _front_caption(content), *controls, label="Scatter plot of the Pareto front"),
        element("div", paragraph(hint, class_="quiet"), id="chosen", aria_live="polite"),
        figure(
            "plot-front-3d",
            joined([how("predicted", "measured", "by formula"), " The same over size and FLOPs; drag to turn."]),
            label="Scatter plot in three dimensions of effectiveness over size and FLOPs",
        ),
    )


def _axis_select(which: str, chosen: str, axes: list[str], content: Content) -> Html:
    options = (element("option", axis_title(axis, content), value=axis, selected=axis == chosen) for axis in axes)
    return element("select", *options, id=f"front-{which}")


def _front_caption(content: Content) -> Html:
    parts: list[object] = [how("predicted", "measured"), " "]
    if content.rounds:
        last = content.rounds[-1]
        shown, others = len(front_shown(last)), others_shown(last)
        of_front = f"{shown} of the {len(last.front)}" if shown < len(last.front) else f"the {shown}"
        off = len(last.found) - len(last.front)
        of_others = f" and {others} of the {off:,} others" if others else ""
        parts.append(
            f"Blue, predicted by the indicator, with size and FLOPs by formula: {of_front} configurations of the "
            f"predicted front{of_others}. Predictions have no {AXES['latency_ms'][0].partition(',')[0]}. "
        )
    if content.students:
        parts.append(
            "Orange, measured: distilled students, bars their 95 % intervals on validation; the star is recommended."
        )
    return joined(parts)


def search(content: Content) -> Html:
    """Hypervolume over trials, and how far the search is from the best."""
    if not content.rounds:
        return section("search", "The search", paragraph("The search has not begun."))
    said = []
    for found in content.rounds:
        name = f"Round {found.number + 1} scored" if len(content.rounds) > 1 else "It scored"
        said.append(
            f"{name} {len(found.found):,} feasible configurations in {duration(found.found.seconds)}; "
            f"{len(found.front)} are on its front. "
        )
        if (share := found.hypervolume_share) is not None:
            said.append(
                f"It reached {percent(share['share'])} of the attainable hypervolume: the exact front under "
                f"the same indicator, of {share['method']} ({share['lattice_points']:,} points). "
            )
    caption = joined(
        [
            how("predicted"),
            " Volume that the configurations scored so far dominate, each objective scaled over the round’s final "
            "front, below the point 1.1 of every axis.",
        ]
    )
    label = "Line chart of the hypervolume over the configurations scored"
    return section("search", "The search", paragraph(*said), figure("plot-volume", caption, label=label))


def stand_ins(content: Content) -> Html:
    """Whether FLOPs and parameters may stand in for time and energy on this device."""
    title = "May FLOPs stand in for time?"
    audit = content.audit
    if audit is None:
        off = "The study file switched it off (measurement.audit). " if not content.settings.measurement.audit else ""
        said = "This was not audited: no students were timed to hold FLOPs and parameters against latency here. "
        run = [element("code", "avatar-optuna run STUDY.toml"), " audits it where measurement.audit is true."]
        return section("stand-ins", title, paragraph(said, off, *run))
    counted = (
        f"Of {audit.pairs:,} pairs of students whose latencies can be told apart, FLOPs order {audit.misordered:,} "
        f"wrongly ({percent(audit.misordered_share)}, 95 % interval {interval(audit.misordered_interval)})."
    )
    rows = [_correlation_row(correlation) for correlation in audit.correlations]
    headings = ["stand-in", "of", "Spearman", "Kendall’s tau"]
    worst = [
        [
            megaflops(audit.students[pair.fewer_flops].flops),
            milliseconds(audit.students[pair.fewer_flops].latency_ms),
            megaflops(audit.students[pair.more_flops].flops),
            milliseconds(audit.students[pair.more_flops].latency_ms),
            times(pair.times_latency),
        ]
        for pair in audit.worst
    ]
    pairs = element(
        "details",
        element("summary", "The pairs that FLOPs order most wrongly"),
        table(["fewer FLOPs", "takes", "more FLOPs", "takes", "slower, though with fewer"], worst),
    )
    return section(
        "stand-ins",
        title,
        paragraph(element("strong", audit.verdict), " ", counted),
        table(headings, rows, caption=joined([how("measured"), " In brackets 95 % intervals, by bootstrap."])),
        figure("plot-audit", _audit_caption(content), label="Scatter plot of measured latency over FLOPs"),
        *([pairs] if worst else []),
    )


def _correlation_row(found: RankCorrelation) -> list[object]:
    return [
        "FLOPs" if found.stand_in == "flops" else found.stand_in,
        _FIGURES.get(found.figure, found.figure),
        *(
            f"{value:.2f} ({low:.2f} to {high:.2f})"
            for value, (low, high) in (
                (found.spearman, found.spearman_interval),
                (found.kendall, found.kendall_interval),
            )
        ),
    ]


def _audit_caption(content: Content) -> Html:
    audit = content.audit
    assert audit is not None
    waited = f"; {percent(audit.waited_share)} of that time was lost to other work" if audit.waited_share else ""
    return joined(
        [
            how("measured", "by formula"),
            f" {count(len(audit.students), 'random feasible student')} with random weights, which do not change what "
            f"a model costs; the fastest of {audit.repeats} passes by turns, bars to the 95th percentile, batch "
            f"{audit.batch_size}, on "
            f"{audit.device.get('model', audit.device.get('name'))}, {audit.measured_utc[:10]}{waited}.",
        ]
    )


def cost(content: Content) -> Html:
    """What the study itself took, and when its student has paid that back."""
    title = "What the study itself cost"
    spent = content.cost
    if spent is None or not spent.phases:
        said = "The study’s own cost was not recorded: it was run by a version that did not keep it, or not at all."
        return section("cost", title, paragraph(said))
    counted = any(phase.energy_j is not None for phase in spent.phases.values())
    headings = ["phase", "time", "jobs", *(["energy"] if counted else [])]
    rows = [
        [
            _PHASES[name],
            duration(phase.seconds),
            f"{phase.jobs}" if phase.jobs else "",
            *([joules(phase.energy_j) if phase.energy_j is not None else "not counted"] if counted else []),
        ]
        for name in PHASES
        if (phase := spent.phases.get(name)) is not None
    ]
    whole, country = spent.energy_j, content.settings.measurement.country
    rows.append(["altogether", duration(spent.seconds), "", *([joules(whole) if whole else ""] if counted else [])])
    said = (
        "Time of the processes that did the work, that of jobs added up though workers did them side by side."
        if counted
        else "Time of the processes that did the work, that of jobs added up though workers did them side by side. "
        "Energy was not measured: the device has no counter that could be read."
    )
    if whole is not None and country is not None:
        said += f" On the mean grid of {country} that energy is {carbon_g(whole, country):,.3g} g of CO2-equivalent."
    if (power := content.estimated_power) is not None:
        said += _estimate(power, spent.seconds, country)
    marked = [False] * (len(rows) - 1) + [True]
    grid = table(headings, rows, marked=marked, caption=joined([how("measured"), " ", said]))
    return section("cost", title, grid, paragraph(*_pay_back(content, spent)))


def _estimate(power: EstimatedPower, seconds: float, country: str | None) -> str:
    """Energy that nobody measured: said to be an estimate, with what it assumes."""
    energy_j = power.joules(seconds)
    grams = f", {carbon_g(energy_j, country):,.3g} g of CO2-equivalent on the mean grid of {country}" if country else ""
    assumed = f"{power.source}: {power.assumption}"
    return f" An estimate, and no more than time in disguise ({assumed}): {joules(energy_j)}{grams}."


def _pay_back(content: Content, spent: StudyCost) -> list[object]:
    if content.recommendation is None:
        return ["There is no student yet that could pay it back."]
    student = content.recommendation.student
    teacher_ms = content.reference_latency_ms("teacher")
    if teacher_ms is None or content.model(str(student.job)) is None:
        return ["When it is paid back will be known once students and teacher are timed side by side."]
    saved_ms = teacher_ms - content.latency_ms(student)
    inferences = spent.inferences_to_repay_time(saved_ms)
    if inferences is None:
        return [f"Student {student.job} is no faster than its teacher: it never pays back the time."]
    parts: list[object] = [
        how("derived"),
        f" Student {student.job} saves {milliseconds(saved_ms)} on each input against its teacher: it has paid back "
        f"the time of the whole study after {inferences:,} inferences.",
    ]
    models = [content.model(name) for name in ("teacher", str(student.job))]
    energies = [model["energy"] for model in models if model is not None]
    if all(energy is not None for energy in energies):
        saved_j = energies[0]["joules"] - energies[1]["joules"]
        if (repaid := spent.inferences_to_repay_energy(saved_j)) is not None:
            parts.append(f" It saves {joules(saved_j)} each time, and has paid back the energy after {repaid:,}.")
    return parts
