"""The façade, and that of the kit for tests: every name it promises is there, and no other."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from types import ModuleType

import pytest

import uploadkit
from uploadkit import testing

FACADES = pytest.mark.parametrize("facade", [uploadkit, testing], ids=["uploadkit", "uploadkit.testing"])


@pytest.mark.parametrize(
    ("facade", "name"), [(facade, name) for facade in (uploadkit, testing) for name in facade.__all__]
)
def test_every_promised_name_resolves_to_one_object(facade: ModuleType, name: str) -> None:
    """A name of `__all__` gives the same object each time."""
    assert getattr(facade, name) is getattr(facade, name)


@FACADES
def test_no_name_is_promised_twice(facade: ModuleType) -> None:
    """`__all__` has no duplicates."""
    assert len(facade.__all__) == len(set(facade.__all__))


@FACADES
def test_type_checkers_see_the_promised_names_and_no_other(facade: ModuleType) -> None:
    """The imports under `TYPE_CHECKING`, which run nowhere, and `__all__` are the same names."""
    tree = ast.parse(Path(str(facade.__file__)).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imported = [
        name for block in blocks for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names
    ]
    assert sorted(name.asname or name.name for name in imported) == sorted(facade.__all__)


@FACADES
def test_dir_shows_every_promised_name(facade: ModuleType) -> None:
    """`dir(uploadkit)` shows names that have not been asked for yet: completion in a shell relies on it."""
    assert set(facade.__all__) <= set(dir(facade))


def test_a_star_import_brings_the_promised_names() -> None:
    """`from uploadkit import *` brings `__all__`."""
    namespace: dict[str, object] = {}
    exec("from uploadkit import *", namespace)
    assert set(uploadkit.__all__) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error_that_says_which() -> None:
    """A misspelt name fails as in any module."""
    misspelt = "Uplaoder"
    with pytest.raises(AttributeError, match="module 'uploadkit' has no attribute 'Uplaoder'"):
        getattr(uploadkit, misspelt)
    with pytest.raises(AttributeError, match=r"module 'uploadkit.testing' has no attribute 'Uplaoder'"):
        getattr(testing, misspelt)


def test_an_unknown_name_cannot_be_imported() -> None:
    """`from uploadkit import Uplaoder` is an `ImportError`."""
    with pytest.raises(ImportError, match="Uplaoder"):
        exec("from uploadkit import Uplaoder")


def test_a_class_of_the_facade_can_be_found_again_by_its_own_name() -> None:
    """Pickle and documentation find a class under the module that defines it."""
    classes = [value for name in uploadkit.__all__ if isinstance(value := getattr(uploadkit, name), type)]
    assert [cls for cls in classes if pickle.loads(pickle.dumps(cls)) is not cls] == []
