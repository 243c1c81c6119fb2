"""Content-Disposition as it is sent: what a browser does with a file, and how it calls it. No I/O.

RFC 6266 with the encoding of RFC 8187: `filename` in ASCII for everybody, and `filename*` beside it where that is not
the whole name. Whatever the name is, the value is one line of printable ASCII with no other parameter: nobody writes a
header with a file's name.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote


def content_disposition(filename: str | None, *, inline: bool = False) -> str:
    """The value of a Content-Disposition: `attachment`, or `inline`, and the name to save the file under, if any.

    Separators, control characters and surrogates, which no file name has, become "_".
    """
    kind = "inline" if inline else "attachment"
    if not filename:
        return kind
    name = _not_in_name.sub("_", filename)
    plain = _plain(name)
    value = f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"


_not_in_name = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\ud800-\udfff]")

# RFC 6266, appendix D: a quote or a backslash is escaped in one way by some and in another by others, and some decode
# what looks percent-encoded.
_not_in_plain = re.compile(r'[^\x20-\x7e]|["%/\\]')

_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187, 3.2.1, beside letters and digits


def _plain(name: str) -> str:
    """The name in ASCII: letters without their accents, "_" for every other character."""
    letters = (char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    return _not_in_plain.sub("_", "".join(letters))
