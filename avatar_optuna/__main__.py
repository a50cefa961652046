"""`python -m avatar_optuna` is `avatar-optuna`."""

import sys

from avatar_optuna.cli import main

sys.exit(main())
