"""The reference is complete, what it takes from the code is as the code has it, and code in a page is an example."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from tests.docs.documents import DOCS, DOCUMENTS, ROOT, blocks

import uploadkit
from uploadkit import Limits, UploadError, resumable, testing

EXAMPLES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").rglob("*.py"))}
REFERENCE = {page: page.read_text(encoding="utf-8") for page in sorted((DOCS / "reference").glob("*.md"))}
DIRECTIVE = re.compile(r"^::: (\S+)$", re.MULTILINE)
SHOWN = [
    pytest.param(block.code, id=f"{document.relative_to(ROOT)}-{at}")
    for document in DOCUMENTS
    for at, block in enumerate(blocks(document.read_text(encoding="utf-8"), "python"))
]


@pytest.mark.parametrize("code", SHOWN)
def test_code_in_a_document_stands_in_an_example(code: str) -> None:
    """Nothing in the documents is typed twice: a block is a part of a file in examples/, to the letter."""
    assert any(code in example for example in EXAMPLES.values())


def test_the_documents_show_code() -> None:
    """The test above has something to judge, in the README as well as in a tab of a page."""
    assert len(blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")) >= 4
    assert len(blocks((DOCS / "index.md").read_text(encoding="utf-8"), "python")) == 3


@pytest.mark.parametrize(
    ("facade", "name"), [(facade, name) for facade in (uploadkit, resumable, testing) for name in facade.__all__]
)
def test_every_public_name_is_in_the_reference(facade: ModuleType, name: str) -> None:
    """Where it is defined: a page takes it, or its whole module, from there. `nox -s docs` sees what became of it."""
    home = f"{facade.__name__}.{facade._HOME[name]}"
    assert {home, f"{home}.{name}"} & _named()


@pytest.mark.parametrize("name", [line for line in (DOCS / "api.txt").read_text().splitlines() if line[:1].strip()])
def test_every_public_module_is_in_the_reference(name: str) -> None:
    """Every module of docs/api.txt, by itself or, as the façades, by its names."""
    assert name in {"uploadkit", "uploadkit.resumable", "uploadkit.testing"} | _named()


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_every_limit_is_in_the_reference(limit: str) -> None:
    """With its default and what it bounds."""
    assert re.search(rf"^\| `{limit}` \| [^|]+ \| [^|]+ \|$", REFERENCE[DOCS / "reference" / "limits.md"], re.MULTILINE)


def test_every_error_code_is_in_the_reference() -> None:
    """A code that a request can be answered is in the table, once."""
    page = REFERENCE[DOCS / "reference" / "error-codes.md"]
    codes = [error.code for error in _leaves_of(UploadError)]
    assert len(codes) >= 16
    assert sorted(re.findall(r"^\| `(\w+)`<br>", page, re.MULTILINE)) == sorted(codes)


TABLES = [
    *("capabilities", "codes", "limits", "moves", "promises", "rules", "servers", "settings"),
    *("service-codes", "service-operations", "service-schemas"),
]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_that_of_the_code(name: str) -> None:
    """`python docs/generate.py` renews them."""
    generate = _script("generate")
    assert name in generate.SECTIONS
    path, text = generate.renewed(name)
    assert path.read_text(encoding="utf-8") == text


def test_every_route_is_in_the_reference() -> None:
    """HEAD is answered wherever GET is, which the page says once: elsewhere it is a route as any other."""
    page = REFERENCE[DOCS / "reference" / "service-api.md"]
    paths = _script("generate")._contract()["paths"]
    for path, item in paths.items():
        for method in item.keys() - {"parameters"} - ({"head"} if "get" in item else set()):
            assert f"### `{method.upper()} {path}` {{" in page
    assert "get" not in paths["/tus/{upload}"]


def test_every_table_of_the_code_is_compared() -> None:
    """The test above knows all of them."""
    assert set(_script("generate").SECTIONS) == set(TABLES)


def test_the_pictures_are_those_that_are_drawn() -> None:
    """`python docs/pictures.py` draws them anew. Each is shown by a page."""
    pictures = _script("pictures")
    assert {path.name for path in pictures.FOLDER.iterdir()} == set(pictures.PICTURES)
    for name, draw in pictures.PICTURES.items():
        assert (pictures.FOLDER / name).read_text(encoding="utf-8") == draw()
        assert any(f"pictures/{name}" in document.read_text(encoding="utf-8") for document in DOCUMENTS)


@cache
def _named() -> frozenset[str]:
    """What the pages of the reference take from the code."""
    return frozenset(name for page in REFERENCE.values() for name in DIRECTIVE.findall(page))


def _leaves_of(error: type[UploadError]) -> Iterator[type[UploadError]]:
    below = [cls for cls in error.__subclasses__() if cls.__module__ == "uploadkit.errors"]
    if not below:
        yield error
    for cls in below:
        yield from _leaves_of(cls)


@cache
def _script(name: str) -> ModuleType:
    """A program of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", Path(DOCS, f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
