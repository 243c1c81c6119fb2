"""The fixtures for pytest, in runs of pytest of their own, which find them as a user's run does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import uploadkit
from uploadkit import testing

FIXTURES = {
    "memory_storage", "memory_uploader", "no_upload_leaks", "upload_form", "uploads_fail", "uploads_in_memory",
}  # fmt: skip

APPLICATION = """
import pytest
from uploadkit import DiskStorage, MemoryStorage, StorageFailed, Uploader, receive
from uploadkit.testing import FormBuilder, sample

upload = Uploader(DiskStorage("uploads"))
photo = upload.single("photo")
PHOTO = FormBuilder().sample("photo", "image/png")

def store():
    return receive(photo, PHOTO.content_type, [PHOTO.body])
"""


@pytest.fixture
def loaded() -> None:
    """pytester forgets the modules that a run of its own was the first to import, and the façades do not."""
    for package in (uploadkit, testing):
        for name in package.__all__:
            getattr(package, name)


@pytest.fixture(autouse=True)
def apart(loaded: None, pytester: pytest.Pytester) -> None:
    """A project of its own: where temporary folders lie inside this one, its settings would hold."""
    pytester.makeini("[pytest]")


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    """A run of these tests beside the application, in a folder of their own."""
    pytester.makepyfile(application=APPLICATION, test_it=f"from application import *\n{tests}")
    return pytester.runpytest(*options)


def test_pytest_shows_what_each_fixture_is_for(pytester: pytest.Pytester) -> None:
    """`pytest --fixtures -v` has every one with its text, and no other of ours."""
    shown = pytester.runpytest("--fixtures", "-v").stdout.str()
    ours = shown.partition("defined from uploadkit.testing.pytest_plugin")[2].partition("fixtures defined from")[0]
    told = dict(re.findall(r"^(\w+) -- .*\n((?: {4}.*\n)+)", ours, re.MULTILINE))
    assert told.keys() == FIXTURES
    assert [name for name, text in told.items() if len(text.split()) < 6] == []


def test_an_application_stores_in_memory_until_the_test_ends(pytester: pytest.Pytester) -> None:
    """Then it is as it was, and the next test begins with nothing."""
    done = run(
        pytester,
        """
        import pathlib
        other = Uploader(DiskStorage("other"))
        other_photo = other.single("photo")

        def test_first(uploads_in_memory, memory_storage):
            assert uploads_in_memory(upload, other) is memory_storage
            store()
            receive(other_photo, PHOTO.content_type, [PHOTO.body])
            assert [*memory_storage.objects.values()] == 2 * [sample("image/png")]
            assert not pathlib.Path("uploads").exists()

        def test_second(memory_storage):
            store().delete()
            assert pathlib.Path("uploads").exists()
            assert memory_storage.objects == {}
        """.replace("\n        ", "\n"),
    )
    done.assert_outcomes(passed=2)


def test_an_application_s_storage_fails_until_the_test_ends(pytester: pytest.Pytester) -> None:
    """At the call that is named, as it is told, alone or over `uploads_in_memory`."""
    done = run(
        pytester,
        """
        @pytest.mark.parametrize("on", ["open", "write", "stage", "commit"])
        def test_it_fails(on, uploads_fail, memory_storage):
            failing = uploads_fail(upload, on=on, retryable=True)
            with pytest.raises(StorageFailed) as raised:
                store()
            assert (raised.value.retryable, failing.failed) == (True, True)
            store()
            assert len(memory_storage.objects) == 1

        def test_it_fails_later_and_otherwise(uploads_in_memory, uploads_fail):
            storage = uploads_in_memory(upload)
            uploads_fail(upload, on="commit", after=1, fault=LookupError())
            store()
            with pytest.raises(LookupError):
                store()
            assert len(storage.objects) == 1

        def test_it_fails_no_more():
            store()
        """.replace("\n        ", "\n"),
    )
    done.assert_outcomes(passed=6)


def test_an_uploader_in_memory_and_an_empty_form(pytester: pytest.Pytester) -> None:
    """Each test has its own, over one storage."""
    done = run(
        pytester,
        """
        @pytest.mark.parametrize("time", [1, 2])
        def test_it(time, memory_uploader, memory_storage, upload_form):
            assert upload_form.body == FormBuilder().body
            form = upload_form.sample("photo", "image/png")
            receive(memory_uploader.single("photo"), form.content_type, [form.body])
            assert [*memory_storage.objects.values()] == [sample("image/png")]
        """.replace("\n        ", "\n"),
    )
    done.assert_outcomes(passed=2)


@pytest.mark.needs("linux")
def test_a_test_that_leaves_something_fails(pytester: pytest.Pytester) -> None:
    """An open file, a temporary file, and what is half way into the storage, in the words of `assert_no_leaks`."""
    done = run(
        pytester,
        """
        import tempfile
        from uploadkit import ObjectInfo
        from uploadkit.testing import pytest_plugin
        from uploadkit.testing.leaks import assert_no_leaks
        pytestmark = pytest.mark.usefixtures("no_upload_leaks")
        kept = []

        @pytest.fixture(autouse=True)
        def impatient(monkeypatch):
            monkeypatch.setattr(assert_no_leaks, "_pauses", bounded(assert_no_leaks._pauses))

        def bounded(pauses):
            def at_once(self):
                self._seconds = 0
                return pauses(self)
            return at_once

        def test_a_descriptor():
            kept.append(open("opened", "w"))

        def test_a_temporary_file():
            open(tempfile.mkstemp()[0]).close()

        def test_half_a_file(memory_storage):
            memory_storage.open("half", ObjectInfo()).write(b"1")

        def test_nothing(tmp_path, uploads_in_memory):
            uploads_in_memory(upload)
            store()

        def test_the_end():
            kept.pop().close()
        """.replace("\n        ", "\n"),
    )
    done.assert_outcomes(passed=5, errors=3)
    done.stdout.fnmatch_lines(["E*- descriptor */opened", "E*- temporary file tmp*", "E*- in storage 'memory' half"])


def test_a_test_that_fails_is_not_looked_at_for_leaks(pytester: pytest.Pytester) -> None:
    """It has one error, its own; nor is one that is left out. The next is looked at again."""
    done = run(
        pytester,
        """
        from uploadkit import ObjectInfo
        pytestmark = pytest.mark.usefixtures("no_upload_leaks")

        def test_it_fails(memory_storage):
            memory_storage.open("half", ObjectInfo())
            assert 1 == 2

        def test_it_is_left_out(memory_storage):
            memory_storage.open("half", ObjectInfo())
            pytest.skip("for a reason")

        @pytest.mark.xfail(strict=True)
        def test_it_is_to_fail(memory_storage):
            memory_storage.open("half", ObjectInfo())
            assert 1 == 2
        """.replace("\n        ", "\n"),
    )
    done.assert_outcomes(failed=1, skipped=1, xfailed=1)


def test_pytest_s_own_folder_is_no_leak(pytester: pytest.Pytester, tmp_path: Path) -> None:
    """It is made for the first `tmp_path` of a run, which may be that of the test that is watched."""
    pytester.makepyfile(
        """
        def test_it(no_upload_leaks, tmp_path):
            (tmp_path / "a").write_text("1")

        def test_another(tmp_path):
            assert tmp_path.exists()
        """
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:hypothesispytest", "-q"]
    done = subprocess.run(command, cwd=pytester.path, env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout
    assert [*tmp_path.glob("pytest-of-*")] != []


def test_a_user_s_own_fixture_of_the_same_name_is_taken(pytester: pytest.Pytester) -> None:
    """And the fixtures over it use it: a storage with a name of one's own, say."""
    done = run(
        pytester,
        """
        @pytest.fixture
        def memory_storage():
            return MemoryStorage("mine")

        def test_it(uploads_in_memory):
            assert uploads_in_memory(upload).name == "mine"
        """.replace("\n        ", "\n"),
    )
    done.assert_outcomes(passed=1)


def test_it_can_be_turned_off(pytester: pytest.Pytester) -> None:
    """Nothing of it is there then."""
    done = run(pytester, "def test_it(memory_storage): pass", "-p", "no:uploadkit")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'memory_storage' not found"])


def test_a_strict_run_has_no_warning(pytester: pytest.Pytester) -> None:
    """Neither of a mark nor of an import."""
    pytester.makeini(
        """
        [pytest]
        addopts = --strict-markers --strict-config
        filterwarnings =
            error
            ignore:assertions not in test modules or plugins:pytest.PytestConfigWarning
        """  # the latter under `python -O` alone
    )
    done = run(pytester, "def test_it(memory_storage, no_upload_leaks, uploads_in_memory): pass")
    done.assert_outcomes(passed=1)
