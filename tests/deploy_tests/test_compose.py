"""The Compose file against the Compose specification, and its promises: no default password, loopback only."""

from __future__ import annotations

import json
import stat
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from avatar_optuna.cli._parser import build_parser
from tests.deploy_tests.compose import MissingVariableError, image_environment, load_compose
from tests.deploy_tests.servers import ROOT

PASSWORDS = {
    name: f"a long enough {name}"
    for name in ("POSTGRES_PASSWORD", "AVATAR_OWNER_PASSWORD", "AVATAR_WORKER_PASSWORD", "AVATAR_READER_PASSWORD")
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load_compose(PASSWORDS)


@pytest.fixture(scope="module")
def specification() -> dict[str, Any]:
    """The specification's JSON schema, as the package check-jsonschema keeps it up to date."""
    text = (files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def test_the_file_keeps_the_specification(compose: dict[str, Any], specification: dict[str, Any]) -> None:
    jsonschema.validate(compose, specification)


def test_the_specification_would_refuse_a_slip(compose: dict[str, Any], specification: dict[str, Any]) -> None:
    worker = {**compose["services"]["worker"], "enviroment": {}}
    with pytest.raises(jsonschema.ValidationError, match="enviroment"):
        jsonschema.validate({**compose, "services": {**compose["services"], "worker": worker}}, specification)


@pytest.mark.parametrize("missing", PASSWORDS)
def test_a_missing_password_stops_everything(missing: str) -> None:
    for variables in (PASSWORDS | {missing: ""}, {k: v for k, v in PASSWORDS.items() if k != missing}):
        with pytest.raises(MissingVariableError, match=f"{missing}: run deploy/new-passwords"):
            load_compose(variables)


def test_services_and_volumes_that_are_named_are_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for mount in service.get("volumes", []):
            outside = mount.split(":")[0]
            if outside in ("./backups", "./studies"):
                continue  # the first is made by the first backup, the second is the user's
            assert (ROOT / outside).exists() if outside.startswith(".") else outside in compose["volumes"]


def test_only_the_dashboard_is_reached_and_only_from_this_machine(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"dashboard": ["127.0.0.1:8080:8080"]}


def test_each_service_has_the_rights_of_its_work(compose: dict[str, Any]) -> None:
    roles = {
        name: service["environment"]["OPTUNA_STORAGE"].split("//avatar_")[1].split("@")[0]
        for name, service in compose["services"].items()
        if name != "database"
    }
    assert roles == {
        "study": "owner",
        "searcher": "worker",
        "worker": "worker",
        "worker-gpu": "worker",
        "dashboard": "reader",
        "backup": "reader",
    }
    for name, role in roles.items():
        environment = compose["services"][name]["environment"]
        assert environment["PGPASSWORD"] == PASSWORDS[f"AVATAR_{role.upper()}_PASSWORD"]


def test_each_service_s_command_is_one_of_ours(compose: dict[str, Any]) -> None:
    """The slow test of the services runs them; this one holds their options to the parser."""
    commands = [service["command"] for service in compose["services"].values() if "command" in service]
    ours = [words[1:] for words in commands if words[0] == "avatar-optuna"]
    assert {build_parser().parse_args(words).command for words in ours} >= {"create", "run", "worker", "dashboard"}


def test_what_is_written_lies_in_volumes(compose: dict[str, Any]) -> None:
    assert image_environment() == {
        "AVATAR_ARTIFACTS": "/var/lib/avatar/artifacts",
        "AVATAR_CACHE": "/var/lib/avatar/cache",
    }
    for name in ("searcher", "worker", "worker-gpu"):
        mounts = compose["services"][name]["volumes"]
        assert {"artifacts:/var/lib/avatar/artifacts", "cache:/var/lib/avatar/cache"} <= set(mounts)


def test_new_passwords_are_random_private_and_never_overwritten(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        subprocess.run([ROOT / "deploy/new-passwords", tmp_path / name], check=True)
        text = (tmp_path / name).read_text()
        made.append(dict(line.split("=", 1) for line in text.splitlines()))
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    values = [value for passwords in made for value in passwords.values()]
    assert set(made[0]) == set(PASSWORDS)
    assert len(set(values)) == 8
    assert all(len(value) == 48 for value in values)
    again = subprocess.run([ROOT / "deploy/new-passwords", tmp_path / "one"], capture_output=True, check=False)
    assert again.returncode != 0
    assert dict(line.split("=", 1) for line in (tmp_path / "one").read_text().splitlines()) == made[0]
    load_compose(made[0])


def test_the_image_holds_what_it_installs() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {
        "avatar_optuna",
        "avatar_optuna_python_tasks",
        "constraints.txt",
        "LICENSE",
        "pyproject.toml",
        "README.md",
    }
    assert {line[1:] for line in ignored} == copied
    dockerfile = (ROOT / "Dockerfile").read_text()
    words = {
        word.lstrip("./") for line in dockerfile.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]
    }
    assert words == copied
    assert "USER avatar" in dockerfile
