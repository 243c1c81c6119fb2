"""What a change must pass: `nox` runs all of it, `nox -s NAME` one part, `nox --list` names the parts.

Words after `--` go to the tool of the session: `nox -s tests-3.13 -- tests/multipart -x`. A Python that is not
installed is left out with a message. Nothing here knows a machine: a session installs what it needs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
OLDEST = PYTHONS[0]
OF_PACKAGE, OF_OPTIMIZED = "3.12", "3.13"  # CI has the tests run on these in those two sessions alone, for its time
PROJECT = nox.project.load_toml("pyproject.toml")

# What the tests below the adapters need, and the tests that need an extra, a framework, a server or a browser as well.
BARE = ("hypothesis", "multipart-form-data-conformance", "pytest", "pytest-xdist")
NOT_BARE = (
    *("adapters", "bench/end_to_end", "bench/s3", "content", "docs", "events", "examples", "faults", "forms"),
    *("bench/test_bench_resumable.py", "intake/test_staging.py", "processing", "records", "resumable", "service"),
    *("storage/test_listing.py", "storage/test_transfer.py", "test_browsing.py", "test_cli.py", "test_cli_upkeep.py"),
    *("storage/fsspec", "storage/s3", "test_promotion.py"),
)

# What no Python, version or build changes, and the tests on the oldest Python have looked at: pages of the documents as
# a reader pastes them (the examples that they show are tested everywhere), pages and some examples in a browser, the
# service among other servers or asked by its document, the other doors for bytes and their clients, whose parts are
# tested everywhere, and the benchmarks, which are no part of the package.
ONCE = (
    *("adapters/test_docs_page.py", "bench", "docs", "examples/test_direct_uploads.py", "examples/test_page_rules.py"),
    *("examples/test_direct_pipeline.py", "examples/test_resumable.py", "examples/test_resumable_page.py", "resumable"),
    *("service/test_files_in_browser.py", "service/test_other_pages.py", "service/test_page.py", "test_browsing.py"),
    *("service/test_direct.py", "service/test_direct_in_bucket.py", "service/test_openapi.py", "service/test_uppy.py"),
    *("service/test_operate_examples.py", "service/test_page_tus.py", "service/test_two_processes.py"),
    *("storage/s3/test_partials.py",),
)

# What is about the moments and not the modules: a build cannot break it, nor is it another code under `python -O`.
FAULTS = (
    *("faults", "storage/fsspec/test_faults.py", "storage/s3/test_faults.py", "storage/s3/test_processes.py"),
    *("service/test_serve.py", "service/test_watching.py"),
)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, with everything that an extra can bring, on one Python: the oldest has what is looked at once."""
    session.install("-e", ".[test]")
    _run_tests(session, *(() if session.python == OLDEST else ONCE))


@nox.session
def tests_bare(session: nox.Session) -> None:
    """The tests of everything below the adapters, with no extra installed: the core needs none."""
    session.install("-e", ".", *_bounds("test", only=BARE))
    session.run("python", "-m", "pytest", "-n", "auto", *_ignoring(NOT_BARE), *session.posargs)


@nox.session(python=OLDEST)
def tests_lowest(session: nox.Session) -> None:
    """The tests with the lowest version of every dependency and framework that `pyproject.toml` allows."""
    constraints = Path(session.create_tmp(), "lowest.txt")
    constraints.write_text("\n".join(_lowest_bounds()) + "\n", encoding="utf-8")
    session.install("-e", ".[test]", "--constraint", str(constraints))
    _run_tests(session, *ONCE)


@nox.session(python=OF_OPTIMIZED)
def tests_optimized(session: nox.Session) -> None:
    """The tests under `python -O -W error`, which holds for every process that they start as well."""
    session.install("-e", ".[test]")
    flags = {"PYTHONOPTIMIZE": "1", "PYTHONWARNINGS": "error"}
    _run_tests(session, *ONCE, *FAULTS, env=flags)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, layout, and whether the fragments in `news/` make a changelog."""
    session.install(*_group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session
def types(session: nox.Session) -> None:
    """mypy and pyright over the code, over programs of users (`tests/typing`), and over the wheel's public types."""
    session.install(".[test]", *_group("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("python", "-m", "pytest", "tests/typing", *session.posargs)
    with session.chdir(session.create_tmp()):  # away from src: the installed wheel is what is judged
        session.run("pyright", "--verifytypes", "uploadkit", "--ignoreexternal")


@nox.session
def imports(session: nox.Session) -> None:
    """The layers and who may import what."""
    session.install("-e", ".", *_group("imports"))
    session.run("lint-imports", *session.posargs)


@nox.session
def api(session: nox.Session) -> None:
    """The public names and signatures against `docs/api.txt`; `nox -s api -- --write` renews the page."""
    session.install(*_group("api"))
    session.run("python", "docs/api.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the site of the documents into `site/`, where a warning is an error, and follows every link in it."""
    session.install("-e", ".", *_group("docs"))
    # mkdocs and its theme are at odds over versions to come, and say so at every build; here both are pinned.
    quiet = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    session.run("mkdocs", "build", "--clean", *session.posargs, env=quiet)
    session.run("python", "docs/links.py", "site")


@nox.session(python=OF_PACKAGE)
def package(session: nox.Session) -> None:
    """Builds both distributions and runs the sdist's tests against the wheel, with no `src` beside them."""
    session.install(*_group("package"))
    built = Path(session.create_tmp(), "dist").absolute()
    shutil.rmtree(built, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(built), silent=True)
    [sdist], [wheel] = built.glob("*.tar.gz"), built.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    _expect_contents(session, sdist, wheel)

    shutil.unpack_archive(sdist, built)
    tree = built / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(tree / "src")
    session.install(f"pyuploadkit[test] @ {wheel.as_uri()}")
    with session.chdir(tree):
        _run_tests(session, *ONCE, *FAULTS)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Parsers, forms, uploads, S3, pictures, types, records, the service and other doors; `-- s3 --quick` runs one."""
    session.install("-e", ".[service]", *_group("bench"))
    benches = ["parsers", "typed", "end_to_end", "s3", "images", "detection", "ledger", "service", "resumable"]
    words = [*session.posargs]
    if words and words[0] in benches:
        benches = [words.pop(0)]
    for name in benches:
        session.run("python", "-m", f"bench.{name}", *words)


@nox.session(python=OLDEST, default=False)
def fuzz(session: nox.Session) -> None:
    """Hypothesis for a quarter of ten minutes and atheris for the rest; `-- --minutes N`, `-- TARGET...` for fewer.

    On one Python, since atheris comes as a wheel, for few of them and for Linux.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    options, others = parser.parse_known_args(session.posargs)
    minutes = options.minutes
    session.install("-e", ".[test]", *_group("fuzz"))
    if not others:
        chosen = ("--hypothesis-profile=fuzz", "-m", "hypothesis", "-n", "auto")
        session.run("python", "-m", "pytest", *chosen, env={"UPLOADKIT_FUZZ_MINUTES": str(minutes / 4)})
        minutes *= 3 / 4
    session.run("python", "-m", "tests.fuzz", "--minutes", str(minutes), *others)


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """The long runs. UPLOADKIT_SOAK scales them: 1.0, the default, is the whole."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-m", "soak", *session.posargs)


def _run_tests(session: nox.Session, *left_out: str, **options: Any) -> None:
    """All but what is left out; where words come with the command, what they name."""
    chosen = session.posargs or _ignoring(left_out)
    session.run("python", "-m", "pytest", "-n", "auto", *chosen, **options)


def _ignoring(names: Iterable[str]) -> list[str]:
    return [f"--ignore=tests/{name}" for name in names]


def _group(name: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, name)


def _bounds(*extras: str, only: tuple[str, ...] | None = None) -> list[str]:
    """The requirements of some extras as they are written, without the ones that point back at the project."""
    written = [line for extra in extras for line in PROJECT["project"]["optional-dependencies"][extra]]
    return [line for line in written if _name(line) != "pyuploadkit" and (only is None or _name(line) in only)]


def _lowest_bounds() -> list[str]:
    """`name==1.2` for every `name>=1.2` that users install; the tools of the tests stay new."""
    extras = [extra for extra in PROJECT["project"]["optional-dependencies"] if extra != "test"]
    written = [*PROJECT["project"]["dependencies"], *_bounds(*extras)]
    return [re.sub(r"(\[.*?\])?>=", "==", line) for line in written]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _expect_contents(session: nox.Session, sdist: Path, wheel: Path) -> None:
    """The wheel holds the package alone, with its type marker; the sdist also what its tests need."""
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    strangers = [name for name in in_wheel if not name.startswith(("uploadkit/", "pyuploadkit-"))]
    if strangers or "uploadkit/py.typed" not in in_wheel:
        session.error(f"the wheel has no uploadkit/py.typed, or more than the package: {strangers}")
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2].partition("/")[0] for name in archive.getnames()}
    missing = {"src", "tests", "docs", "examples", "bench", "README.md", "CONTRIBUTING.md", "LICENSE"} - in_sdist
    if missing:
        session.error(f"the sdist lacks {sorted(missing)}")


def _show_pyenv_versions() -> None:
    """Makes every Python that pyenv has installed visible, not only the ones it was told to show here."""
    if "PYENV_VERSION" in os.environ or shutil.which("pyenv") is None:
        return
    listed = subprocess.run(["pyenv", "versions", "--bare", "--skip-aliases"], capture_output=True, text=True)
    wanted = [line for line in listed.stdout.split() if line.rpartition(".")[0] in PYTHONS]
    if wanted:
        os.environ["PYENV_VERSION"] = ":".join(wanted)


_show_pyenv_versions()

# The tests start hundreds of processes: without their bytecode each would compile all that it imports, which is most of
# what it does. uv compiles nothing, and images of containers often set this.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
