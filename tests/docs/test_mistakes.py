"""The table of deliberate mistakes, and the page that shows it: each is made, and told what the page says."""

from __future__ import annotations

import re

import pytest
from tests.docs.documents import DOCS
from tests.docs.mistakes import MISTAKES, Mistake

PAGE = (DOCS / "when-something-goes-wrong.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^### (.+?)\n\n```text\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE))
CASES = [
    pytest.param(title, make, id=f"{title} {at}" if at else title)
    for title, makes in MISTAKES.items()
    for at, make in enumerate(makes)
]


@pytest.mark.parametrize(("title", "make"), CASES)
def test_a_mistake_is_told_what_the_page_says(title: str, make: Mistake) -> None:
    """Word by word; `…` on the page stands for what is the reader's own."""
    said = " ".join(SHOWN[title].split())
    pattern = ".*".join(re.escape(part) for part in said.split("…"))
    seen = " ".join(make().split())
    assert re.fullmatch(pattern, seen), (said, seen)


def test_the_page_and_the_table_have_the_same_mistakes() -> None:
    """None is shown that nobody makes, and none is made that is not shown."""
    assert set(SHOWN) == set(MISTAKES)
    assert len(SHOWN) == PAGE.count("\n### ")
