"""What becomes of the stored files of a form that a framework has: they are removed with it, unless they were kept."""

from __future__ import annotations

from collections.abc import Iterable

from ..uploads import Submission, UploadedFile

OF_A_FORM = "what a form of the framework holds goes when its request ends, after the answer"
"""Why there is no pipeline: it would accept files after their sender was told that all is well, or none."""


class Keepable:
    """The file of a form, in the class that its framework has for one. `uploaded` is the upload behind it."""

    uploaded: UploadedFile
    kept: bool = False
    _removed: bool = False

    def keep(self) -> UploadedFile:
        """Leaves the file where it lies, whatever becomes of the request. Raises `ValueError` where it is gone."""
        if self._removed:
            raise ValueError("the file was removed with its form; call keep() before the form is closed")
        self.kept = True
        return self.uploaded


def remove_unkept(files: Iterable[Keepable]) -> None:
    """Removes the stored files that were not kept. Idempotent."""
    unkept = [file for file in files if not file.kept]
    for file in unkept:
        file._removed = True
    Submission([file.uploaded for file in unkept]).discard()
