"""What `pyproject.toml` promises about dependencies, and whether the installed distribution says the same."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path
from pkgutil import iter_modules

import pytest

import uploadkit.adapters

PROJECT = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WITHOUT_FRAMEWORK = {"annotations", "asgi", "capabilities", "kept", "openapi", "problem", "sockets", "unread", "wsgi"}

# PYTHONPATH=src works without an installation, and then there is no metadata to look at.
installed = pytest.mark.skipif(
    not list(metadata.distributions(name="pyuploadkit")), reason="pyuploadkit is not installed here"
)


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, without extras and versions."""
    return {re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_the_core_needs_filetype_alone() -> None:
    """Whoever installs uploadkit without an extra gets one other distribution."""
    assert names(PROJECT["dependencies"]) == {"filetype"}


def test_every_adapter_of_a_framework_has_an_extra_of_its_name() -> None:
    """`pip install 'pyuploadkit[flask]'` brings what `uploadkit.adapters.flask` needs."""
    adapters = {module.name for module in iter_modules(uploadkit.adapters.__path__) if not module.name.startswith("_")}
    assert {name.replace("_", "-") for name in adapters - WITHOUT_FRAMEWORK} <= set(EXTRAS)


def test_the_test_extra_brings_every_other_extra() -> None:
    """One extra is enough to run the whole suite."""
    itself = [re.match(r"pyuploadkit\[([a-z0-9,-]+)\]", requirement) for requirement in EXTRAS["test"]]
    assert {name for found in itself if found for name in found[1].split(",")} == set(EXTRAS) - {"test"}


def test_every_dependency_has_a_lower_bound_and_no_upper_one() -> None:
    """A lower bound can be tested; an upper one would only forbid what nobody has tried yet."""
    users = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in EXTRAS[extra])]
    bounds = [line for line in users if not line.startswith("pyuploadkit")]
    assert [line for line in bounds if not re.fullmatch(r"[a-z0-9-]+(\[[a-z,]+\])?>=[0-9a-z.]+", line)] == []


@installed
def test_the_installed_distribution_has_the_version_and_extras_of_the_project() -> None:
    """The distribution under test is the one of this tree."""
    found = metadata.metadata("pyuploadkit")
    assert (found["Version"], set(found.get_all("Provides-Extra") or ())) == (PROJECT["version"], set(EXTRAS))
