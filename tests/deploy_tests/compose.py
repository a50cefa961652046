"""`docker-compose.yml` as Compose reads it, and its services as local processes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy_tests.servers import ROOT

FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<rule>:[-?])(?P<rest>[^}]*))?\}")


class MissingVariableError(Exception):
    """Compose refuses a file with a `${NAME:?message}` that has no value."""


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """The Compose specification's interpolation, of the forms that the file uses."""
    if isinstance(value, dict):
        return {key: interpolated(entry, variables) for key, entry in value.items()}
    if isinstance(value, list):
        return [interpolated(entry, variables) for entry in value]
    return _VARIABLE.sub(lambda found: _variable(found, variables), value) if isinstance(value, str) else value


def _variable(found: re.Match[str], variables: Mapping[str, str]) -> str:
    value = variables.get(found["name"], "")
    if found["rule"] == ":?" and not value:
        raise MissingVariableError(f"{found['name']}: {found['rest']}")
    return value or (found["rest"] if found["rule"] == ":-" else "")


def load_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """The whole file, its merges and variables resolved."""
    return dict(interpolated(yaml.safe_load(FILE.read_text(encoding="utf-8")), variables))


def image_environment() -> dict[str, str]:
    """What the Dockerfile's last ENV sets."""
    lines = re.findall(r"^ENV (.*)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    return dict(entry.split("=", 1) for entry in lines[-1].split())


@dataclass(frozen=True, kw_only=True)
class LocalService:
    """A service as a process here: the same command and environment, its paths where the mounts have them.

    Args:
        service: The service's part of the file.
        volumes: A folder that stands for each named volume.
        database: Host and port that stand for the service `database`.
    """

    service: Mapping[str, Any]
    volumes: Path
    database: str

    @property
    def command(self) -> list[str]:
        return [self._placed(word) for word in self.service["command"]]

    @property
    def environment(self) -> dict[str, str]:
        given = {**image_environment(), **self.service.get("environment", {})}
        host = {name: value.replace("@database/", f"@{self.database}/") for name, value in given.items()}
        return {name: self._placed(value) for name, value in host.items()}

    def _placed(self, text: str) -> str:
        """A path of the container, here. The longest mount decides."""
        for inside, outside in sorted(self._mounts().items(), key=lambda mount: -len(mount[0])):
            text = re.sub(rf"(^|=){re.escape(inside)}(?=/|$)", rf"\g<1>{outside}", text)
            if str(outside) in text:
                return text
        return text

    def _mounts(self) -> dict[str, Path]:
        mounts = {}
        for mount in self.service.get("volumes", []):
            outside, inside = mount.split(":")[:2]
            is_path = outside.startswith((".", "/"))
            mounts[inside] = (ROOT / outside).resolve() if is_path else self.volumes / outside
        return mounts
