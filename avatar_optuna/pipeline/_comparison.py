"""The last phase of a study: its students timed and asked beside their teacher, the baseline and CodeBERT."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState

from avatar_optuna.decision import Decision
from avatar_optuna.distillation import Classifier, Teacher
from avatar_optuna.edits import edited
from avatar_optuna.measurement import Answered, compare, estimate_power, measure_answers, open_counter
from avatar_optuna.metrics import Answers
from avatar_optuna.pipeline._cost import counted
from avatar_optuna.pipeline._device import device_here, named_device
from avatar_optuna.pipeline._workforce import Workforce
from avatar_optuna.schema import COMPARISON, POWER, TEACHER, Comparison, Job, JobResult, TeacherRecord
from avatar_optuna.storage import artifact_store, download_directory
from avatar_optuna.tasks import Task

Results = Mapping[str, JobResult]


@dataclass(frozen=True, kw_only=True)
class ComparisonPhase:
    """The comparison of a study's students.

    Args:
        workforce: Of the run.
        task: Whose test split is asked.
        teacher: Beside which students are timed, where it is a model.
        baseline: What TF-IDF with logistic regression says, by split.
    """

    workforce: Workforce
    task: Task
    teacher: Teacher
    baseline: Callable[[Task], Mapping[str, Answers]]

    def run(self) -> bool:
        """Compare students that have not been compared yet; returns whether there were any."""
        study = self.workforce.study
        settings = study.settings.measurement
        stored = study.stored(Comparison, COMPARISON)
        wanted = self._left_to_compare(stored)
        if not wanted:
            return stored is not None and self._complete_power(stored)
        with counted(study, "comparison", settings.device):
            compared = self._compared(wanted)
        if stored is not None and stored.device != compared.device:
            self.workforce.progress.say(
                f"warning    the students before were timed on {named_device(stored.device)}, these on "
                f"{named_device(compared.device)}: compare their ratios, not their latencies"
            )
        self._store_power()  # before the comparison: a run that stops in between does both again
        study.set_attribute(COMPARISON, (compared if stored is None else stored.extended(compared)).to_dict())
        self.workforce.progress.say(f"comparison {len(wanted)} students, teacher and CodeBERT timed side by side")
        return True

    def _complete_power(self, stored: Comparison) -> bool:
        """Store the estimate of power that a run of an earlier version was stopped before; returns whether it did.

        The estimate is of this machine's processor, so only where the students were timed on this device.
        """
        study, last = self.workforce.study, stored.later[-1] if stored.later else stored
        is_counted = any(model.energy is not None for model in last.models.values())
        if is_counted or POWER in study.read_attributes() or last.device != device_here(study.settings):
            return False
        return self._store_power()

    def _store_power(self) -> bool:
        """Store what is assumed of a device that has no counter of energy; returns whether it has none."""
        study = self.workforce.study
        device, threads = study.settings.measurement.device, study.settings.measurement.threads
        if open_counter(device) is not None:
            return False
        study.set_attribute(POWER, estimate_power(device, threads).to_dict())
        return True

    def _left_to_compare(self, stored: Comparison | None) -> Results:
        trials = self.workforce.study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return {
            str(trial.number): JobResult.from_trial(trial)
            for trial in trials
            if Job.from_trial(trial).purpose == "front" and (stored is None or stored.of(str(trial.number)) is None)
        }

    def _compared(self, results: Results) -> Comparison:
        settings = self.workforce.study.settings.measurement
        with (
            tempfile.TemporaryDirectory() as folder,
            self.workforce.progress.busy("timing students, teacher and CodeBERT by turns"),
        ):
            students = self._loaded(results, Path(folder))
            decisions = self._decisions(results)
            return compare(
                students,
                self.teacher.classifier,
                self.task.test,
                settings,
                variants=self._edited_test(),
                decisions=decisions,
                answered=self._answered(students, decisions),
                sizes_bytes={name: result.size_bytes for name, result in results.items()},
            )

    def _loaded(self, results: Results, folder: Path) -> dict[str, Classifier]:
        study = self.workforce.study
        store, device = artifact_store(study.artifacts), study.settings.measurement.device
        students = {}
        for name, result in results.items():
            download_directory(store, result.files, folder / name)
            students[name] = Classifier.load(folder / name, task_shape=self.task.shape, device=device)
        return students

    def _edited_test(self) -> tuple[tuple[str, ...], ...]:
        """The edited test functions under which flips are counted; none where the study does not ask for them."""
        count, cache_dir = self.workforce.study.settings.measured_edits, self.workforce.cache_dir
        return edited(self.task.test.functions, self.task.language, count=count, cache_dir=cache_dir) if count else ()

    def _decisions(self, results: Results) -> dict[str, Decision]:
        """How the logits of students and teacher become labels, by name."""
        record = self.workforce.study.stored(TeacherRecord, TEACHER)
        own = {name: result.decision for name, result in results.items()}
        known = {**own, "teacher": record.decision if record is not None else None}
        return {name: decision or Decision() for name, decision in known.items()}

    def _answered(self, students: Mapping[str, Classifier], decisions: Mapping[str, Decision]) -> dict[str, Answered]:
        """How each student answers beside the baseline and, as far as its answers are known, the teacher."""
        task, teacher = self.task, self.teacher
        known = {
            name: Answers(split=task.splits[name], logits=teacher.logits(name), decision=decisions["teacher"])
            for name in ("valid", "test")
            if teacher.has_logits(name)
        }
        others = {"teacher": known, "baseline": self.baseline(task)}
        metric = self.workforce.study.settings.measurement.effectiveness
        return {
            name: measure_answers(student, decisions[name], task, metric, others=others)
            for name, student in students.items()
        }
