"""The documents as a reader has them: their fenced blocks, and what a console block says is typed and answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_FENCED = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block, without the indent that a tab gives it. `title` is the name of the file that it shows, or ""."""

    language: str
    title: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is typed at a prompt, and what the page says is answered."""

    line: str
    answer: str


def sections(document: Path) -> list[str]:
    """A page's text, cut at its headings of the second level."""
    return re.split(r"^(?=## )", document.read_text(encoding="utf-8"), flags=re.MULTILINE)


def blocks(text: str, language: str) -> list[Block]:
    """The blocks of a language, in their order."""
    found = [
        Block(language=each["language"], title=each["title"] or "", code=_without(each["indent"], each["code"]))
        for each in _FENCED.finditer(text)
    ]
    return [block for block in found if block.language == language]


def commands(text: str) -> Iterator[Command]:
    """Every command of the console blocks. A line that ends in a backslash goes on."""
    for block in blocks(text, "console"):
        for typed in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
            line, _, answer = re.sub(r"\\\n\s*", "", typed).partition("\n")
            yield Command(line=line.partition("  #")[0].strip(), answer=answer.strip())


def _without(indent: str, code: str) -> str:
    """A block's lines without the indent of its fence; what is indented more stays so."""
    return "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))
