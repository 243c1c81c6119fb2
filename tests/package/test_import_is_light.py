"""What an import of the façade costs, seen from a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPTIONAL = {
    "PIL", "alembic", "anyio", "botocore", "django", "fastapi", "flask", "fsspec", "httpx", "psycopg", "pydantic",
    "s3fs", "sqlalchemy", "starlette", "streaming_form_data", "werkzeug",
}  # fmt: skip
BUDGET = 40


def modules_loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a process of its own, without those that the start of Python loads."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def packages(modules: set[str]) -> set[str]:
    """The top-level names of modules."""
    return {module.partition(".")[0] for module in modules}


def test_importing_the_facade_loads_no_optional_package_and_no_event_loop() -> None:
    """`import uploadkit` is free for a program that uses one framework, or none."""
    assert packages(modules_loaded_by("import uploadkit")) & (OPTIONAL | {"asyncio", "filetype"}) == set()


def test_importing_the_facade_loads_few_modules() -> None:
    """`import uploadkit` loads names only: what a name needs is loaded when it is asked for."""
    assert len(modules_loaded_by("import uploadkit")) <= BUDGET


def test_using_every_name_of_the_facade_loads_no_optional_package() -> None:
    """A framework is loaded by its adapter alone, which the façade does not hold."""
    loaded = modules_loaded_by("import uploadkit; [getattr(uploadkit, name) for name in uploadkit.__all__]")
    assert packages(loaded) & OPTIONAL == set()


@pytest.mark.parametrize("package", ["multipart", "policy"])
def test_the_layers_without_io_load_no_event_loop(package: str) -> None:
    """The parser and the policy can be used where there is no event loop and no socket."""
    assert packages(modules_loaded_by(f"import uploadkit.{package}")) & {"asyncio", "socket", "threading"} == set()


def test_the_kit_for_tests_needs_the_standard_library_alone() -> None:
    """Users of every test runner and framework can import it."""
    loaded = modules_loaded_by("from uploadkit.testing import *")
    assert {"uploadkit.testing.forms", "uploadkit.testing.client", "uploadkit.testing.storage_swap"} <= loaded
    assert packages(loaded) - {"uploadkit", *sys.stdlib_module_names} <= {"filetype"}


def test_the_fixtures_cost_a_run_of_pytest_nothing() -> None:
    """Every run imports them where uploadkit is installed: what they need is loaded when one is used."""
    loaded = modules_loaded_by(
        "import contextlib, pytest; before = set(sys.modules); import uploadkit.testing.pytest_plugin"
    )
    assert loaded == {"uploadkit", "uploadkit.testing", "uploadkit.testing.pytest_plugin"}
