"""What a request says of its files in text: `priority` and `tags`, beside the files of a form and with an upload in
several requests."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import FieldRefused, quoted
from ..processing.queue import Priority
from ..records.ledger import Said
from ..uploads import FieldValues

__all__ = ["MOST_TAGS", "TAG_SIZE", "VALUE_SIZE", "said"]

MOST_TAGS = 20
TAG_SIZE = 64
VALUE_SIZE = 255
"""Characters of a tag's name, and of its value."""


def said(fields: FieldValues) -> Said:
    """Raises `FieldRefused`, also for a field that means nothing here: it may have been misspelt."""
    for name in fields:
        if name not in ("priority", "tags"):
            raise FieldRefused(f"there is no text field {quoted(name)}, but priority and tags", field=name)
    return Said(priority=_priority(fields.get("priority")), tags=_tags(fields.getlist("tags")))


def _priority(text: str | None) -> Priority | None:
    if not text:
        return None
    for each in Priority:
        if text.lower() == each.name.lower() or text == str(each.value):
            return each
    names = ", ".join(each.name.lower() for each in Priority)
    raise FieldRefused(f"priority is one of {names}, and not {quoted(text)}", field="priority")


def _tags(values: Sequence[str]) -> dict[str, str]:
    """Each is `name` or `name=value`; a comma stands between several."""
    tags: dict[str, str] = {}
    words = [word.strip() for value in values for word in value.split(",") if word.strip()]
    if len(words) > MOST_TAGS:
        raise FieldRefused(f"there are {len(words)} tags, of {MOST_TAGS} at most", field="tags")
    for word in words:
        name, _, value = word.partition("=")
        if not name.strip() or len(name) > TAG_SIZE or len(value) > VALUE_SIZE or not word.isprintable():
            text = f"a tag is a name of {TAG_SIZE} characters at most, or name=value: {quoted(word)}"
            raise FieldRefused(text, field="tags")
        tags[name.strip()] = value.strip()
    return tags
