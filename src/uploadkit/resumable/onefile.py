"""The one file of a spec, and what its client says of it before its bytes come. Knows no ledger: what goes straight
into a storage may have none."""

from __future__ import annotations

import re

from ..errors import FileRefused, quoted
from ..policy.accounting import exceeded
from ..policy.fields import FileRule, FormRules
from ..policy.limits import Limits
from ..policy.rules import largest


def named_file(form: FormRules) -> tuple[str, FileRule] | None:
    """The name of the one file field, and its rule. None where there are others, or any."""
    if len(form.files) != 1 or form.any_file is not None:
        return None
    [(name, rule)] = form.files.items()
    return name, rule


def as_in_a_form(text: str) -> str:
    """A text of a client's, without what no form could have brought."""
    return _in_no_form.sub("\ufffd", text)


def check_size(size: int, rule: FileRule, limits: Limits, *, field: str, may_grow: bool = False) -> None:
    """Raises `LimitExceeded` where a file may not be so long, and `FileRefused` where it may not be so short, and not
    grow either."""
    allowed = largest(rule, limits)
    if allowed is not None and size > allowed:
        raise exceeded("file_size" if rule.max_size is None else "max_size", allowed, size, field)
    if size < rule.min_size and not may_grow:
        text = f"the file in field {quoted(field)} has fewer than {rule.min_size} bytes"
        raise FileRefused(text, field=field, filter="min_size")


# Controls but the tab, and surrogates, which JSON and base64 can bring.
_in_no_form = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
