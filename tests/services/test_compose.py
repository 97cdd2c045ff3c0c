"""docker-compose.yml and the Dockerfile, as far as they can be looked at without Docker."""

from __future__ import annotations

import copy
import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from hpsearch.cli import app
from hpsearch.settings import SHARED_MEMORY_BYTES
from hpsearch.study.storage.open import StorageUrl
from tests.conftest import CommandLine
from tests.services.compose import COMPOSE, MOUNTED, OWN, ROOT, RUNNERS, SERVICES, command, filled_in

SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def errors(file: dict[str, Any]) -> list[str]:
    """What the official schema finds wrong."""
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(file)]


def texts(value: Any) -> list[str]:
    """All texts within a part of the file."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return [each for one in value for each in texts(one)] if isinstance(value, list) else [str(value)]


def test_the_file_is_of_the_official_schema() -> None:
    assert errors(COMPOSE) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("services", "runner", "restarts"), "no"),
        (("services", "postgres", "healthcheck", "interval"), 5),
        (("services", "dashboard", "depends_on", "postgres", "condition"), "healthy"),
        (("services", "runner-gpu", "deploy", "resources", "reservations", "devices", 0, "capabilities"), "gpu"),
        (("secrets", "hf_token", "path"), "x"),
    ],
)
def test_the_schema_notices_a_mistake(place: tuple[str | int, ...], value: object) -> None:
    file = copy.deepcopy(COMPOSE)
    part: Any = file
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    assert errors(file)


def test_every_variable_has_a_default() -> None:
    for text in texts(COMPOSE):
        assert "$" not in filled_in(text), text


@pytest.mark.parametrize("service", OWN)
def test_its_command_is_understood(service: str) -> None:
    program, name, *words = command(service)
    assert program == "hpsearch"
    found = app.get_command(click.Context(app), name)
    assert found is not None
    assert found.make_context(name, words)


def test_the_runners_study_is_there(command_line: CommandLine) -> None:
    planned = command_line(*command("runner")[1:], "--dry-run")
    assert planned.returncode == 0, planned.stderr


def test_secrets_are_files_and_nowhere_else() -> None:
    assert COMPOSE["secrets"]
    for secret in COMPOSE["secrets"].values():
        assert set(secret) == {"file"}
    for name, service in SERVICES.items():
        used = {found for text in texts(service) for found in re.findall(f"{MOUNTED}([a-z_]+)", text)}
        assert used == set(service["secrets"]), name
        assert used <= set(COMPOSE["secrets"])
        for variable, value in service["environment"].items():
            secret = re.search("PASSWORD|TOKEN|SECRET|KEY", variable)
            assert not secret or (variable.endswith(("_FILE", "_PATH")) and value.startswith(MOUNTED)), variable
            assert not StorageUrl(value).has_password, variable
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/secrets/" in ignored


def test_only_this_machine_is_let_in() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(ports) == {"dashboard"}
    assert [filled_in(port) for port in ports["dashboard"]] == ["127.0.0.1:8080:8080"]


def test_who_waits_for_whom_and_what_is_started_again() -> None:
    assert {"postgres", "dashboard"} <= {name for name, service in SERVICES.items() if "healthcheck" in service}
    for name, service in OWN.items():
        assert service["depends_on"]["postgres"]["condition"] == "service_healthy", name
        assert service["init"] is True, name
        assert not filled_in(service["user"]).startswith("0"), name
    for name, service in RUNNERS.items():
        assert service["restart"].startswith("on-failure"), name
        assert int(service["stop_grace_period"].removesuffix("s")) > 15, name
        assert len(service["profiles"]) == 1, name
    assert int(SERVICES["runner-gpu"]["shm_size"].removesuffix("gb")) * 2**30 > SHARED_MEMORY_BYTES
    volumes = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert {volume for volume in volumes if volume.isidentifier()} == set(COMPOSE["volumes"])


def copied() -> list[str]:
    """What the Dockerfile takes from the checkout."""
    lines = re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_the_stages_are_there() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    assert {service["build"]["target"] for service in OWN.values()} <= stages
    arguments = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    assert {name for service in OWN.values() for name in service["build"].get("args", {})} <= arguments


def test_the_extras_that_are_installed_are_there() -> None:
    extras = {name for found in re.findall(r'"\.\[([a-z,]+)\]"', DOCKERFILE) for name in found.split(",")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"train", "postgres"} <= extras <= set(project["optional-dependencies"])


def test_what_the_image_copies_is_there_and_not_left_out() -> None:
    wanted = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, rule) or rule.startswith(f"{source}/") for rule in wanted), source


def test_what_the_image_copies_is_all_that_an_installation_needs(tmp_path: Path) -> None:
    context, target = tmp_path / "src", tmp_path / "site"
    context.mkdir()
    for source in copied():
        path = ROOT / source
        if path.is_file():
            shutil.copy(path, context)
        else:
            shutil.copytree(path, context / source, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(target), "."]
    argv = [sys.executable, *words]
    done = subprocess.run(argv, cwd=context, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (target / "hpsearch/assets/studies/digits-ocr.json").is_file()


def test_the_pages_name_services_and_profiles_that_are_there() -> None:
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", ())}
    named = set()
    for page in ("README.md", "docs/services.md", "docker-compose.yml"):
        for line in re.findall(r"docker compose ([^`#\n]+)", (ROOT / page).read_text(encoding="utf-8")):
            assert set(re.findall(r"--profile (\S+)", line)) <= profiles, line
            words = [word for word in re.sub(r"--profile \S+", "", line).split() if not word.startswith("-")]
            named |= set(words[1:2])
    assert {"runner", "runner-gpu"} <= named <= set(SERVICES)
