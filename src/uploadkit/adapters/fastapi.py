"""uploadkit for FastAPI: a dependency.

    @app.post("/profile")
    async def profile(avatar: Annotated[UploadedFile, receive(upload.single("avatar"))]): ...

    install(app)  # the form on the application's /docs, and mistakes found before the first request

An `UploadError` is answered with problem details, unless the application has its own handler for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

try:
    from fastapi import Depends, FastAPI, Request, Response, routing
    from fastapi.dependencies.models import Dependant
    from fastapi.exceptions import RequestValidationError
    from fastapi.openapi.utils import validation_error_definition, validation_error_response_definition
    from fastapi.routing import APIRoute
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.adapters.fastapi needs FastAPI: pip install 'pyuploadkit[fastapi]'", name=_missing.name
    ) from _missing

from ..errors import InvalidForm, UploadError
from ..intake.asynchronous import akept_if_handled
from ..intake.plan import OnProgress
from ..intake.spec import Spec, check_spec
from .annotations import annotation_of, beside, fits, spelled
from .openapi import Json, add_description, describe
from .starlette import ProblemResponse, receive_request

T = TypeVar("T")


def receive(
    spec: Spec[T],
    *,
    progress: Callable[[Request], OnProgress | None] | None = None,
    validation_errors: bool = False,
) -> Any:
    """A dependency that receives the request's form and gives the parameter what the spec promises.

    Use it once in a route, as `Annotated[UploadedFile, receive(spec)]`. Where the route raises, an `HTTPException`
    too, the files of the request are removed before the answer begins. `progress(request)` gives the `on_progress` of
    a request, None where nobody watches it. With `validation_errors` what is wrong with the fields of a typed form is
    raised as FastAPI's own `RequestValidationError`, for the application's handler of that.

    Raises at a route's first request, or before it with `install`: `TypeError` where the parameter's annotation does
    not fit the spec, `RuntimeError` where something else takes the body: a second `receive`, or a `Form()`, `File()`
    or `Body()` parameter; and `RuntimeError` at a request whose body was taken before.
    """
    check_spec(spec)
    if validation_errors and spec.typed is None:
        raise TypeError("validation_errors=True is for typed forms, as in receive(upload.form(Model), ...)")
    checked: dict[int, APIRoute] = {}

    async def received(request: Request) -> AsyncIterator[T]:
        _answer_errors(request)
        route = request.scope.get("route")
        if isinstance(route, APIRoute) and id(route) not in checked:
            _check_route(route.methods, route.path, route.dependant)
            checked[id(route)] = route
        try:
            received = await receive_request(spec, request, progress)
        except InvalidForm as error:
            if validation_errors:
                raise _validation_error(error) from error
            raise
        try:
            async with akept_if_handled(spec, received.submission):
                yield received.given
        except Exception as error:
            if any(frame.f_globals.get("__name__") == "fastapi.encoders" for frame, _ in walk_tb(error.__traceback__)):
                error.add_note(_UNSAID)
            raise

    _receives[received] = _Receive(spec, validation_errors)
    # "function": the code after the yield runs before the answer begins, not after its body was sent.
    return Depends(received, scope="function")


_UNSAID = (
    "FastAPI could not encode what the route returned. Where that has a file in it, say so in the route's annotation: "
    "-> UploadedFile, -> list[UploadedFile], or a model"
)


def install(app: FastAPI) -> None:
    """Shows the form of every route that uses `receive`, and its errors, in the OpenAPI document of `app`, so that its
    /docs and /redoc have file pickers. What a route says itself, by `openapi_extra` or `responses`, stays.

    It may be called before or after the routes are declared, but after an `app.openapi` of your own is set. Routes
    that are there are checked at once, others when the document is made: see `receive` for what is raised. So is
    `TypeError` where `receive` is forgotten, and a spec stands in a parameter by itself.
    """
    if not isinstance(app, FastAPI):
        raise TypeError(f"install takes the FastAPI application, as in install(app), and not {app!r}")
    for _ in _receiving(app):
        continue
    if not isinstance(app.openapi, _Document):
        app.openapi = _Document(app, app.openapi)  # type: ignore[method-assign]  # FastAPI's way to change it


@dataclass(frozen=True, slots=True)
class _Receive:
    """What `receive` was called with."""

    spec: Spec[Any]
    validation_errors: bool


_receives: WeakKeyDictionary[Callable[..., object], _Receive] = WeakKeyDictionary()
"""By the dependency that it made."""


def _validation_error(error: InvalidForm) -> RequestValidationError:
    errors = [
        {
            "type": each.code,
            "loc": ("body", *(() if each.field is None else (each.field,)), *each.path),
            "msg": each.message,
            "input": None,
        }
        for each in error.errors
    ]
    return RequestValidationError(errors)


@dataclass(eq=False)
class _Document:
    """In place of `app.openapi`: what it makes, with the forms."""

    app: FastAPI
    make: Callable[[], Json]
    made: Json = field(default_factory=dict)

    def __call__(self) -> Json:
        document = self.make()
        if document is not self.made:  # FastAPI makes one, and gives it again and again
            problems = UploadError not in self.app.exception_handlers
            for route, receiving in _receiving(self.app):
                for method in set(route.methods or ()) - {"GET", "HEAD"}:
                    operation = document["paths"].get(route.path_format, {}).get(method.lower())
                    if operation is not None:  # include_in_schema=False
                        _add_form(document, operation, receiving, problems=problems)
            self.made = document
        return document


def _add_form(document: Json, operation: Json, receiving: _Receive, *, problems: bool) -> None:
    responses = operation.setdefault("responses", {})
    own = responses.get("422", _VALIDATION_ERROR if receiving.validation_errors else {}).get("content")
    if own == _VALIDATION_ERROR["content"]:  # FastAPI's, and no other of the application's
        responses.pop("422", None)
        document.setdefault("components", {}).setdefault("schemas", {}).update(_VALIDATION_SCHEMAS)
    add_description(document, operation, describe(receiving.spec, problems=problems))
    if own == _VALIDATION_ERROR["content"]:
        responses["422"]["content"] = responses["422"].get("content", {}) | own


_VALIDATION_ERROR: Json = {
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}}
}
_VALIDATION_SCHEMAS: Json = {
    "ValidationError": validation_error_definition,
    "HTTPValidationError": validation_error_response_definition,
}


def _receiving(app: FastAPI) -> Iterator[tuple[APIRoute, _Receive]]:
    """Every route that uses `receive`, with what it was called with. Raises what `_check_route` does."""
    for route in _routes(app):
        receiving = _check_route(route.methods, route.path_format, route.dependant)
        if receiving is not None:
            yield route, receiving


def _routes(app: FastAPI) -> Iterator[APIRoute]:
    """Every route with its whole path and all of its dependencies, whichever router it stands in."""
    # Before FastAPI had these contexts, a router was included by copying its routes.
    routes = cast(Iterable[Any], getattr(routing, "iter_route_contexts", iter)(app.routes))
    return (route for route in routes if isinstance(getattr(route, "original_route", route), APIRoute))


def _check_route(methods: Iterable[str] | None, path: str, dependant: Dependant) -> _Receive | None:
    """The `receive` of a route, None where it has none. Raises `TypeError` or `RuntimeError` where it could
    not be given what its parameter says."""
    where = f"{'/'.join(sorted(methods or ()))} {path}"
    tree = [(dependant, dependant), *_tree(dependant)]
    for _, child in tree:
        _check_none_is_forgotten(where, child)
    receiving = [(parent, child, made) for parent, child in tree if (made := _receive_of(child)) is not None]
    if not receiving:
        return None
    if len({child.call for _, child, _ in receiving}) > 1:
        raise RuntimeError(
            f"{where} has one receive(...) and another receive(...), and a request has one body. Take all files and "
            "text values with one receive(upload.fields(...)), or as a model with receive(upload.form(...))"
        )
    others = [parameter.name for _, child in tree for parameter in child.body_params]
    if others:
        raise RuntimeError(
            f"{where}: the parameter {others[0]!r} is read from the body, by Form(), File() or Body(), and so is "
            "receive(...). Take all files and text values with one receive(upload.fields(...)), or as a model with "
            "receive(upload.form(...))"
        )
    for parent, child, made in receiving:
        _check_annotation(where, parent.call, child.name, made.spec)
    return receiving[0][2]


def _receive_of(dependant: Dependant) -> _Receive | None:
    call = dependant.call
    return _receives[call] if call is not None and call in _receives else None


def _check_none_is_forgotten(where: str, dependant: Dependant) -> None:
    """FastAPI takes such a parameter for one of the body, and answers every form with its own 422."""
    if dependant.call is None:
        return
    given = {child.name for child in dependant.dependencies}
    for parameter, spec in beside(dependant.call):
        if isinstance(spec, Spec) and parameter not in given:
            raise TypeError(
                f"{where}: the parameter {parameter!r} has a spec without receive, which FastAPI knows nothing of, and "
                f"waits for JSON. Write {parameter}: Annotated[{spelled(spec.gives)}, receive(...)]"
            )


def _check_annotation(where: str, taker: Callable[..., Any] | None, parameter: str | None, spec: Spec[Any]) -> None:
    """`parameter` is None in `dependencies=[...]`, where nobody is given anything."""
    if taker is None or parameter is None:
        return
    annotation = annotation_of(taker, parameter)
    if not fits(annotation, spec.gives):
        given = spelled(spec.gives)
        raise TypeError(
            f"{where}: the parameter {parameter!r} is annotated as {spelled(annotation)}, and its spec gives {given}. "
            f"Write {parameter}: Annotated[{given}, receive(...)]"
        )


def _tree(dependant: Dependant) -> Iterator[tuple[Dependant, Dependant]]:
    """Every dependency below, with the one that it belongs to."""
    for child in dependant.dependencies:
        yield dependant, child
        yield from _tree(child)


def _answer_errors(request: Request) -> None:
    """Sees to it that an `UploadError` is answered, in the table of handlers that Starlette looks into for this
    request. A dependency cannot answer by itself, and an application should not need a line more to be correct. A
    handler of the application's own, for `UploadError` or a class below it, goes first."""
    handlers, _ = request.scope["starlette.exception_handlers"]
    handlers.setdefault(UploadError, _answer)


async def _answer(request: Request, error: UploadError) -> Response:
    return ProblemResponse(error)
