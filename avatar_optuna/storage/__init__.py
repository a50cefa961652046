"""The database and the artifact store.

`open_storage` gives Optuna's own storage with engine settings under which claims are atomic; everything written here
stands in Optuna's own tables, so the optuna command line, the dashboard and plain Optuna read it.
"""

from avatar_optuna.storage._artifacts import (
    artifact_attributes,
    artifact_store,
    download_directory,
    remove_files,
    upload_directory,
)
from avatar_optuna.storage._claims import Claim, JobDuration, JobQueue, RunningJob
from avatar_optuna.storage._copy import copy_study
from avatar_optuna.storage._database import (
    Storage,
    describe_error,
    has_study,
    open_for_reading,
    open_storage,
    search_lock,
    study_attributes,
)
from avatar_optuna.storage._progress import ProgressSnapshot, read_progress, scored_values
from avatar_optuna.storage._runs import RunRecord, RunRegistry
from avatar_optuna.storage._search_storage import SearchStorage
from avatar_optuna.storage._snapshot import StudySnapshot, read_snapshot
from avatar_optuna.storage._studies import StudySummary, delete_study, stored_files, study_summaries
from avatar_optuna.storage._trial_writer import add_missing
from avatar_optuna.storage._url import mask_url
from avatar_optuna.storage._work_times import work_times
from avatar_optuna.storage._workers import WorkerRecord, WorkerRegistry
