"""What a spec means in OpenAPI 3.1: the form that an operation takes, and how its errors are answered.

Knows no framework: an adapter finds the operations of its document, and hands each one over with its spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import (
    FieldMissing,
    LimitExceeded,
    Overloaded,
    TruncatedForm,
    UnsupportedMediaType,
    UploadError,
    UploadTooSlow,
    quoted,
)
from ..intake.spec import Spec
from ..policy.fields import FileRule, FormRules, Text
from ..policy.limits import Limits, size_text
from ..policy.rules import accepted, largest, most
from .problem import PROBLEM_JSON

Json: TypeAlias = dict[str, Any]
"""An object of JSON."""

_REFERENCE = "#/components/schemas/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The parts of an operation: its `requestBody` and the `schemas` that it refers to, its `responses` by status and
    those that they refer to, the `problems`."""

    request_body: Json
    schemas: Mapping[str, Json]
    responses: Mapping[str, Json]
    problems: Mapping[str, Json]


def describe(spec: Spec[Any], *, problems: bool = True) -> Description:
    """What an operation that receives `spec` takes and may answer. `problems` is False where the application answers
    errors in a way of its own: that they come is said then, and not how."""
    form, limits = spec.form, spec.limits
    described = None if spec.json_schema is None else spec.json_schema(_REFERENCE)
    schema = _declared(form, limits) if described is None else _modelled(described, form, limits)
    schemas = schema.pop("$defs", {})
    content = {"schema": schema}
    encoding = _encoding(form, schema["properties"])
    if encoding:
        content["encoding"] = encoding
    body: Json = {"required": True, "content": {"multipart/form-data": content}}
    if limits.body_size is not None:
        body["description"] = f"At most {size_text(limits.body_size)} in all."
    field = next(iter([*form.files, *form.texts]), "file")
    responses = _responses(field)
    if not problems:
        responses = {status: {"description": each["description"]} for status, each in responses.items()}
    return Description(
        request_body=body,
        schemas=schemas,
        responses=responses,
        problems={"Problem": _PROBLEM_SCHEMA} if problems else {},
    )


def add_description(document: Json, operation: Json, description: Description) -> None:
    """Adds it to one operation of a document, in place. What the operation says itself stays as it is: a request
    body, the content of a response; and so does a schema of the same name in the document."""
    components = document.setdefault("components", {}).setdefault("schemas", {})
    names = _added(components, description.schemas)
    operation.setdefault("requestBody", _renamed(description.request_body, names))
    names = _added(components, description.problems)
    responses = operation.setdefault("responses", {})
    for status, response in _renamed(description.responses, names).items():
        responses[status] = response | responses.get(status, {})


def _added(components: Json, schemas: Mapping[str, Json]) -> Mapping[str, str]:
    """Adds schemas that refer to each other, and says under which names: other ones where the document has one of
    theirs for something else."""
    number = 0
    while True:
        names = {name: f"{name}Form{number}" if number else name for name in schemas}
        added = {names[name]: _renamed(schema, names) for name, schema in schemas.items()}
        if all(components.get(name, schema) == schema for name, schema in added.items()):
            components |= added
            return names
        number += 1


def _declared(form: FormRules, limits: Limits) -> Json:
    """The schema of a form whose fields were declared one by one, or not at all."""
    properties = _file_schemas(form, limits, {})
    properties |= {name: _text_schema(text) for name, text in form.texts.items()}
    required = [*_required_files(form), *(name for name, text in form.texts.items() if text.required)]
    schema: Json = {"type": "object", "properties": properties, "required": required}
    if form.any_file is not None:
        files = _file_schema(form.any_file, limits)
        # A page that shows a form has an input for a property only. Any name does, so there is one to begin with.
        schema["properties"]["files"] = files | {"description": f"In a field of any name. {files['description']}"}
        schema["additionalProperties"] = files
    elif not properties:
        schema["additionalProperties"] = {"type": "string"}
    return schema


def _modelled(schema: Json, form: FormRules, limits: Limits) -> Json:
    """The schema of a model, with the rules of its files."""
    properties = {name: _without_null(field) for name, field in schema["properties"].items()}
    properties |= _file_schemas(form, limits, properties)
    return schema | {"properties": properties, "required": [*schema["required"], *_required_files(form)]}


def _without_null(field: Json) -> Json:
    """A form has no null: a field that may be None is not sent."""
    field = {key: value for key, value in field.items() if not (key == "default" and value is None)}
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del field["anyOf"]
        return {**kinds[0], **field}
    return field | {"anyOf": kinds} if kinds else field


def _required_files(form: FormRules) -> list[str]:
    return [name for name, rule in form.files.items() if rule.min_count]


def _file_schemas(form: FormRules, limits: Limits, written: Mapping[str, Json]) -> Json:
    """By field. What is `written` of a field in a model, its title and its description, goes first, and the stricter
    of two bounds holds."""
    schemas = {}
    for name, rule in form.files.items():
        said, schema = written.get(name, {}), _file_schema(rule, limits)
        texts = [text for text in (said.get("description"), schema["description"]) if text]
        for bound, stricter in (("minItems", max), ("maxItems", min)):
            numbers = [each[bound] for each in (said, schema) if bound in each]
            schema |= {bound: stricter(numbers)} if numbers else {}
        title = {"title": said["title"]} if "title" in said else {}
        schemas[name] = title | schema | {"description": " ".join(texts)}
    return schemas


def _file_schema(rule: FileRule, limits: Limits) -> Json:
    count = most(rule, limits)
    if count == 1:
        return _FILE | {"description": _file_text(rule, limits)}
    schema: Json = {"type": "array", "items": _FILE, "description": _file_text(rule, limits)}
    if count is not None:
        schema["maxItems"] = count
    if rule.min_count:
        schema["minItems"] = rule.min_count
    return schema


# OpenAPI 3.1 asks for `contentMediaType`. Swagger UI has a file picker for it, but none for a list of such items (its
# issue 10825) unless they have the `format` of OpenAPI 3.0 as well, which JSON Schema lets stand.
_FILE: Json = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}


def _file_text(rule: FileRule, limits: Limits) -> str:
    count, size, types = most(rule, limits), largest(rule, limits), accepted(rule.accept)
    facts = []
    if count != 1:
        facts.append(_count_text(rule.min_count, count))
    if size is not None:
        facts.append(f"{'each ' if facts else ''}at most {size_text(size)}")
    if rule.min_size:
        facts.append(f"at least {size_text(rule.min_size)}")
    text = ", ".join(facts or ["A file of any size"])
    text = f"{text[0].upper()}{text[1:]}."
    return text if types is None else f"{text} Types: {', '.join(types)}."


def _count_text(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} files" if least else "any number of files"
    return f"{most} files" if least == most else f"{least or 'up'} to {most} files"


def _text_schema(text: Text) -> Json:
    schema: Json = {"type": "string"}
    if text.max_length is not None:
        schema["maxLength"] = text.max_length
    if text.max_count is None or text.max_count == 1:
        return schema
    return {"type": "array", "items": schema, "maxItems": text.max_count}


def _encoding(form: FormRules, properties: Mapping[str, Json]) -> Json:
    """How fields are sent: lists by repeating their names, and files as the types that are accepted.

    A file that may be left out has no types here: Swagger UI would send an empty file of these types where none was
    chosen, and the field would refuse it. They stand in its description."""
    encoding: Json = {name: {"style": "form", "explode": True} for name, field in properties.items() if _is_list(field)}
    for name, rule in form.files.items():
        types = accepted(rule.accept)
        if types is not None and rule.min_count:
            encoding[name] = {"contentType": ", ".join(types)}
    return encoding


def _is_list(field: Json) -> bool:
    return field.get("type") == "array"


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A copy of a JSON value that refers to schemas by their new names."""
    if isinstance(value, Mapping):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, str) and value.startswith(_REFERENCE):
        name = value.removeprefix(_REFERENCE)
        return f"{_REFERENCE}{names.get(name, name)}"
    return value


_PROBLEM_SCHEMA: Json = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details. `code` is stable, `detail` is for people, the rest are its facts.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, safe to show."},
        "code": {"type": "string", "description": "What happened, for programs.", "examples": ["limit_exceeded"]},
        "field": {"type": "string", "description": "The field of the form that is meant."},
        "limit": {"type": "string", "description": "Which limit was exceeded.", "examples": ["max_size"]},
        "allowed": {"type": "number", "description": "Its value; sizes are bytes."},
        "seen": {"type": "number", "description": "How much had been seen by then."},
        "filter": {"type": "string", "description": "Which rule refused the file.", "examples": ["accept"]},
        "detected": {"type": "string", "description": "The media type that the file's bytes show."},
        "reason": {"type": "string", "description": "What is wrong with a token.", "examples": ["expired"]},
        "retry_after": {"type": "integer", "description": "Seconds after which the request may succeed."},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "state": {"type": "string", "description": "The state that the upload is in.", "examples": ["completed"]},
        "expected": {"type": "integer", "description": "Bytes of an upload that have arrived: the next begin there."},
        "provided": {"type": "integer", "description": "Where those of the request began."},
        "algorithm": {"type": "string", "description": "Of a checksum that was another one.", "examples": ["sha256"]},
        "errors": {
            "type": "array",
            "description": "Every field that was refused.",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": ["string", "null"], "description": "null where it is the whole form."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "path": {"type": "array", "description": "Where in a value that has parts."},
                },
                "required": ["field", "code", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def _responses(field: str) -> Mapping[str, Json]:
    """By status. The examples are about `field`."""
    size = 5_000_000
    too_big = f"the file in field {quoted(field)} has more than {size} bytes"
    no_form = (
        "a form is sent as multipart/form-data or application/x-www-form-urlencoded; the Content-Type is text/plain"
    )
    slow = "the client sent nothing for 30 seconds"
    return {
        "400": _response("The form is malformed, or was cut short.", TruncatedForm()),
        "408": _response(
            "The client was silent, or too slow.", UploadTooSlow(slow, limit="idle_seconds", allowed=30, seen=30.1)
        ),
        "413": _response(
            "More was sent than is allowed.",
            LimitExceeded(too_big, limit="max_size", allowed=size, seen=size + 1, field=field),
        ),
        "415": _response("No form, or a file of a type that is not accepted.", UnsupportedMediaType(no_form)),
        "422": _response(
            "A field is missing, or was refused.", FieldMissing(f"field {quoted(field)} is missing", field=field)
        ),
        "503": _response(
            "Too many uploads at once, or the files could not be checked or stored.",
            Overloaded(retry_after=1),
            _RETRY_AFTER,
        ),
    }


def _response(text: str, example: UploadError, headers: Json | None = None) -> Json:
    content = {"schema": {"$ref": f"{_REFERENCE}Problem"}, "example": example.problem()}
    response: Json = {"description": text, "content": {PROBLEM_JSON: content}}
    return response if headers is None else response | {"headers": headers}


_RETRY_AFTER: Json = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds after which the request may succeed."}
}
