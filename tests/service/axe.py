"""axe-core, which looks for what keeps people from using a page: names, roles, contrast, order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.npm import Package

if TYPE_CHECKING:
    from playwright.sync_api import Page

VERSION = "4.14.1"
PACKAGE = Package(
    "axe-core",
    VERSION,
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ["axe.min.js"],
    "UPLOADKIT_AXE",
)


def found(page: Page) -> list[str]:
    """What is wrong with a page as it is now: each rule that is broken, and where."""
    assert PACKAGE.folder is not None
    if not page.evaluate("'axe' in window"):
        page.evaluate((PACKAGE.folder / "axe.min.js").read_text(encoding="utf-8"))
    result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']} ({each['impact']}): {node['target'][0]} {node['failureSummary']}"
        for each in result["violations"]
        for node in each["nodes"]
    ]
