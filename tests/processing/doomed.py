"""A process that has accepted an upload and is killed, before or after its job is added:
`python -m tests.processing.doomed NUMBER`."""

from __future__ import annotations

import os
import signal
import sys

from tests.processing.app import Places, built

from uploadkit.events.facts import FileUploaded
from uploadkit.intake.blocking import receive
from uploadkit.testing import FormBuilder


def main(number: int) -> None:
    """Killed in the transaction's wake, when the fact is handed out, when the job was added, or when it was told."""
    pipeline, upload = built(Places.of_environ())

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    match number % 4:
        case 0:
            pipeline._forwarder.wake = die  # type: ignore[method-assign]
        case 1:
            pipeline._course.advance = die  # type: ignore[method-assign, assignment]
        case 2:
            pipeline.on(FileUploaded)(die)
        case 3:
            pipeline.ledger.untold = die  # type: ignore[method-assign, assignment]
            pipeline._forwarder._untold = die  # type: ignore[assignment]
    form = FormBuilder().file("file", f"text {number}".encode(), filename="a.txt")
    receive(upload.any(), form.content_type, [form.body])
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]))
