"""Builds the bodies that browsers send, and bodies that are broken, for tests of what receives them.

    form = FormBuilder().text("title", "Holiday").sample("avatar", "image/png")
    client.post("/profile", content=form.body, headers={"Content-Type": form.content_type})
    broken = form.broken("no close delimiter")

Names are escaped as the HTML Standard says and nothing else is changed: what a test puts in is what is on the wire,
also where no browser would send it. The same calls make the same bytes.
"""

from __future__ import annotations

import re
from typing import Self, get_args

from ..multipart.headers import MULTIPART
from ..policy.limits import Limits
from ..policy.media_types import extension_of
from .broken import Break, BrokenForm, Written, break_form, cut_form, forms_over
from .samples import sample

# HTML Standard, "multipart/form-data encoding algorithm". A backslash is not escaped, and neither is a percent sign.
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})

# RFC 2045 §5.1: everything else in a boundary has to stand in quotes.
_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


class FormBuilder:
    """A multipart/form-data body that is put together part by part; every call returns the builder itself.

    The boundary is one that no part holds, unless `boundary` names one: that is taken as it is.
    """

    def __init__(self, *, boundary: str | None = None) -> None:
        self._parts: list[bytes] = []
        self._boundary = boundary

    def text(self, name: str, value: str, *, content_type: str | None = None) -> Self:
        """Adds a text value, in UTF-8. Browsers send no `content_type` with it."""
        return self.part(f'form-data; name="{_escaped(name)}"', value.encode(), content_type=content_type)

    def file(
        self, name: str, data: bytes, *, filename: str, content_type: str | None = "application/octet-stream"
    ) -> Self:
        """Adds a file. No data and a `filename` of "" is a file input in which nothing was chosen."""
        disposition = f'form-data; name="{_escaped(name)}"; filename="{_escaped(filename)}"'
        return self.part(disposition, data, content_type=content_type)

    def sample(self, name: str, media_type: str, *, size: int | str = 0, filename: str | None = None) -> Self:
        """Adds a file of this type, of at least `size` bytes: see `sample`. Its name is "sample" and an extension."""
        chosen = f"sample{extension_of(media_type)}" if filename is None else filename
        return self.file(name, sample(media_type, size=size), filename=chosen, content_type=media_type)

    def part(self, disposition: str, data: bytes, *, content_type: str | None = None) -> Self:
        """Adds a part with this Content-Disposition as it is: for what a browser would not send."""
        lines = [f"Content-Disposition: {disposition}"]
        if content_type is not None:
            lines.append(f"Content-Type: {content_type}")
        self._parts.append("\r\n".join([*lines, "", ""]).encode() + data)
        return self

    @property
    def boundary(self) -> str:
        """What stands between the parts."""
        if self._boundary is not None:
            return self._boundary
        number = 0
        while any(_numbered(number).encode() in part for part in self._parts):
            number += 1
        return _numbered(number)

    @property
    def content_type(self) -> str:
        """The request's Content-Type. It changes where a part is added that holds the boundary."""
        boundary = self.boundary
        return f"{MULTIPART}; boundary={boundary}" if _token(boundary) else f'{MULTIPART}; boundary="{boundary}"'

    @property
    def body(self) -> bytes:
        """The request's body."""
        return self._written.body

    def broken(self, how: Break) -> BrokenForm:
        """This form, broken in one way, and what is to be answered. The form itself is one that would be taken."""
        return break_form(self._written, how)

    def all_broken(self) -> list[BrokenForm]:
        """This form, broken in every way there is."""
        return [self.broken(how) for how in get_args(Break)]

    def cut(self, at: int) -> BrokenForm:
        """The first `at` bytes of this form. Raises `ValueError` where it is whole by then."""
        return cut_form(self._written, at)

    def over(self, limits: Limits) -> list[BrokenForm]:
        """This form, enlarged beyond each limit in turn.

        Left out are limits that are None, those of time and those above 16 MiB: give the application under test
        smaller ones. A file is over `file_size` here; a field's own `max_size` is not looked at.
        """
        return list(forms_over(self._written, limits))

    @property
    def _written(self) -> Written:
        return Written(boundary=self.boundary.encode(), content_type=self.content_type, parts=tuple(self._parts))


def _escaped(name: str) -> str:
    return name.translate(_ESCAPES)


def _numbered(number: int) -> str:
    return f"----UploadkitFormBoundary{number:016}"
