"""Uppy as its authors have packed it for a browser: of one version, from the npm registry, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.npm import Package

VERSION = "6.0.1"
PACKAGE = Package(
    "uppy",
    VERSION,
    "2OONMUNUHGBNkfSjNpWDhleeCeqm2oP+8NJRSxkkFVLmm3BbE7S+XCm45+jp36z7PCRuogtm1FgYPKa0iKbYAQ==",
    ["dist/uppy.min.css", "dist/uppy.min.js"],
    "UPLOADKIT_UPPY",
)


def folder() -> Path | None:
    """Where its files lie; None where it cannot be had."""
    return None if PACKAGE.folder is None else PACKAGE.folder / "dist"
