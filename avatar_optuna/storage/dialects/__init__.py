"""Database dialects, one file each: what differs between the databases that hold studies.

Another package adds one by an entry point of the group `avatar_optuna.dialects`, named like SQLAlchemy's dialect.
"""

from avatar_optuna.storage.dialects._dialect import DIALECTS, Dialect, dialect_of, dialect_of_url, example_urls
