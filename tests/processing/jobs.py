"""Jobs to try a queue with, for programs beside the tests too."""

from __future__ import annotations

from typing import Any

from uploadkit.processing.queue import Job


def job(name: object = "a", **words: Any) -> Job:
    """For the queue "images", where nothing else is said."""
    return Job(**{"upload": str(name), "processor": "variants", "digest": "d1", "queue": "images"} | words)
