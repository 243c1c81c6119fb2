"""A hook of mkdocs: pages of the site may link to files outside of docs/, as they do for readers of the repository.

A linked file becomes a page of its own below `source/`, and so does a folder, with all Python files in it;
CONTRIBUTING.md and CHANGELOG.md become pages as they are. What is linked and is not there stays as it was written, and
the build finds it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).parent
ROOT = DOCS.parent
INDEX = "README.md"
PAGES = {"CONTRIBUTING.md": "project/contributing.md", "CHANGELOG.md": "project/changelog.md"}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)")
TABLE_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
CODE = re.compile(r"`[^`]+`")
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts all pages of a folder where the navigation names the folder."""
    config.nav = _with_folders(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are written elsewhere, and one for each file that a page links to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    linked = {target for file in files.documentation_pages() for target in _linked(file.src_uri, file.content_string)}
    for target in sorted(linked):
        files.append(File.generated(config, _page_of(target), content=_shown(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points the links of a page at the pages that stand for files outside.

    In code in a table a bar has a backslash before it, for other readers of Markdown; here that would be shown.
    """
    here = page.file.src_uri

    def pointed(match: re.Match[str]) -> str:
        target = _target(here, match[1])
        if target in PAGES:
            return _relative(PAGES[target], here)
        if _is_shown(target):
            return _relative(_page_of(target), here)
        if here in PAGES.values() and target.startswith("docs/"):
            inside = target.removeprefix("docs/")
            return _relative(f"{inside}/{INDEX}" if (ROOT / target).is_dir() else inside, here)
        if here in PAGES.values() and (ROOT / target).is_file():
            return _relative(_page_of(target), here)
        return match[1]

    return TABLE_ROW.sub(_with_bars, LINK.sub(pointed, markdown))


def _with_bars(row: re.Match[str]) -> str:
    return CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0])


def _with_folders(entry: Any) -> Any:
    match entry:
        case dict():
            return {title: _with_folders(below) for title, below in entry.items()}
        case list():
            return [_with_folders(below) for below in entry]
        case str() if entry.endswith("/"):
            names = sorted((path.name for path in (DOCS / entry).glob("*.md")), key=lambda name: (name != INDEX, name))
            return [entry + name for name in names]
    return entry


def _linked(here: str, markdown: str) -> set[str]:
    targets = {_target(here, link) for link in LINK.findall(FENCE.sub("", markdown))}
    return {target for target in targets if target not in PAGES and _is_shown(target)}


def _is_shown(target: str) -> bool:
    path = ROOT / target
    if target.startswith(("docs", "..")):
        return False
    return path.is_dir() or (path.suffix in {".py", ".md", ".conf"} and path.is_file())


def _target(here: str, link: str) -> str:
    """The file that a link means, from the root of the project."""
    written = {page: name for name, page in PAGES.items()}.get(here, f"docs/{here}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(written), link))


def _page_of(target: str) -> str:
    return f"source/{target}" if target.endswith(".md") else f"source/{target}.md"


def _shown(target: str) -> str:
    path = ROOT / target
    if target.endswith(".md"):
        return path.read_text(encoding="utf-8")
    files = [file for file in sorted(path.rglob("*.py")) if file.read_bytes()] if path.is_dir() else [path]
    lines = ["---", "search:", "  exclude: true", "---", f"# {target}", ""]
    for file in files:
        language = "python" if file.suffix == ".py" else "nginx"
        lines += [f'~~~~{language} title="{file.name}"', file.read_text(encoding="utf-8").rstrip("\n"), "~~~~", ""]
    return "\n".join(lines)


def _relative(page: str, here: str) -> str:
    return posixpath.relpath(page, posixpath.dirname(here) or ".")
