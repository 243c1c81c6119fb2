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

try:
    import pydantic as pydantic
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "typed forms need pydantic: pip install 'pyuploadkit[forms]'", name=_missing.name
    ) from _missing

from .model import ModelForm as ModelForm
