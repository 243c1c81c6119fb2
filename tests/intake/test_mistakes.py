"""What developers get wrong, and what they are told."""

from __future__ import annotations

from typing import Any, cast

import pytest

from uploadkit import FileRefused, IncomingFile, Limits, MemoryStorage, Uploader, receive
from uploadkit.intake import blocking
from uploadkit.intake.blocking import perform
from uploadkit.intake.steps import Discard, Step
from uploadkit.testing import FormBuilder

FORM = FormBuilder().file("a", b"1", filename="1").file("a", b"2", filename="2").file("a", b"3", filename="3")


@pytest.mark.parametrize("method", ["feed", "end"])
def test_an_async_watch_is_an_error_and_refuses_nothing_silently(method: str) -> None:
    """Nobody would await it, so the file would come in unchecked."""

    class Watch:
        def feed(self, data: object) -> None: ...
        def end(self) -> None: ...

    class Check:
        def begin(self, file: IncomingFile) -> Watch:
            return Watch()

    async def refuse(*_: object) -> None:
        raise FileRefused("never raised")

    setattr(Watch, method, refuse)
    storage = MemoryStorage()
    with pytest.raises(TypeError, match="is async"):
        receive(Uploader(storage).array("a", check=Check()), FORM.content_type, [FORM.body])
    assert (storage.objects, storage.unfinished) == ({}, [])


@pytest.mark.parametrize("status", [400, 403, 418, 451])
def test_a_filter_may_refuse_with_any_status_of_the_senders(status: int) -> None:
    """The problem details have the title that HTTP gives the status."""
    refusal = FileRefused("no", status=status)
    assert refusal.problem()["status"] == refusal.status == status
    assert refusal.problem()["title"]


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_refusal_is_an_answer_to_the_sender(status: int) -> None:
    """No success, and no fault of the service."""
    with pytest.raises(ValueError, match="from 400 to 499"):
        FileRefused("no", status=status)


def test_a_rule_without_effect_is_an_error() -> None:
    """`max_count` on `single` would lose files, `required` on an `Uploader` would require none."""
    upload = cast(Any, Uploader(MemoryStorage()))
    with pytest.raises(TypeError, match=r"single\(\) takes no max_count"):
        upload.single("a", max_count=3)
    with pytest.raises(TypeError, match=r"any\(\) takes no max_count"):
        upload.any(max_count=3)
    with pytest.raises(TypeError, match=r"Uploader\(\) takes no required"):
        cast(Any, Uploader)(MemoryStorage(), required=True)


def test_limits_are_limits() -> None:
    """A dict of them is refused at once and not at every upload."""
    with pytest.raises(TypeError, match="limits is Limits"):
        cast(Any, Uploader)(MemoryStorage(), limits={"file_size": 5})


def test_any_may_need_some_files() -> None:
    """Of all fields together."""
    spec = Uploader(MemoryStorage(), limits=Limits(files=3)).any(min_count=3)
    assert len(receive(spec, FORM.content_type, [FORM.body]).files) == 3


def test_a_second_interrupt_stops_no_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is discarded, and then the interrupt is raised."""
    discarded: list[Step] = []

    def interrupted(step: Step) -> object:
        answer = perform(step)
        if isinstance(step, Discard):
            discarded.append(step)
            if len(discarded) == 1:
                raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(blocking, "perform", interrupted)
    storage = MemoryStorage()
    with pytest.raises(KeyboardInterrupt):
        receive(Uploader(storage).array("a"), FORM.content_type, [FORM.body[:-4]])
    assert len(discarded) == 3
    assert (storage.objects, storage.unfinished) == ({}, [])
