"""The fields of a form, as the annotations of a model say them: files, and how each text value is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

from pydantic_core import from_json

from ..policy.fields import UNSAID, File, Text
from ..uploads import UploadedFile
from .annotations import filled, has_parts, holds_file, is_read_by_pydantic, item_of, takes_text, unwrapped
from .json_room import Room


@dataclass(frozen=True, slots=True, kw_only=True)
class FileField:
    """A field of files: `name` is the form's, `key` is what pydantic reads, `attribute` is the model's."""

    attribute: str
    key: str
    name: str
    rules: File
    many: bool
    required: bool

    @classmethod
    def of(cls, annotation: Any, attribute: str, key: str, *, required: bool, where: str) -> FileField | None:
        """None where the annotation is not one of files."""
        kept, metadata, optional = unwrapped(annotation)
        many = get_origin(kept) is list
        if many:
            kept, more, _ = unwrapped(get_args(kept)[0])
            metadata += more
        if kept is not UploadedFile:
            return None
        said = [each for each in metadata if isinstance(each, File)] or [File()]
        if len(said) > 1:
            raise TypeError(f"{where} has more than one File(...)")
        [rules] = said
        count = (None if many else 1) if rules.max_count is UNSAID else rules.max_count
        if not many and count != 1:
            raise TypeError(f"{where} takes max_count={count} files: annotate it as list[UploadedFile]")
        name = key if rules.name is None else rules.name
        needed = rules.required or (required and not many and not optional)
        return cls(
            attribute=attribute,
            key=key,
            name=name,
            rules=replace(rules, name=name, max_count=count, required=needed),
            many=many,
            required=required,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField:
    """A field of text values: `names` are all that it may have, `many` is a list, `one` annotates a value of it."""

    attribute: str
    names: tuple[str, ...]
    one: Any
    many: bool
    is_json: bool
    holds_json: bool
    takes_empty: bool
    required: bool

    @classmethod
    def of(
        cls,
        annotation: Any,
        attribute: str,
        names: tuple[str, ...],
        *,
        required: bool,
        holds_json: bool,
        where: str,
    ) -> TextField:
        if holds_file(annotation, seen=set()):
            raise TypeError(f"{where}: a field of files is UploadedFile, UploadedFile | None or list[UploadedFile]")
        kept, metadata, _ = unwrapped(annotation)
        if any(isinstance(each, File) for each in metadata):
            raise TypeError(f"{where} has File(...) and is no UploadedFile")
        if any(isinstance(each, Text) for each in metadata):
            raise TypeError(f"{where} has Text(...): a typed form takes pydantic's Field(...) in its place")
        item = None if is_read_by_pydantic(metadata) else item_of(kept)
        one = annotation if item is None else item
        return cls(
            attribute=attribute,
            names=names,
            one=one,
            many=item is not None,
            is_json=has_parts(one, as_item=item is not None),
            holds_json=holds_json,
            takes_empty=takes_text(one),
            required=required,
        )

    @property
    def is_plain(self) -> bool:
        """Whether its text is handed on as it came."""
        return not (self.many or self.is_json or self.holds_json)

    def has(self, value: Any) -> bool:
        """Whether it is a value at all."""
        return value != "" or self.takes_empty

    def read(self, value: Any, room: Room) -> Any:
        """As pydantic takes it. Raises `ValueError` for what is to be JSON and is none, or has too many values."""
        if not self.many or isinstance(value, dict):
            return self._read_one(value, room)
        values = value if isinstance(value, list) else [value]
        return [self._read_one(one, room) for one in values if self.has(one)]

    def _read_one(self, value: Any, room: Room) -> Any:
        if not isinstance(value, str):
            value = filled(value, self.one)
        elif self.is_json:
            value = room.take(from_json(value, allow_inf_nan=False))
        if self.holds_json:
            room.take_texts(value)
        return value
