"""What an annotation means to a form: a list, a value with parts, a text that may be empty, a file."""

from __future__ import annotations

import dataclasses
from collections import abc, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import InitVar
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, Json, RootModel
from pydantic.dataclasses import is_pydantic_dataclass, rebuild_dataclass
from typing_extensions import is_typeddict  # pydantic's own dependency; it knows both kinds

from ..uploads import UploadedFile


def is_model(model: Any) -> bool:
    """Whether it is a class that can describe a form, or a part of one."""
    return isinstance(model, type) and (issubclass(model, BaseModel) or dataclasses.is_dataclass(model))


def annotations_of(model: type) -> dict[str, Any]:
    """The annotations of its fields, resolved and with their metadata."""
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


def unwrapped(annotation: Any) -> tuple[Any, list[Any], bool]:
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
            annotation = annotations_of(annotation)["root"]
        elif hasattr(annotation, "__value__") or hasattr(annotation, "__supertype__"):  # type X = ..., NewType
            annotation = getattr(annotation, "__value__", None) or annotation.__supertype__
        else:
            return annotation, metadata, optional


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()


_COLLECTIONS = (list, tuple, set, frozenset, deque)

_ABSTRACT = (abc.Iterable, abc.Collection, abc.Sequence, abc.MutableSequence, abc.Set, abc.MutableSet)


def item_of(annotation: Any) -> Any:
    """What a list or another collection holds; None where the annotation is none."""
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or not (issubclass(kind, _COLLECTIONS) or kind in _ABSTRACT):
        return None  # a network of addresses can be iterated too
    return (*get_args(annotation), Any)[0]


def filled(value: Any, annotation: Any) -> Any:
    """A value of nested names as fields are: empty parts that take no text are left out, one of a list is a list."""
    kept, _, _ = unwrapped(annotation)
    item = item_of(kept)
    if item is not None and not isinstance(value, dict):
        values = value if isinstance(value, list) else [value]
        return [filled(each, item) for each in values if each != "" or takes_text(item)]
    if isinstance(value, dict):
        parts = [(name, each, _part(kept, name)) for name, each in value.items()]
        return {name: filled(each, part) for name, each, part in parts if each != "" or takes_text(part)}
    return value


def _part(annotation: Any, name: str) -> Any:
    """How a part of a model or a dict is annotated, by its name in a form."""
    if is_model(annotation) or is_typeddict(annotation):
        return _model_parts(annotation).get(name, Any)
    kind = get_origin(annotation)
    return get_args(annotation)[1] if isinstance(kind, type) and issubclass(kind, Mapping) else Any


@lru_cache(maxsize=256)
def _model_parts(model: type) -> Mapping[str, Any]:
    annotations = annotations_of(model)
    aliases = {name: info.validation_alias for name, info in getattr(model, "__pydantic_fields__", {}).items()}
    return annotations | {alias: annotations[name] for name, alias in aliases.items() if isinstance(alias, str)}


def has_parts(annotation: Any, *, as_item: bool) -> bool:
    """Whether a value is sent as JSON: it is a model, a dict or, as an item of a list, a list."""
    kept, metadata, _ = unwrapped(annotation)
    if is_read_by_pydantic(metadata):
        return False
    members = [member for member in _members(kept) if member is not type(None)]
    if members:
        return all(has_parts(member, as_item=as_item) for member in members)
    kind = get_origin(kept) or kept
    if is_typeddict(kind) or dataclasses.is_dataclass(kind) or (as_item and item_of(kept) is not None):
        return True
    return isinstance(kind, type) and issubclass(kind, BaseModel | Mapping)


def is_read_by_pydantic(metadata: Iterable[Any]) -> bool:
    """Whether it is pydantic's own `Json[...]`, which takes the text."""
    json: Any = Json  # for type checkers it is what it stands for
    return any(isinstance(each, json) for each in metadata)


def takes_text(annotation: Any) -> bool:
    """Whether an empty text may be meant."""
    kept, _, _ = unwrapped(annotation)
    if get_origin(kept) is Literal:
        return "" in get_args(kept)
    if isinstance(kept, type) and issubclass(kept, Enum):
        return "" in [member.value for member in kept]
    return kept in (str, bytes, Any, object) or any(map(takes_text, _members(kept)))


def holds_file(annotation: Any, *, seen: set[int]) -> bool:
    """Whether files are meant anywhere in it, where a form cannot have them."""
    if annotation is UploadedFile:
        return True
    if id(annotation) in seen:  # a model, or an alias, that holds itself
        return False
    seen.add(id(annotation))
    if is_model(annotation) or is_typeddict(annotation):
        return any(holds_file(inner, seen=seen) for inner in annotations_of(annotation).values())
    return any(holds_file(inner, seen=seen) for inner in _inner(annotation))


def _inner(annotation: Any) -> Iterator[Any]:
    kept, _, _ = unwrapped(annotation)
    if kept is not annotation:
        yield kept
    yield from get_args(kept)
