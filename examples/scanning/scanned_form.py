"""What the three applications share: every file is scanned by a clamd before it is published."""

from __future__ import annotations

import logging
import os

from uploadkit import DiskStorage, IncomingFile, Submission, Uploader
from uploadkit.content.archives import ArchiveCheck
from uploadkit.content.scanning import ClamAV, Outcome, Scan

log = logging.getLogger("scans")


def tell(file: IncomingFile, scan: Scan) -> None:
    """The reason is for the log. The sender is told that the file is infected, and not by what."""
    level = logging.INFO if scan.outcome is Outcome.CLEAN else logging.WARNING
    log.log(level, "%s %s %s", file.id, scan.outcome.value, scan.signature or scan.reason or "")


clamav = ClamAV(
    os.environ.get("CLAMD", "unix:///run/clamav/clamd.ctl"),
    quarantine=DiskStorage("quarantine"),
    on_scan=tell,
)
upload = Uploader(DiskStorage("uploads"), check=[ArchiveCheck(), clamav])
documents = upload.any()


def answer(submission: Submission) -> dict[str, object]:
    return {"stored": [file.filename for file in submission.files]}
