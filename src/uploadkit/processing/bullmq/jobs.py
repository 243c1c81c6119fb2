"""How bullmq stores a job. No I/O.

A job is stored under a number of bullmq's, and found by its id through bullmq's deduplication, which lets go of the id
when the job has ended: a job that is kept to be looked at does not stand in the way of the same work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..queue import KEPT_COMPLETED, KEPT_FAILED, Backoff, Counts, Job, Priority

STATES = ("waiting", "prioritized", "delayed", "active", "completed", "failed")

_BACKOFF = "uploadkit"


def data_of(job: Job) -> dict[str, Any]:
    """What `job_of` reads."""
    backoff = job.backoff
    stored = {
        "upload": job.upload,
        "processor": job.processor,
        "digest": job.digest,
        "queue": job.queue,
        "priority": int(job.priority),
        "attempts": job.attempts,
        "delay_seconds": job.delay_seconds,
        "is_begun": job.is_begun,
        "backoff": {
            "seconds": backoff.seconds,
            "factor": backoff.factor,
            "most_seconds": backoff.most_seconds,
            "jitter": backoff.jitter,
        },
    }
    return {"job": stored}  # by hand: `asdict` takes five times as long


def job_of(found: Any) -> Job | None:
    """None where somebody else has put it there."""
    try:
        stored = found.data["job"]
        return Job(**stored | {"priority": Priority(stored["priority"]), "backoff": Backoff(**stored["backoff"])})
    except (KeyError, TypeError, ValueError):
        return None


def options_of(job: Job) -> dict[str, Any]:
    """Of bullmq, for this one job."""
    return {
        "priority": job.rank,  # always: 0 is none, and comes before all, as what is urgent and was begun may
        "attempts": job.attempts,
        "backoff": {"type": _BACKOFF},
        "delay": round(job.delay_seconds * 1000),
        "removeOnComplete": {"count": KEPT_COMPLETED},
        "removeOnFail": {"count": KEPT_FAILED},
        "stackTraceLimit": 0,  # they stand in the log
        "deduplication": {"id": job.id},
    }


def counts_of(counts: Mapping[str, int]) -> Counts:
    """From how many jobs bullmq has in each of `STATES`."""
    return Counts(
        waiting=counts["waiting"] + counts["prioritized"],
        delayed=counts["delayed"],
        active=counts["active"],
        completed=counts["completed"],
        failed=counts["failed"],
    )
