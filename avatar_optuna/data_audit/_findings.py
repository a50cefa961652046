"""An audit in sentences: what to know before trusting a figure on this data, the worst first."""

from __future__ import annotations

from avatar_optuna.data_audit._audit import DataAudit, SplitAudit
from avatar_optuna.data_audit._overlap import Overlap
from avatar_optuna.tasks import SkippedRows

_WORTH_SAYING = 0.01  # of functions or inputs
_FEW_GROUPS = 10
_MOST = 0.5
_NEAR = 0.02  # names alone reach nearly what all words do


def findings(audit: DataAudit) -> list[str]:
    """One sentence each; none where nothing was found."""
    skipped = SkippedRows(count=audit.skipped, reasons=audit.skipped_reasons)
    said = [str(skipped)] if skipped.count else []
    said += [text for entry in audit.overlaps for text in _of_overlap(entry, audit.splits[entry.split])]
    for name, split in audit.splits.items():
        said += _of_split(name, split)
    return said + _of_groups_in_two(audit) + _of_groups(audit) + _of_names(audit)


def mend(audit: DataAudit) -> str | None:
    """What to write into the study file, or None where nothing is to be mended."""
    if not any(entry.functions["code"] for entry in audit.overlaps):
        return None
    return (
        '[task] split = "disjoint" leaves out of validation and test what stands in another split, "unseen" of '
        "validation alone, which selects"
    )


def _of_overlap(entry: Overlap, split: SplitAudit) -> list[str]:
    said = []
    if entry.ids:
        said.append(f"{entry.split}: {entry.ids:,} functions stand in {entry.beside} too, by their identifiers")
    copied, renamed = entry.functions["code"], entry.functions["names"]
    if copied:
        more = f", {_share(renamed, split.functions)} if names are left out as well" if renamed > copied else ""
        said.append(
            f"{entry.split}: {_share(copied, split.functions)} of {split.functions:,} functions are copies of those of "
            f"{entry.beside}, comments and blanks aside{more}; they are in "
            f"{_share(entry.inputs['code'], split.inputs)} of the inputs"
        )
    if entry.contradictions:
        said.append(f"{entry.split}: {entry.contradictions:,} functions have another label in {entry.beside}")
    if entry.fixes:
        said.append(f"{entry.split}: of {entry.fixes:,} fixes the other function stands in {entry.beside}")
    return said


def _of_split(name: str, split: SplitAudit) -> list[str]:
    said = []
    if split.contradictory:
        said.append(f"{name}: {split.contradictory:,} functions stand with several labels")
    if split.copies["code"] > _WORTH_SAYING * split.functions:
        said.append(
            f"{name}: {_share(split.copies['code'], split.functions)} of its functions stand more than once, comments "
            "and blanks aside"
        )
    if split.truncated is not None and split.truncated > _WORTH_SAYING:
        said.append(f"{name}: {split.truncated:.1%} of functions are longer than the teacher reads")
    if split.pairs is None:
        return said
    pairs, negatives = split.pairs, split.inputs - split.pairs.positives
    if pairs.contradictory:
        said.append(f"{name}: {pairs.contradictory:,} pairs stand with both labels")
    if pairs.copies_apart:
        said.append(f"{name}: {pairs.copies_apart:,} pairs of a function and its copy have the label 0")
    if pairs.negatives_within > _WORTH_SAYING * negatives:
        said.append(
            f"{name}: {_share(pairs.negatives_within, negatives)} of the pairs of label 0 are of two functions that "
            "pairs of label 1 connect: the labels are not transitive"
        )
    return said


def _of_groups_in_two(audit: DataAudit) -> list[str]:
    """Behind the faults: a group that is a kind of function, such as a weakness, should stand in all splits."""
    said = []
    for entry in audit.overlaps:
        split = audit.splits[entry.split]
        if entry.groups:
            said.append(
                f"{entry.split}: {entry.groups:,} of {split.groups:,} groups stand in {entry.beside} too, with "
                f"{_share(entry.group_inputs, split.inputs)} of the inputs"
            )
    return said


def _of_groups(audit: DataAudit) -> list[str]:
    said = []
    for name, split in audit.splits.items():
        pairs = split.pairs
        if pairs is not None and pairs.large_groups <= _FEW_GROUPS and pairs.large_share > _MOST:
            said.append(
                f"{name}: {pairs.large_groups} connected groups hold {pairs.large_share:.1%} of the pairs of label 1"
            )
    reached = {name: figures["accuracy"] for name, figures in audit.baselines.get("groups", {}).items()}
    if said and reached:
        each = ", ".join(f"{accuracy:.1%} on {name}" for name, accuracy in reached.items())
        said.append(f"telling only the large groups of train apart reaches {each} (accuracy)")
    return said


def _of_names(audit: DataAudit) -> list[str]:
    if not audit.baselines:
        return []
    names, words = (audit.baselines[kind]["valid"]["balanced_accuracy"] for kind in ("names", "tf-idf"))
    chance = 1 / len(audit.splits["valid"].labels)
    if names < words - _NEAR or names < chance + _NEAR:
        return []
    return [f"names alone reach {names:.1%} on validation, all words and symbols {words:.1%} (balanced)"]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0 %"
