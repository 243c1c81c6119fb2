"""Names such as `pet[name]`, read as a tree."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadkit.errors import FieldRefused
from uploadkit.policy.nesting import MAX_DEPTH, MAX_INDEX, Nested, nested
from uploadkit.uploads import FieldValues

CASES: dict[str, tuple[str, Nested]] = {
    # The first ones are those of W3C HTML JSON forms, as Multer reads them too.
    "plain names": ("name=Bender hind=Bitable", {"name": "Bender", "hind": "Bitable"}),
    "a name that is repeated": ("wall=1 wall=2 wall=3", {"wall": ["1", "2", "3"]}),
    "an object": ("pet[species]=Dahut pet[name]=Hypatia", {"pet": {"species": "Dahut", "name": "Hypatia"}}),
    "a list whose items come in any order": ("kids[1]=Thelma kids[0]=Ashley", {"kids": ["Ashley", "Thelma"]}),
    "a list of objects": (
        "pet[0][species]=Dahut pet[0][name]=Hypatia pet[1][species]=Felis",
        {"pet": [{"species": "Dahut", "name": "Hypatia"}, {"species": "Felis"}]},
    ),
    "such depth": ("wow[such][deep][0][much][!]=Amaze", {"wow": {"such": {"deep": [{"much": {"!": "Amaze"}}]}}}),
    "a value and parts": (
        "mix=scalar mix[0]=one mix[2]=two mix[key]=key",
        {"mix": {"": "scalar", "0": "one", "2": "two", "key": "key"}},
    ),
    "a bracket that is not closed": ("error[good]=1 error[bad=2", {"error": {"good": "1"}, "error[bad": "2"}),
    # In a browser's list a row that was removed leaves its index out; W3C would put null there.
    "indices that are left out": ("heartbeat[0]=thunk heartbeat[2]=thunk", {"heartbeat": ["thunk", "thunk"]}),
    "one high index": ("a[1000]=x", {"a": ["x"]}),
    "appended": ("tag[]=a tag[]=b", {"tag": ["a", "b"]}),
    "appended behind an index": ("tag[5]=a tag[]=b tag[0]=c", {"tag": ["c", "a", "b"]}),
    "a list of lists": ("m[0][]=1 m[0][]=2 m[1][]=3", {"m": [["1", "2"], ["3"]]}),
    "a plain name behind items": ("tag[]=a tag=b", {"tag": ["a", "b"]}),
    "one index twice": ("a[0]=1 a[0]=2", {"a": [["1", "2"]]}),
    "a key among items": ("a[]=1 a[k]=2", {"a": {"0": "1", "k": "2"}}),
    "a part of what was a value twice": ("a=1 a=2 a[k]=3", {"a": {"": ["1", "2"], "k": "3"}}),
    "appended to an object": ("a[k]=1 a[]=2", {"a": {"k": "1", "": "2"}}),
    "words of JavaScript and Python": (
        "__proto__[x]=1 a[__proto__]=2 a[__class__]=3 constructor=4",
        {"__proto__": {"x": "1"}, "a": {"__proto__": "2", "__class__": "3"}, "constructor": "4"},
    ),
    "no name before the bracket": ("[a]=1 []=2", {"[a]": "1", "[]": "2"}),
    "something between or behind": ("a[b]c=1 a[b]c[d]=2 a]=3", {"a[b]c": "1", "a[b]c[d]": "2", "a]": "3"}),
    "a bracket in a key": ("a[b[c]=1", {"a": {"b[c": "1"}}),
    "numbers that are keys": ("a[01]=1 a[-1]=2 a[1.5]=3", {"a": {"01": "1", "-1": "2", "1.5": "3"}}),
    "digits of another script": ("a[٣]=1", {"a": {"٣": "1"}}),
}


def items(text: str) -> list[tuple[str, str]]:
    """The values that a case is written as."""
    return [(name, value) for name, _, value in (item.rpartition("=") for item in text.split())]


@pytest.mark.parametrize(("sent", "tree"), CASES.values(), ids=CASES)
def test_names_make_a_tree(sent: str, tree: Nested) -> None:
    """As the case says; a handler asks for it with one call."""
    assert nested(items(sent)) == tree
    assert FieldValues(items(sent)).nested() == tree


@pytest.mark.parametrize("step", ["[k]", "[]", "[0]"])
def test_depth_has_a_bound(step: str) -> None:
    """That is exactly reached is fine."""
    assert nested([("a" + step * MAX_DEPTH, "x")])
    with pytest.raises(FieldRefused, match="nested more than 32 deep") as caught:
        nested([("a" + step * (MAX_DEPTH + 1), "x")])
    assert caught.value.field == "a" + step * (MAX_DEPTH + 1)


@pytest.mark.parametrize("name", ["a[1001]", "a[k][9999]", pytest.param("a[1" + "0" * 5000 + "]", id="of any length")])
def test_an_index_has_a_bound(name: str) -> None:
    """Whatever its list holds."""
    assert nested([(f"a[{MAX_INDEX}]", "x")]) == {"a": ["x"]}
    with pytest.raises(FieldRefused, match="an index above 1000"):
        nested([(name, "x")])


NAMES = st.lists(st.sampled_from(["a", "b", "[", "]", "[]", "[0]", "[7]", "[k]", "[1000]", "__proto__"]), max_size=6)


def leaves(tree: Nested) -> int:
    """How many values a tree has."""
    if isinstance(tree, str):
        return 1
    return sum(map(leaves, tree.values() if isinstance(tree, dict) else tree))


@given(st.lists(NAMES.map("".join), max_size=12))
def test_no_value_is_lost_and_none_is_made_up(names: list[str]) -> None:
    """A tree has as many values as were sent, so that it never grows beyond what came in."""
    tree = nested([(name, "x") for name in names])
    assert leaves(tree) == len(names)


def test_many_items_take_linear_time() -> None:
    """And the recursion is no deeper than the names are."""
    count = 20_000
    assert len(nested([("a[]", "x")] * count)["a"]) == count
    assert sys.getrecursionlimit() > 4 * MAX_DEPTH
