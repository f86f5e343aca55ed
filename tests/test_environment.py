"""``environment.yml`` and ``pyproject.toml`` ask for the same packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ENVIRONMENT: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))

OF_CONDA = {"python", "pip"}
"""What conda must be told and pip knows."""


def name(requirement: str) -> str:
    """The package's name, however the requirement is written."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[._]+", "-", found.group().lower())


def lower_bound(requirement: str) -> str | None:
    """``8.1.5`` of ``ipywidgets>=8.1.5``, whatever the operator."""
    found = re.search(r"[=<>~!]=?\s*([0-9][0-9.]*)", requirement)
    return found.group(1).rstrip(".") if found else None


def conda() -> dict[str, str]:
    return {name(entry): entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)}


def test_the_same_packages() -> None:
    """Each core dependency, python and pip; no more and no less."""
    assert set(conda()) == {name(entry) for entry in PROJECT["dependencies"]} | OF_CONDA


def test_the_same_lower_bounds() -> None:
    """Python's as well."""
    wanted = {name(entry): lower_bound(entry) for entry in PROJECT["dependencies"]}
    wanted["python"] = lower_bound(PROJECT["requires-python"])
    found = {package: lower_bound(conda()[package]) for package in wanted}
    assert found == wanted


def test_from_conda_forge_and_this_folder() -> None:
    """One channel; pip installs chatkit itself and nothing else."""
    assert ENVIRONMENT["channels"] == ["conda-forge"]
    (pip,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    assert pip in (["-e ."], ["--editable ."])
