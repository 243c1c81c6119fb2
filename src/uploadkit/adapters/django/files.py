"""What `request.FILES` holds: files of Django over what is stored, and what stands for a file that was refused."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NoReturn, Self

from django.core.exceptions import ValidationError
from django.core.files import uploadedfile
from django.http.multipartparser import MultiPartParserError

from ...errors import ObjectMissing, SenderError
from ...storage.contract import LocalPaths
from ...uploads import UploadedFile
from ..kept import Keepable

if TYPE_CHECKING:  # only the stubs are generic
    _UploadedFile = uploadedfile.UploadedFile[bytes]
else:
    _UploadedFile = uploadedfile.UploadedFile


class FormRefused(MultiPartParserError):
    """A form that could not be taken; `error` says why. Django answers it with 400, `UploadErrors` with the problem."""

    def __init__(self, error: SenderError) -> None:
        super().__init__(str(error))
        self.error = error


class FileNotTaken(ValidationError, MultiPartParserError):
    """A file that a rule of its field refused; `error` says by which, and `code` is its code.

    A form shows it at its field. Where nobody catches it, it is answered as a `FormRefused` is.
    """

    def __init__(self, error: SenderError) -> None:
        super().__init__(str(error), code=error.code)
        self.error = error


class StoredFile(Keepable, _UploadedFile):
    """A stored file as forms and models of Django take it; `uploaded` is what uploadkit knows of it.

    `name` is safe to save, `content_type` is what its bytes show. It is removed from its storage when it is closed,
    and Django closes it with its request: what is to stay is saved into a model's field or a `Storage`, as ever, or
    kept where it is by `keep`.
    """

    def __init__(self, uploaded: UploadedFile) -> None:
        self.uploaded = uploaded
        file = self._opened()
        super().__init__(file, uploaded.filename, uploaded.content_type, uploaded.size, content_type_extra={})
        # Also where nobody closes the request, as when a client leaves an ASGI server in the middle of its view.
        self._remove = weakref.finalize(self, _removed, file, uploaded)

    def keep(self) -> UploadedFile:
        """Leaves the file in its storage, under its `key`, and returns the upload. Raises `ValueError` where it is
        gone, since it was closed."""
        uploaded = super().keep()
        self._remove.detach()
        return uploaded

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """At its beginning, for reading. Raises `ValueError` where it was closed, and so removed."""
        if self.closed:
            try:
                self.file: IO[bytes] | None = self._opened()
            except (ObjectMissing, FileNotFoundError):
                raise ValueError("the file was removed when it was closed; keep() leaves it in its storage") from None
        self.seek(0)
        return self

    def close(self) -> None:
        super().close()
        self._removed = not self.kept
        self._remove()

    def _opened(self) -> BinaryIO:
        return self.uploaded.open()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself, as in `request.data.copy()`: it is stored once, and removed once."""
        return self


class StoredLocalFile(StoredFile):
    """A stored file that lies on this machine: Django's `FileSystemStorage` moves it in place of copying it.

    It is held open, since it is read on when it was moved: the sizes of a picture are looked at after it was saved,
    and a view may save it once more.
    """

    @property
    def temporary_file_path(self) -> Callable[[], str]:
        """Where it lies. There is no such attribute when it was moved or closed: Django copies its bytes then."""
        path = self.uploaded.path
        if not os.path.exists(path):
            raise AttributeError("the file lies no longer where it was received", name="temporary_file_path", obj=self)
        return lambda: path

    def _opened(self) -> BinaryIO:
        return open(self.uploaded.path, "rb")


class RefusedFile(_UploadedFile):
    """Stands for a file that a rule refused: nothing of it is stored.

    Whoever asks for its name, its size or its bytes gets the refusal. A form's field asks for them where it cleans
    the file, and so the refusal is an error of that field, in a form, in the admin and in a serializer.
    """

    def __init__(self, error: SenderError) -> None:  # pyright: ignore[reportMissingSuperCall]
        # Without that of Django's class, which sets what can only be refused here.
        self.error = error
        self.content_type: str | None = None
        self.charset: str | None = None
        self.content_type_extra: dict[str, bytes] | None = {}

    def _refuse(self, value: object = None) -> NoReturn:
        raise FileNotTaken(self.error)

    if not TYPE_CHECKING:  # in Django's stubs these are attributes
        name = property(_refuse)
        size = property(_refuse)
        file = property(_refuse)

    @property
    def closed(self) -> bool:
        return True

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse()

    def close(self) -> None:
        """Nothing was opened."""

    def __bool__(self) -> bool:
        """Widgets ask whether something was sent."""
        return True

    def __str__(self) -> str:
        return str(self.error)

    def __repr__(self) -> str:
        return f"<RefusedFile: {self.error}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def stored_file(uploaded: UploadedFile) -> StoredFile:
    """What `request.FILES` holds for a file that is stored."""
    return (StoredLocalFile if isinstance(uploaded.storage, LocalPaths) else StoredFile)(uploaded)


def _removed(file: BinaryIO, uploaded: UploadedFile) -> None:
    file.close()
    uploaded.discard()
