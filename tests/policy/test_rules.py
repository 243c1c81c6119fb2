"""The rules of a form as JSON, for pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.limits import Limits, parse_size, size_text
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader

upload = Uploader(MemoryStorage(), limits=Limits(file_size="5 MB", files=10), min_size=1)
UNSAID = {"max_size": 5_000_000, "min_size": 1, "max_count": 1, "min_count": 0, "required": False, "multiple": False}


def test_the_rules_of_every_field_are_there_with_what_they_are_taken_from() -> None:
    """A field's own, the uploader's and the limits' come to one number each."""
    rules = upload.fields(
        File("avatar", required=True, accept=["image/png", ".md"], max_size="1 KB"),
        File("papers", max_count=3, min_count=2),
        File("rest", max_count=None),
        Text("title", required=True, max_length=80, max_count=1),
    ).rules()
    assert rules["files"] == {
        "avatar": UNSAID
        | {
            "accept": ["image/png", "text/markdown", ".png", ".apng", ".md", ".markdown"],
            "max_size": 1000,
            "min_count": 1,
            "required": True,
        },
        "papers": UNSAID | {"accept": None, "max_count": 3, "min_count": 2, "required": True, "multiple": True},
        "rest": UNSAID | {"accept": None, "max_count": 10, "multiple": True},
    }
    assert rules["texts"] == {"title": {"max_length": 80, "max_count": 1, "required": True}}
    assert rules["any_file"] is None


def test_files_of_any_name_have_rules_too() -> None:
    """And the fields that they are in have none of their own."""
    rules = upload.any(accept=IMAGES).rules()
    assert rules["files"] == {}
    assert rules["any_file"] is not None
    assert rules["any_file"]["accept"] is not None
    assert rules["any_file"]["accept"][:2] == ["image/avif", "image/bmp"]
    assert rules["any_file"]["multiple"] is True


def test_a_field_that_takes_what_nobody_recognises_lets_a_page_choose_everything() -> None:
    """Such a file may be called anything."""
    rules = upload.single("avatar", accept=["application/octet-stream", "image/png"]).rules()
    assert rules["files"]["avatar"]["accept"] is None


def test_the_limits_are_bytes_and_counts() -> None:
    """None is that there is none."""
    limits = Limits(
        body_size="1 KB", file_size=None, files_size=None, files=None, fields=3, field_size=4, fields_size=5
    )
    rules = Uploader(MemoryStorage(), limits=limits).array("photos").rules()
    assert rules["limits"] == {
        "body_size": 1000,
        "file_size": None,
        "files_size": None,
        "files": None,
        "fields": 3,
        "field_size": 4,
        "fields_size": 5,
    }
    assert (rules["files"]["photos"]["max_size"], rules["files"]["photos"]["max_count"]) == (None, None)
    assert rules["files"]["photos"]["multiple"] is True


@pytest.mark.parametrize("spec", [upload.none(), upload.any(), upload.array("a"), upload.single("a", accept=IMAGES)])
def test_rules_are_json(spec: Spec[Any]) -> None:
    """As they are."""
    assert json.loads(json.dumps(spec.rules())) == spec.rules()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1024, "1 KiB"),
        (1234, "1234 B"),
        (1500, "1.5 KB"),
        (1536, "1.5 KiB"),
        (5_000_000, "5 MB"),
        (64 * 2**20, "64 MiB"),
        (25 * 10**8, "2.5 GB"),
        (3 * 10**12, "3 TB"),
        (2**40, "1 TiB"),
    ],
)
def test_a_size_is_written_as_people_write_it(size: int, text: str) -> None:
    """In the largest unit of which it is a whole number, or one with a tenth."""
    assert size_text(size) == text


@given(st.integers(0, 2**50))
def test_what_is_written_is_the_size_itself(size: int) -> None:
    """No number is rounded."""
    assert parse_size(size_text(size)) == size
