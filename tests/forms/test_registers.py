"""What a register is told of a typed form, in which an error of one field does not end the form."""

from __future__ import annotations

from itertools import count

import pytest
from pydantic import BaseModel
from tests.intake.conftest import drive as drive
from tests.intake.receiving import Drive, left_in
from tests.intake.test_register import expect_nothing_left, fails_at, registered

from uploadkit.errors import InvalidForm, LedgerFailed, LimitExceeded
from uploadkit.testing import FormBuilder
from uploadkit.uploads import UploadedFile


class Model(BaseModel):
    """A typed form."""

    a: UploadedFile
    b: UploadedFile


def test_a_typed_form_refuses_each_of_its_files_once(drive: Drive) -> None:
    """The one with an error for that error, the others for that of the form."""
    register, storage, upload = registered(max_size=8999)
    form = FormBuilder().file("a", b"one", filename="1").file("b", bytes(9000), filename="2")
    with pytest.raises(InvalidForm) as caught:
        drive(upload.form(Model), form.content_type, [form.body])
    expect_nothing_left(register, storage)
    first, second = register.states
    (one, why), (other, of_the_form) = register.refused
    assert (one, other) == ((second,), (first,))
    assert isinstance(why, LimitExceeded)
    assert of_the_form is caught.value


def test_a_typed_form_whose_calls_fail_leaves_nothing(drive: Drive) -> None:
    """Also where the file that is given up cannot be discarded, or its register cannot be told: then that is the end.
    What was told once is not told again."""
    form = FormBuilder().file("a", b"one", filename="1").file("b", bytes(9000), filename="2")
    for number in count():
        register, storage, upload = registered(fails_at(number), max_size=8999)
        error: Exception | None = None
        try:
            drive(upload.form(Model), form.content_type, [form.body])
        except (LedgerFailed, InvalidForm) as raised:
            error = raised
        notes = [note.partition(": ")[2] for note in getattr(error, "__notes__", [])]
        assert notes == (
            [] if isinstance(error, LedgerFailed) or number >= len(register.calls) else ["LedgerFailed('no')"]
        )
        assert set(register.ends()) <= {"refused"}
        assert len(left_in(storage.inner)) == (1 if notes and register.calls[number] == "discard" else 0)
        told = [upload for uploads, _ in register.refused for upload in uploads]
        assert sorted(told) == sorted(register.states)
        if number >= len(register.calls):
            return
