"""Errors as values: they go into queues and to other processes whole."""

from __future__ import annotations

import copy
import pickle

import pytest

from uploadkit.errors import (
    ClientDisconnected,
    FileRefused,
    LimitExceeded,
    QueueFailed,
    StorageFailed,
    TokenRefused,
    TruncatedForm,
    UploadError,
)

ERRORS = [
    TruncatedForm(),
    LimitExceeded("too much", limit="files", allowed=2, seen=3, field="photos"),
    FileRefused("no", field="avatar", filter="accept", detected="text/plain", status=415),
    StorageFailed("broken", storage="disk", key="a/b", retryable=True),
    QueueFailed(retryable=True),
    ClientDisconnected(),
    TokenRefused("old", reason="expired", field="video"),
]


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copy_of_an_error_says_the_same(error: UploadError, again: type[UploadError]) -> None:
    """Text, facts and notes; where it was raised is left out."""
    error.add_note("a note")
    copied = again(error)  # type: ignore[arg-type]
    assert type(copied) is type(error)
    assert (str(copied), vars(copied)) == (str(error), vars(error))
    assert copied.problem() == error.problem()


def test_a_status_that_nobody_has_registered_has_a_title() -> None:
    """A refusal of the user's own may have any from 400 to 499."""
    assert FileRefused("no", status=430).problem()["title"] == "Client Error"
