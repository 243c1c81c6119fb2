"""Follows the links of a built site: `python docs/links.py site`. Ends with 1 where one leads nowhere.

Every page, picture, style and script that a page names is a file of the site, every anchor is on its page, and nothing
is loaded from elsewhere. Every name of the public interface, as `api.txt` has it, has an anchor in the reference. What
a reader may click on outside of the site is not asked for: builds need no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := given.get(name))}
        for name in ("href", "src"):
            value = given.get(name)
            if value is None or given.get("rel") == "canonical":
                continue
            self.loads += [value] if (tag, name) in LOADED else []
            self.links.append(value)


def main() -> int:
    """0 where every link leads somewhere."""
    site = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    faults = [f"{path.relative_to(site)}: {fault}" for path in pages for fault in _faults(path, pages)]
    anchors = {anchor for path, page in pages.items() if path.parent == site / "reference" for anchor in page.anchors}
    faults += [
        f"the reference lacks {name}" for name in _public_names() if not any(map(re.compile(name).fullmatch, anchors))
    ]
    print(*faults, f"{len(pages)} pages, {len(faults)} faults", sep="\n")
    return bool(faults) or not pages


def _faults(path: Path, pages: dict[Path, Page]) -> list[str]:
    page = pages[path]
    faults = [f"loads {load} from elsewhere" for load in page.loads if urlsplit(load).netloc]
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or path.name == "404.html":  # that page is shown at any address
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file():
            faults.append(f"{link} leads nowhere")
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            faults.append(f"{link} has no such anchor")
    return faults


def _public_names() -> Iterator[str]:
    """A pattern for the anchor of each name: where a façade offers it, it is defined in a module below."""
    module = ""
    for line in Path(__file__).with_name("api.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            module = line
        elif found := re.match(r"    (?:async )?(?:def |class |property )?(\w+)", line):
            yield rf"{re.escape(module)}\.(?:\w+\.)*{found[1]}"


if __name__ == "__main__":
    sys.exit(main())
