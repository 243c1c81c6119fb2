"""Safe names: every promise for every name, or a `ValueError`; and what is safe is a storage key."""

from __future__ import annotations

from tests.policy.promises import check_safe
from tests.policy.test_filenames import KEPT, MADE_SAFE, NASTY

from uploadkit.policy.filenames import extension_of_name, safe_filename
from uploadkit.storage.keys import check_key

from .choices import text_of

_CHARACTERS = "/\\.-~% \u3000\u0301\u0338\uff0f\uff05\u202e\u200b\u2026\u2100\ufb01\ufdfa"
WORDS = tuple(word.encode() for word in (*_CHARACTERS, "%2f", "%25", "con", "com1", "conin$"))
STUBBORN = (NASTY, "x" * 300 + ".jpg", "<\u0338.txt", "con" + "\u3000" * 90 + ".txt", "x" * 254 + "\ufdfa")
SEEDS = tuple(name.encode("utf-8", "surrogatepass") for name in (*KEPT, *MADE_SAFE, *STUBBORN, ""))


def check(data: bytes) -> None:
    """A client's name."""
    name = text_of(data)
    extension = extension_of_name(name)
    try:
        safe = safe_filename(name)
    except ValueError as refused:
        if type(refused) is not ValueError:  # a UnicodeError is one too, and no refusal
            raise
        assert extension == ""
        return
    check_safe(safe)
    check_key(safe, storage="any")
    assert extension == extension_of_name(safe)
    assert safe.lower().endswith(extension)
