"""One worker process, begun by `WorkerProcesses`."""

from avatar_optuna.pool._processes import worker_main

if __name__ == "__main__":
    raise SystemExit(worker_main())
