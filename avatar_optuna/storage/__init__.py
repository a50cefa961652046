"""The database and the artifact store.

`open_storage` gives Optuna's own storage with engine settings under which claims are atomic; everything written here
stands in Optuna's own tables, so the optuna command line, the dashboard and plain Optuna read it.
"""

from avatar_optuna.storage._claims import Claim, JobQueue, RunningJob
from avatar_optuna.storage._database import Storage, open_storage
from avatar_optuna.storage._generations import GenerationWriter, add_missing
from avatar_optuna.storage._search_lock import search_lock
from avatar_optuna.storage._url import mask_url

__all__ = [
    "Claim",
    "GenerationWriter",
    "JobQueue",
    "RunningJob",
    "Storage",
    "add_missing",
    "mask_url",
    "open_storage",
    "search_lock",
]
