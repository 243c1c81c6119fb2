"""The public suite `multipart-form-data-conformance`: every case of it runs, and where we differ stands why."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import multipart_form_data_conformance as suite
import pytest

from .outcomes import Part, in_pieces, outcome, parser_of, parts_of

DIFFERS = {
    "022-filename-star-encoding": "filename* alone names the file: so urllib3 before 2.0 sends it",
    "061-lf-only-lenient": "a line ends in CRLF; the suite itself says that strict parsers should refuse this",
    "062-mixed-endings": "a line ends in CRLF; the suite itself says that strict parsers should refuse this",
    "085-header-folding": "a folded header is refused: parsers unfold it in different ways",
    "208-duplicate-headers": "two Content-Dispositions are refused: parsers take the first or the last",
    "210-control-chars-in-name": "no control character reaches a name",
}


@dataclass(frozen=True)
class Case:
    """One folder of the suite."""

    content_type: str
    body: bytes
    expected: dict[str, Any]

    def agrees(self) -> bool:
        """Whether we make of the body what the suite makes of it."""
        seen = outcome(lambda: parser_of(self.content_type), [self.body])
        assert outcome(lambda: parser_of(self.content_type), in_pieces(self.body, 1)) == seen
        if not self.expected["valid"]:
            return seen.failure is not None
        ours, theirs = parts_of(seen), self.expected["parts"]
        return seen.failure is None and len(ours) == len(theirs) and all(map(_is_as_expected, ours, theirs))


def _is_as_expected(ours: Part, theirs: dict[str, Any]) -> bool:
    content_type = theirs["content_type"] and theirs["content_type"].partition(";")[0]
    expected = Part(theirs["name"], ours.data, theirs["filename"], content_type)
    return ours == expected and len(ours.data) == theirs["body_size"] and _is_body(ours.data, theirs)


def _is_body(ours: bytes, theirs: dict[str, Any]) -> bool:
    if "body_text" in theirs:
        return ours == str(theirs["body_text"]).encode()
    if "body_base64" in theirs:
        return base64.b64decode(theirs["body_base64"]) == ours
    return hashlib.sha256(ours).hexdigest() == str(theirs["body_sha256"])


def _read(folder: Path) -> Case:
    expected = json.loads((folder / "test.json").read_text(encoding="utf-8"))["expected"]
    headers = json.loads((folder / "headers.json").read_text(encoding="utf-8"))
    return Case(headers["content-type"], (folder / "input.raw").read_bytes(), expected)


CASES = {path.parent.name: _read(path.parent) for path in sorted(suite.get_tests_dir().rglob("test.json"))}


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_suite_agrees_unless_it_is_listed(name: str) -> None:
    """We agree with the suite but for the cases in the table; a case in the table that agrees has no place there."""
    assert CASES[name].agrees() != (name in DIFFERS), DIFFERS.get(name)


def test_the_suite_is_there_and_every_listed_case_is_one_of_it() -> None:
    """An empty suite would pass, and a reason for a case that is gone is a lie."""
    assert len(CASES) >= 58
    assert DIFFERS.keys() <= CASES.keys()
