"""Whether a parameter's annotation takes what a spec gives, at run time: for frameworks that no type checker can judge.

Only what is surely wrong is a mistake. What is not understood (a protocol, a type variable, a name that cannot be
looked up) is taken to fit, and so is everything wider than what is given.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


def annotation_of(call: Callable[..., object], parameter: str) -> object:
    """The type that `call` expects of a parameter, `Any` where it does not say, or not in a way that can be read."""
    try:
        return get_type_hints(_function(call)).get(parameter, Any)
    except (NameError, TypeError, AttributeError):  # names that are there for type checkers alone
        return Any


def beside(call: Callable[..., object]) -> Iterator[tuple[str, object]]:
    """What stands beside the types of the parameters, each with its parameter: in their `Annotated`, and as defaults.
    Nothing of types that cannot be read."""
    for parameter in inspect.signature(call).parameters.values():
        yield parameter.name, parameter.default
    try:
        annotations = get_type_hints(_function(call), include_extras=True)
    except (NameError, TypeError, AttributeError):
        return
    for name, annotation in annotations.items():
        if get_origin(annotation) is Annotated:
            yield from ((name, each) for each in get_args(annotation)[1:])


def fits(annotation: object, gives: object) -> bool:
    """Whether a parameter of this annotation takes every value of the type `gives`."""
    annotation, gives = _plain(annotation), _plain(gives)
    if annotation is Any or gives in (Any, object):  # a class, of which nothing is a subclass
        return True
    if _is_union(gives):
        return all(fits(annotation, one) for one in get_args(gives))
    if _is_union(annotation):
        return any(fits(one, gives) for one in get_args(annotation))
    wanted, given = get_origin(annotation) or annotation, get_origin(gives) or gives
    if not isinstance(wanted, type) or not isinstance(given, type):
        return True
    try:
        if not issubclass(given, wanted):
            return _is_protocol(wanted)
    except TypeError:  # a protocol that knows no instances
        return True
    items, given_items = get_args(annotation), get_args(gives)
    if len(items) != len(given_items):
        return True
    return all(fits(item, given_item) for item, given_item in zip(items, given_items, strict=True))


def spelled(annotation: object) -> str:
    """A type as a user writes it: "list[UploadedFile]", "UploadedFile | None"."""
    annotation = _plain(annotation)
    if annotation is NoneType:
        return "None"
    if _is_union(annotation):
        return " | ".join(map(spelled, get_args(annotation)))
    if isinstance(get_origin(annotation), type):
        items = ", ".join(map(spelled, get_args(annotation)))
        return f"{spelled(get_origin(annotation))}[{items}]"
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)


def _plain(annotation: object) -> object:
    """Without what surrounds it: `Annotated`, or the name that a `type` statement has given it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif type(annotation).__name__ == "TypeAliasType":  # of typing from Python 3.12 on, or of typing_extensions
            annotation = annotation.__value__  # type: ignore[attr-defined]  # it has one
        else:
            return NoneType if annotation is None else annotation


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _is_protocol(kind: type) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


def _function(call: Callable[..., object]) -> Callable[..., object]:
    """What has the annotations: of a class its `__init__`, of an object that can be called its `__call__`."""
    call = inspect.unwrap(call)
    while isinstance(call, functools.partial):
        call = call.func
    if inspect.isclass(call):
        return call.__init__
    return call if inspect.isroutine(call) else type(call).__call__
