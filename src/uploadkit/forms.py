"""Typed forms: a pydantic model or a dataclass says which fields a form has, and a handler is given an instance of it.

Nothing here reads a body. While a form arrives the plan asks `errors` of the text values that have come, with the
annotations and validators of their fields; when it has ended, `give` makes the instance, with the validators of the
whole model, before any file is published. No validator sees a half: one that looks at other fields, or at a list or a
part that may still grow, is asked at the end. What a form cannot say is decided here, once:

- A value is sent as text; one that has parts of its own (a model, a dict) as JSON text; a list by repeating its name.
  Only where nested names are asked for `pet[name]` and `kids[]` are parts of `pet` and `kids`.
- An empty value is none, but for a field that takes text: it is what browsers send for an input left empty.
- A list that was not sent is empty: a form has no other way to say that.
"""

from __future__ import annotations

import dataclasses
from collections import abc, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import InitVar, dataclass, replace
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

try:
    from pydantic import BaseModel, Json, RootModel, TypeAdapter, ValidationError
    from pydantic.dataclasses import is_pydantic_dataclass, rebuild_dataclass
    from pydantic.errors import PydanticUserError
    from pydantic_core import SchemaValidator, from_json
    from typing_extensions import is_typeddict  # pydantic's own dependency; it knows both kinds
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "typed forms need pydantic: pip install 'pyuploadkit[forms]'", name=_missing.name
    ) from _missing

from .errors import TEXT_LIMIT, FieldError, FieldRefused, InvalidForm, quoted
from .policy.fields import UNSAID, File, Text
from .policy.nesting import nested, steps_of
from .uploads import Submission, UploadedFile

T = TypeVar("T")

JSON_ROOM = 8 << 20
"""Bytes that the values of all JSON texts of a form may count, each of them 64 and the names that lead to it: pydantic
makes an error of every value that is wrong, and half a million of them took a gigabyte. It is about 100000 numbers."""

MOST_LISTED = 10_000
"""Where a form has more errors, none of them is listed."""


class ModelForm(Generic[T]):
    """The form that a model describes. Raises `TypeError` where the model cannot be sent as a form."""

    def __init__(self, model: type[T], *, nested: bool) -> None:
        if not _is_model(model):
            raise TypeError(f"form() takes a pydantic model or a dataclass, and not {model!r}")
        self.model: type = model
        self._nested = nested
        self._adapter: TypeAdapter[T] = _adapter(model)
        schema = _Schema(self._adapter.core_schema)
        self._files: list[_FileField] = []
        self._texts: list[_TextField] = []
        see_files, at_the_end = set(), set()  # attributes of texts whose validators see files, or not a value alone
        for attribute, annotation in _annotations(model).items():
            if attribute in schema.fields:  # a dataclass's field(init=False) is none of the form
                where, names = f"{model.__name__}.{attribute}", schema.names(attribute, model)
                required = schema.required(attribute)
                file = _FileField.of(annotation, attribute, names[0], required=required, where=where)
                if file is not None:
                    self._files.append(file)
                    continue
                if nested and any(len(steps_of(name)) > 1 for name in names):
                    raise TypeError(f"{where}: with nested names {names[0]!r} is a part of a field, and none itself")
                text = _TextField.of(
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
        room = _Room()
        for name, value in sent.items():
            text = self._text_of.get(name)
            if text is None:
                if name not in self._file_names:
                    data[name] = value
                continue
            try:
                if text.has(value):
                    data[name] = text.read(value, room)
            except _NoRoom:
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
    return message if len(message) <= TEXT_LIMIT else message[: TEXT_LIMIT - 1] + "…"


def _shown_step(step: str | int) -> str | int:
    return _shown(step) if isinstance(step, str) else step  # a key of a dict is the sender's


class _NoRoom(Exception):
    """There are more values in JSON than are read."""


class _Room:
    """What is left of `JSON_ROOM` while one form is read."""

    def __init__(self) -> None:
        self._left = JSON_ROOM

    def take(self, value: Any) -> Any:
        """The value, when there was room for all that is in it. Raises `_NoRoom`."""
        todo = [(value, 64)]
        for node, each in todo:  # which grows
            if not isinstance(node, dict | list):
                continue
            self._left -= len(node) * each + (sum(map(len, node)) if isinstance(node, dict) else 0)
            if self._left < 0:
                raise _NoRoom
            items = node.items() if isinstance(node, dict) else (("", part) for part in node)
            todo += [(part, each + 24 + len(key)) for key, part in items if isinstance(part, dict | list)]
        return value

    def take_texts(self, value: Any) -> None:
        """The texts in it, which pydantic may read as JSON. Raises `_NoRoom`."""
        todo = [value]
        for node in todo:  # which grows
            if isinstance(node, dict | list):
                todo += node.values() if isinstance(node, dict) else node
            elif isinstance(node, str):
                with suppress(ValueError):  # told by pydantic, if it is to be JSON
                    todo.append(self.take(from_json(node)))


def _grouped(values: Sequence[tuple[str, str]]) -> dict[str, str | list[str]]:
    """As `nested` gives plain names: a value, or the list of a name that was repeated."""
    single: dict[str, str | list[str]] = dict(values)
    if len(single) == len(values):
        return single
    grouped: dict[str, list[str]] = {}
    for name, value in values:
        grouped.setdefault(name, []).append(value)
    return {name: sent if len(sent) > 1 else sent[0] for name, sent in grouped.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileField:
    """A field of files: `name` is the form's, `key` is what pydantic reads, `attribute` is the model's."""

    attribute: str
    key: str
    name: str
    rules: File
    many: bool
    required: bool

    @classmethod
    def of(cls, annotation: Any, attribute: str, key: str, *, required: bool, where: str) -> _FileField | None:
        """None where the annotation is not one of files."""
        kept, metadata, optional = _unwrapped(annotation)
        many = get_origin(kept) is list
        if many:
            kept, more, _ = _unwrapped(get_args(kept)[0])
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
class _TextField:
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
    ) -> _TextField:
        if _holds_file(annotation, seen=set()):
            raise TypeError(f"{where}: a field of files is UploadedFile, UploadedFile | None or list[UploadedFile]")
        kept, metadata, _ = _unwrapped(annotation)
        if any(isinstance(each, File) for each in metadata):
            raise TypeError(f"{where} has File(...) and is no UploadedFile")
        if any(isinstance(each, Text) for each in metadata):
            raise TypeError(f"{where} has Text(...): a typed form takes pydantic's Field(...) in its place")
        item = None if _is_read_by_pydantic(metadata) else _item(kept)
        one = annotation if item is None else item
        return cls(
            attribute=attribute,
            names=names,
            one=one,
            many=item is not None,
            is_json=_has_parts(one, as_item=item is not None),
            holds_json=holds_json,
            takes_empty=_takes_text(one),
            required=required,
        )

    def has(self, value: Any) -> bool:
        """Whether it is a value at all."""
        return value != "" or self.takes_empty

    def read(self, value: Any, room: _Room) -> Any:
        """As pydantic takes it. Raises `ValueError` for what is to be JSON and is none, or has too many values."""
        if not self.many or isinstance(value, dict):
            return self._read_one(value, room)
        values = value if isinstance(value, list) else [value]
        return [self._read_one(one, room) for one in values if self.has(one)]

    def _read_one(self, value: Any, room: _Room) -> Any:
        if not isinstance(value, str):
            value = _filled(value, self.one)
        elif self.is_json:
            value = room.take(from_json(value, allow_inf_nan=False))
        if self.holds_json:
            room.take_texts(value)
        return value


class _Schema:
    """What pydantic's own schema of a model says of its fields."""

    def __init__(self, schema: Any) -> None:
        self._definitions: list[Any] = []
        self._config: Any = None
        while schema["type"] not in ("model-fields", "dataclass-args"):
            if schema["type"] == "definitions":
                self._definitions += schema["definitions"]
            elif schema["type"] in ("model", "dataclass"):
                self._config = schema.get("config")
            if schema["type"] == "definition-ref":
                [schema] = [each for each in self._definitions if each["ref"] == schema["schema_ref"]]
            elif "schema" in schema:
                schema = schema["schema"]
            else:  # a validator of mode "plain" takes the place of all fields
                raise TypeError(f"form() cannot see the fields of a model behind {schema['type']}")
        self._schema = schema
        fields = schema["fields"]
        self.fields: dict[str, Any] = fields if isinstance(fields, dict) else {each["name"]: each for each in fields}

    def names(self, attribute: str, model: type) -> tuple[str, ...]:
        """The names by which a field is read: its alias or aliases, or the attribute's own."""
        alias = self.fields[attribute].get("validation_alias")
        paths = [[alias]] if isinstance(alias, str) else alias if alias and isinstance(alias[0], list) else [alias]
        if alias is None:
            return (attribute,)
        if any(len(path) != 1 for path in paths):
            raise TypeError(f"{model.__name__}.{attribute}: a form's field has a name, and no AliasPath")
        config = self._config or {}
        by_name = config.get("populate_by_name") or config.get("validate_by_name")
        return (*(path[0] for path in paths), *([attribute] if by_name else []))

    def required(self, attribute: str) -> bool:
        """Whether there is no default."""
        return bool(self.fields[attribute]["schema"]["type"] != "default")

    def sees_others(self, attribute: str) -> bool:
        """Whether a validator of the field, or what makes its default, looks at the fields before it."""
        field = self.fields[attribute]["schema"]
        return any(
            part.get("type") == "with-info" or bool(part.get("default_factory_takes_data"))
            for part in self._parts(field, set(), but=("model", "dataclass", "typed-dict"))  # whose own see one another
        )

    def holds_json(self, attribute: str) -> bool:
        """Whether pydantic reads JSON in it: the field is `Json[...]`, or a part of it."""
        return any(part.get("type") == "json" for part in self._parts(self.fields[attribute]["schema"], set()))

    def _parts(self, part: Any, seen: set[str], *, but: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """A schema and all that is in it, once, `but` those of these types."""
        if isinstance(part, list | tuple):
            for each in part:
                yield from self._parts(each, seen, but=but)
        elif isinstance(part, dict) and str(part.get("type")) not in but:
            yield part
            inside = [each for name, each in part.items() if name not in _BESIDE]
            if part.get("type") == "definition-ref" and part["schema_ref"] not in seen:
                seen.add(part["schema_ref"])
                inside = [each for each in self._definitions if each["ref"] == part["schema_ref"]]
            yield from self._parts(inside, seen, but=but)

    def is_list(self, attribute: str) -> bool:
        """Whether its items are judged each for itself, and the whole by no validator but pydantic's."""
        schema = self.fields[attribute]["schema"]
        while schema["type"] in ("default", "nullable"):
            schema = schema["schema"]
        return schema["type"] in ("list", "set", "frozenset")

    def shown_names(self, files: Iterable[_FileField], texts: Iterable[_TextField]) -> dict[str, str]:
        """The names in the form, by those in pydantic's errors, where they differ."""
        if (self._config or {}).get("loc_by_alias", True):
            return {file.key: file.name for file in files}
        return {file.attribute: file.name for file in files} | {text.attribute: text.names[0] for text in texts}

    def validator(self, *, without: Collection[str], unjudged: Collection[str]) -> SchemaValidator:
        """For the fields but those `without`, and none of the model as a whole. `unjudged` ones may be anything."""
        left = {
            name: _anything(each) if name in unjudged else each
            for name, each in self.fields.items()
            if name not in without
        }
        is_model = self._schema["type"] == "model-fields"
        schema: Any = {**self._schema, "fields": left if is_model else [*left.values()]}
        schema.pop("ref", None)
        whole: Any = {"type": "definitions", "schema": schema, "definitions": self._definitions}
        return SchemaValidator(whole if self._definitions else schema, self._config)


_BESIDE = ("metadata", "serialization")
"""What stands in a schema and validates nothing."""


def _anything(field: dict[str, Any]) -> dict[str, Any]:
    """The field with any value, still needed where it was."""
    schema: dict[str, Any] = {"type": "any"}
    if field["schema"]["type"] == "default":
        schema = {"type": "default", "schema": schema, "default": None}
    return {**field, "schema": schema}


def _is_model(model: Any) -> bool:
    return isinstance(model, type) and (issubclass(model, BaseModel) or dataclasses.is_dataclass(model))


def _adapter(model: type[T]) -> TypeAdapter[T]:
    try:
        adapter = TypeAdapter(model)
        adapter.core_schema.get("type")  # one that waits for a name looks for it now
    except (PydanticUserError, NameError) as error:
        raise TypeError(f"form({model.__name__}): {str(error).partition(chr(10))[0]}") from error
    return adapter


def _annotations(model: type) -> dict[str, Any]:
    if issubclass(model, BaseModel):
        model.model_rebuild()  # a name that was defined after the model is known to its schema, and not yet to it
    elif is_pydantic_dataclass(model):
        rebuild_dataclass(model)
    else:
        hints = get_type_hints(model, include_extras=True)
        return {name: hint.type if isinstance(hint, InitVar) else hint for name, hint in hints.items()}
    fields: Mapping[str, Any] = model.__pydantic_fields__
    return {
        name: Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        for name, info in fields.items()
    }


def _unwrapped(annotation: Any) -> tuple[Any, list[Any], bool]:
    """What an annotation comes to, the metadata around it, and whether None may stand in its place."""
    metadata: list[Any] = []
    optional = False
    while True:
        members = _members(annotation)
        if get_origin(annotation) in (Annotated, Required, NotRequired):
            annotation, *more = get_args(annotation)
            metadata += more
        elif len(members) == 2 and type(None) in members:
            [annotation] = [member for member in members if member is not type(None)]
            optional = True
        elif isinstance(annotation, type) and issubclass(annotation, RootModel):
            annotation = _annotations(annotation)["root"]
        elif hasattr(annotation, "__value__") or hasattr(annotation, "__supertype__"):  # type X = ..., NewType
            annotation = getattr(annotation, "__value__", None) or annotation.__supertype__
        else:
            return annotation, metadata, optional


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()


_COLLECTIONS = (list, tuple, set, frozenset, deque)

_ABSTRACT = (abc.Iterable, abc.Collection, abc.Sequence, abc.MutableSequence, abc.Set, abc.MutableSet)


def _item(annotation: Any) -> Any:
    """What a list or another collection holds; None where the annotation is none."""
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or not (issubclass(kind, _COLLECTIONS) or kind in _ABSTRACT):
        return None  # a network of addresses can be iterated too
    return (*get_args(annotation), Any)[0]


def _filled(value: Any, annotation: Any) -> Any:
    """A value of nested names as fields are: empty parts that take no text are left out, one of a list is a list."""
    kept, _, _ = _unwrapped(annotation)
    item = _item(kept)
    if item is not None and not isinstance(value, dict):
        values = value if isinstance(value, list) else [value]
        return [_filled(each, item) for each in values if each != "" or _takes_text(item)]
    if isinstance(value, dict):
        parts = [(name, each, _part(kept, name)) for name, each in value.items()]
        return {name: _filled(each, part) for name, each, part in parts if each != "" or _takes_text(part)}
    return value


def _part(annotation: Any, name: str) -> Any:
    """How a part of a model or a dict is annotated, by its name in a form."""
    if _is_model(annotation) or is_typeddict(annotation):
        return _model_parts(annotation).get(name, Any)
    kind = get_origin(annotation)
    return get_args(annotation)[1] if isinstance(kind, type) and issubclass(kind, Mapping) else Any


@lru_cache(maxsize=256)
def _model_parts(model: type) -> Mapping[str, Any]:
    annotations = _annotations(model)
    aliases = {name: info.validation_alias for name, info in getattr(model, "__pydantic_fields__", {}).items()}
    return annotations | {alias: annotations[name] for name, alias in aliases.items() if isinstance(alias, str)}


def _has_parts(annotation: Any, *, as_item: bool) -> bool:
    """Whether a value is sent as JSON: it is a model, a dict or, as an item of a list, a list."""
    kept, metadata, _ = _unwrapped(annotation)
    if _is_read_by_pydantic(metadata):
        return False
    members = [member for member in _members(kept) if member is not type(None)]
    if members:
        return all(_has_parts(member, as_item=as_item) for member in members)
    kind = get_origin(kept) or kept
    if is_typeddict(kind) or dataclasses.is_dataclass(kind) or (as_item and _item(kept) is not None):
        return True
    return isinstance(kind, type) and issubclass(kind, BaseModel | Mapping)


def _is_read_by_pydantic(metadata: Iterable[Any]) -> bool:
    """Whether it is pydantic's own `Json[...]`, which takes the text."""
    json: Any = Json  # for type checkers it is what it stands for
    return any(isinstance(each, json) for each in metadata)


def _takes_text(annotation: Any) -> bool:
    """Whether an empty text may be meant."""
    kept, _, _ = _unwrapped(annotation)
    if get_origin(kept) is Literal:
        return "" in get_args(kept)
    if isinstance(kept, type) and issubclass(kept, Enum):
        return "" in [member.value for member in kept]
    return kept in (str, bytes, Any, object) or any(map(_takes_text, _members(kept)))


def _holds_file(annotation: Any, *, seen: set[int]) -> bool:
    """Whether files are meant anywhere in it, where a form cannot have them."""
    if annotation is UploadedFile:
        return True
    if id(annotation) in seen:  # a model, or an alias, that holds itself
        return False
    seen.add(id(annotation))
    if _is_model(annotation) or is_typeddict(annotation):
        return any(_holds_file(inner, seen=seen) for inner in _annotations(annotation).values())
    return any(_holds_file(inner, seen=seen) for inner in _inner(annotation))


def _inner(annotation: Any) -> Iterator[Any]:
    kept, _, _ = _unwrapped(annotation)
    if kept is not annotation:
        yield kept
    yield from get_args(kept)
