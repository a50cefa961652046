#!/usr/bin/env bash
# One study as a Slurm array: task 0 searches, the others distil, all ends when task 0 is done.
#     sbatch --array=0-8 deploy/slurm.sh studies/demo.toml demo-bytecode
#     sbatch --array=0-8 --gpus-per-task=1 deploy/slurm.sh studies/demo.toml demo-bytecode
# Wants OPTUNA_STORAGE (PostgreSQL; the password in ~/.pgpass), AVATAR_ARTIFACTS and AVATAR_CACHE (folders that every
# node sees), and the study made by `avatar-optuna create`; see deploy/README.md.
#SBATCH --job-name=avatar-optuna
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: sbatch --array=0-N deploy/slurm.sh STUDY.toml NAME" >&2; exit 2; }
: "${SLURM_ARRAY_TASK_ID:?this is an array: sbatch --array=0-N}" "${OPTUNA_STORAGE:?must be the database URL}"
: "${AVATAR_ARTIFACTS:?must be a folder that every node sees}" "${AVATAR_CACHE:?must be a folder that every node sees}"

if [ "$SLURM_ARRAY_TASK_ID" = 0 ]; then
    avatar-optuna run "$1" --workers 0
    scancel --quiet "${SLURM_ARRAY_JOB_ID}_[1-$SLURM_ARRAY_TASK_MAX]" || true # the workers would wait for more
else
    # SIGTERM comes a minute before the time is up, or with scancel: the worker hands its job back.
    exec avatar-optuna worker --study-name "$2" --devices auto
fi
