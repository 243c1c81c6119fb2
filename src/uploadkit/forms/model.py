"""The form that a model describes: what the plan asks while it arrives, and the instance that comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from ..errors import TEXT_LIMIT, FieldError, FieldRefused, InvalidForm, quoted, shortened
from ..policy.fields import File, Text
from ..policy.nesting import nested, steps_of
from ..uploads import Submission
from .annotations import annotations_of, is_model
from .fields import FileField, TextField
from .json_room import NoRoom, Room
from .schema import Schema

T = TypeVar("T")

MOST_LISTED = 10_000
"""Where a form has more errors, none of them is listed."""


class ModelForm(Generic[T]):
    """The form that a model describes. Raises `TypeError` where the model cannot be sent as a form."""

    def __init__(self, model: type[T], *, nested: bool) -> None:
        if not is_model(model):
            raise TypeError(f"form() takes a pydantic model or a dataclass, and not {model!r}")
        self._nested = nested
        self._adapter: TypeAdapter[T] = _adapter(model)
        schema = Schema(self._adapter.core_schema)
        self._files: list[FileField] = []
        self._texts: list[TextField] = []
        see_files, at_the_end = set(), set()  # attributes of texts whose validators see files, or not a value alone
        for attribute, annotation in annotations_of(model).items():
            if attribute in schema.fields:  # a dataclass's field(init=False) is none of the form
                where, names = f"{model.__name__}.{attribute}", schema.names(attribute, model)
                required = schema.required(attribute)
                file = FileField.of(annotation, attribute, names[0], required=required, where=where)
                if file is not None:
                    self._files.append(file)
                    continue
                if nested and any(len(steps_of(name)) > 1 for name in names):
                    raise TypeError(f"{where}: with nested names {names[0]!r} is a part of a field, and none itself")
                text = TextField.of(
                    annotation,
                    attribute,
                    names,
                    required=required,
                    holds_json=schema.holds_json(attribute),
                    where=where,
                )
                self._texts.append(text)
                sees_others = schema.sees_others(attribute)
                if sees_others and self._files:
                    see_files.add(attribute)
                grows = (text.many or text.is_json) if nested else text.many and not schema.is_list(attribute)
                if sees_others or grows:
                    at_the_end.add(attribute)
        self._lists = [text for text in self._texts if text.many and text.required]
        self._text_of = {name: text for text in self._texts for name in text.names}
        self._file_names = {name for file in self._files for name in (file.key, file.name)}
        self._shown_names = schema.shown_names(self._files, self._texts)
        files = {file.attribute for file in self._files}
        self._validators = {  # by whether the form has ended
            False: schema.validator(without=files, unjudged=at_the_end),
            True: schema.validator(without=files, unjudged=see_files),
        }

    @property
    def fields(self) -> list[File | Text]:
        """What the form is declared as. A field of one value is sent once: which of two is meant nobody knows."""
        single = [Text(name, max_count=1) for text in self._texts if not text.many for name in text.names]
        return [*(file.rules for file in self._files), *single]

    def errors(self, values: Sequence[tuple[str, str]], *, ended: bool) -> list[FieldError]:
        """What is wrong with these text values; before the form has `ended`, only what no other value can mend."""
        try:
            data, errors = self._data(values, ended=ended)
        except FieldRefused as error:  # of a nested name: what the others come to is not known
            return [FieldError.of(error)]
        try:
            self._validators[ended].validate_python(data)
        except ValidationError as error:
            errors += self._told(error, besides=errors, still_open=None if ended else data)
        return errors

    def give(self, submission: Submission) -> T:
        """The instance. Raises `InvalidForm`."""
        try:
            data, errors = self._data(submission.fields.multi_items(), ended=True)
        except FieldRefused as error:
            raise InvalidForm([FieldError.of(error)]) from error
        by_field = submission.files_by_field
        for file in self._files:
            sent = by_field.get(file.name, [])
            if sent:
                data[file.key] = sent if file.many else sent[0]
            elif file.many and file.required:
                data[file.key] = []
        try:
            if not errors:
                return self._adapter.validate_python(data)
            self._validators[True].validate_python(data)
        except ValidationError as error:
            errors += self._told(error, besides=errors)
        raise InvalidForm(errors)

    def json_schema(self, reference: str) -> dict[str, Any]:
        """The fields of the form as JSON Schema; `reference` stands before the name of a schema in its `$defs`."""
        schema = self._adapter.json_schema(ref_template=reference + "{model}", mode="validation")
        definitions = schema.pop("$defs", {})
        if "$ref" in schema:  # a model that holds itself
            schema = dict(definitions[schema["$ref"].removeprefix(reference)])
        names = {file.key: file.name for file in self._files}
        may_lack = {file.name for file in self._files} | {
            name for text in self._texts if text.many for name in text.names
        }
        schema["properties"] = {names.get(key, key): each for key, each in schema.get("properties", {}).items()}
        required = [
            name for name in (names.get(key, key) for key in schema.get("required", ())) if name not in may_lack
        ]
        return schema | {"required": required, "$defs": definitions}

    def _data(self, values: Sequence[tuple[str, str]], *, ended: bool) -> tuple[dict[str, Any], list[FieldError]]:
        """The text values as pydantic takes them, and the errors of those that could not be read.

        Raises `FieldRefused` for a nested name that is not read.
        """
        sent: Mapping[str, Any] = nested(values) if self._nested else _grouped(values)
        data: dict[str, Any] = {}
        errors: list[FieldError] = []
        room = Room()
        for name, value in sent.items():
            text = self._text_of.get(name)
            if text is None:
                if name not in self._file_names:
                    data[name] = value
                continue
            if text.is_plain and value.__class__ is str and value:
                data[name] = value
                continue
            try:
                if text.has(value):
                    data[name] = text.read(value, room)
            except NoRoom:
                message = f"field {quoted(name)} has more JSON values than are read"
                errors.append(FieldError(field=name, code=FieldRefused.code, message=message))
            except ValueError as error:
                message = _shown(f"field {quoted(name)} is to be JSON: {error}")
                errors.append(FieldError(field=name, code="json_invalid", message=message))
        for text in self._lists if ended else ():
            if not any(name in data for name in text.names):
                data[text.names[0]] = []
        return data, errors

    def _told(
        self, error: ValidationError, *, besides: Iterable[FieldError], still_open: Mapping[str, Any] | None = None
    ) -> list[FieldError]:
        """pydantic's errors as ours; `still_open` are the values where more may come."""
        if error.error_count() > MOST_LISTED:
            return [
                FieldError(field=None, code="too_many_errors", message=f"the form has {error.error_count()} errors")
            ]
        known = {each.field for each in besides}
        told = []
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            if still_open is None or self._is_final(each["loc"], still_open):
                one = self._field_error(each["type"], each["loc"], each["msg"])
                if one.field is None or one.field not in known:
                    told.append(one)
        return told

    def _field_error(self, code: str, loc: tuple[str | int, ...], message: str) -> FieldError:
        if not loc:
            return FieldError(field=None, code=code, message=_shown(message))
        first, *path = loc
        field = self._shown_names.get(str(first), str(first))
        if code in _MISSING and not path:
            return FieldError(field=field, code="field_missing", message=f"field {quoted(field)} is missing")
        return FieldError(field=field, code=code, message=_shown(message), path=tuple(map(_shown_step, path)))

    def _is_final(self, loc: tuple[str | int, ...], data: Mapping[str, Any]) -> bool:
        """Whether nothing that still may come can mend it: the value has come, or an item of a list that may grow."""
        if not loc or loc[0] not in data:
            return False
        text = self._text_of.get(str(loc[0]))
        return text is None or not text.many or len(loc) > 1


_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")


def _shown(message: str) -> str:
    if not message.isprintable():  # pydantic shows the tag of a union as it was sent
        message = "".join(each if each.isprintable() else " " for each in message)
    return shortened(message, TEXT_LIMIT)


def _shown_step(step: str | int) -> str | int:
    return _shown(step) if isinstance(step, str) else step  # a key of a dict is the sender's


def _grouped(values: Sequence[tuple[str, str]]) -> dict[str, str | list[str]]:
    """As `nested` gives plain names: a value, or the list of a name that was repeated."""
    single: dict[str, str | list[str]] = dict(values)
    if len(single) == len(values):
        return single
    grouped: dict[str, list[str]] = {}
    for name, value in values:
        grouped.setdefault(name, []).append(value)
    return {name: sent if len(sent) > 1 else sent[0] for name, sent in grouped.items()}


def _adapter(model: type[T]) -> TypeAdapter[T]:
    try:
        adapter = TypeAdapter(model)
        adapter.core_schema.get("type")  # one that waits for a name looks for it now
    except (PydanticUserError, NameError) as error:
        raise TypeError(f"form({model.__name__}): {str(error).partition(chr(10))[0]}") from error
    return adapter
