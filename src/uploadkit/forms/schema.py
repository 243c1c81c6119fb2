"""What pydantic's own schema of a model says of its fields, and validators for a part of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pydantic_core import SchemaValidator

from .fields import FileField, TextField


class Schema:
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

    def shown_names(self, files: Iterable[FileField], texts: Iterable[TextField]) -> dict[str, str]:
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
