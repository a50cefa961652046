"""The real job: distil one student, measure it, give back its files."""

from __future__ import annotations

import platform
import threading
import time

from avatar_optuna.costs import flops
from avatar_optuna.distillation import (
    Classifier,
    Teacher,
    distil,
    limit_device_memory,
    own_stream,
    within_device_memory,
)
from avatar_optuna.exceptions import StudyError
from avatar_optuna.manifest import store_decision
from avatar_optuna.measurement import describe_device, measure, measure_objectives, use_threads
from avatar_optuna.objectives import measured
from avatar_optuna.pool._job import ExecutorSettings, JobContext, JobOutcome
from avatar_optuna.schema import SETTINGS, Job, JobResult, package_versions
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import study_attributes
from avatar_optuna.tasks import Task, load_task
from avatar_optuna.teachers import load_teacher

_VERSIONS = ("avatar-optuna", "torch", "transformers", "tokenizers", "numpy")


class Distiller:
    """Does distillation jobs; the task and the teacher are loaded with the first and kept.

    Args:
        about: The study, the cache and where the jobs run.
    """

    def __init__(self, about: ExecutorSettings) -> None:
        self._settings = StudySettings.from_dict(study_attributes(about.storage, about.study_name)[SETTINGS])
        self._cache_dir = about.cache_dir
        self._device, self._memory_share = about.slot.device, about.slot.memory_share
        limit_device_memory(self._device, self._memory_share)
        if about.slot.threads is not None:
            use_threads(about.slot.threads)
        self._loaded: tuple[Task, Teacher] | None = None
        self._loading = threading.Lock()

    def __call__(self, job: Job, context: JobContext) -> JobOutcome:
        """Distil, measure, and give back the student's directory; threads that share a GPU each have a stream."""
        with own_stream(self._device), within_device_memory(self._memory_share):
            return self._do(job, context)

    def _do(self, job: Job, context: JobContext) -> JobOutcome:
        begun = time.monotonic()
        self._refuse_foreign(job)
        task, teacher = self._task_and_teacher()
        loading_s = time.monotonic() - begun
        metric = self._settings.measurement.effectiveness
        student = distil(
            hyperparameters=job.hyperparameters,
            task=task,
            teacher=teacher,
            settings=self._settings.distillation,
            epochs=job.schedule_epochs or job.epochs,
            stop_after=job.epochs,
            device=self._device,
            out_dir=context.folder / "student",
            cache_dir=self._cache_dir,
            checkpoint=context.checkpoints,
            on_epoch=lambda record: context.report(record.epoch, record.valid.get(metric)),
            metric=metric,
        )
        distilled = time.monotonic()
        classifier = Classifier.load(student.directory, task_shape=task.shape, device=self._device)
        settings = self._settings.measurement
        aim = self._settings.distillation.aim
        measurement = measure(classifier, task, settings, aim=aim, has_device_alone=False)
        store_decision(student.directory, measurement.decision)
        further = measure_objectives(
            measured(self._settings.search.objectives),
            classifier,
            task,
            directory=student.directory,
            hyperparameters=job.hyperparameters,
            edits=self._settings.measured_edits,
            cache_dir=self._cache_dir,
            decision=measurement.decision,
        )
        result = JobResult(
            effectiveness=measurement.valid[settings.effectiveness],
            valid=measurement.valid,
            test=measurement.test,
            size_bytes=student.size_bytes,
            parameters=classifier.num_parameters,
            flops=int(flops(job.hyperparameters, task.shape)),
            latency_ms=measurement.latency[0].median_ms,
            latency=measurement.latency,
            history=tuple(record.to_dict() for record in student.history),
            best_epoch=student.best_epoch,
            seconds=time.monotonic() - begun,
            loading_seconds=loading_s,
            parts_seconds={
                "preparation": student.preparation_seconds,
                "training": student.training_seconds,
                "measurement": time.monotonic() - distilled,
            },
            device=describe_device(self._device),
            host=platform.node(),
            measured=further,
            versions=package_versions(_VERSIONS),
            decision=measurement.decision,
        )
        return JobOutcome(result=result, directory=student.directory)

    def _refuse_foreign(self, job: Job) -> None:
        """Whoever may write to the database decides what is queued: what the study would never queue is not begun.

        Raises:
            StudyError: The student is not of the study's space, or is to be distilled for longer than the study says.
        """
        longest = max(self._settings.indicator.epochs, self._settings.distillation.epochs)
        if not 1 <= job.epochs <= (job.schedule_epochs or longest) <= longest:
            raise StudyError(f"a job must have 1 to {longest} epochs, as the study says, got {job.epochs}")
        if not self._settings.space.contains(job.hyperparameters):
            raise StudyError(f"a job must be of the study's space, got {job.hyperparameters}")

    def _task_and_teacher(self) -> tuple[Task, Teacher]:
        with self._loading:
            if self._loaded is None:
                task = load_task(self._settings.task, cache_dir=self._cache_dir)
                teacher = load_teacher(self._settings.teacher, task, cache_dir=self._cache_dir, device=self._device)
                teacher.logits("train")  # computed once for all threads
                self._loaded = task, teacher
            return self._loaded
