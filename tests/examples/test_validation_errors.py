"""The example whose errors are FastAPI's own, asked in this process."""

from __future__ import annotations

from examples import validation_errors
from tests.adapters.asgi_client import ask

from uploadkit.testing import FormBuilder


def test_errors_are_shown_as_fastapi_shows_its_own() -> None:
    """As the document says."""
    answer = ask(validation_errors.app, FormBuilder().text("age", "old"), path="/profile")
    assert answer.status == 422
    assert [(error["type"], error["loc"]) for error in answer.json["detail"]] == [
        ("field_missing", ["body", "name"]),
        ("int_parsing", ["body", "age"]),
    ]


def test_a_form_that_is_right_is_shown_as_it_came() -> None:
    """Without a file it has none."""
    answer = ask(validation_errors.app, FormBuilder().text("age", "36").text("name", "Ada"), path="/profile")
    assert (answer.status, answer.json) == (200, {"name": "Ada", "age": 36, "avatar": None})
