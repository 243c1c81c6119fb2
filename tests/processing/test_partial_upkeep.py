"""What is left of uploads that come in several requests, and what a sweep, a deletion and a restart make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.processing.pipelines import Heard, keys_of, sqlite, told
from tests.records.ledgers import Clock, add

from uploadkit.errors import StorageFailed
from uploadkit.processing.doctor import Level, doctor
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.upkeep import Swept, sweep
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.resumable.holding import LEASE_SECONDS
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage

DAY = 86400
INFO = ObjectInfo()

Place: TypeAlias = MemoryStorage | DiskStorage


@pytest.fixture
def clock() -> Clock:
    """At the time of the files, and of the doctor."""
    clock = Clock()
    clock.now = datetime.now(UTC)
    return clock


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock, pipelines_end: list[Ledger]) -> Ledger:
    """In SQLite, with a clock that a test sets forward."""
    pipelines_end.append(sqlite(tmp_path, now=clock))
    return pipelines_end[-1]


@pytest.fixture(params=["memory", "disk"])
def media(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Keeps objects that come in several goes."""
    return MemoryStorage(name="media") if request.param == "memory" else DiskStorage(tmp_path / "media", name="media")


@pytest.fixture
def pipeline(ledger: Ledger, media: Place) -> Pipeline:
    return Pipeline(ledger, storages=[media])


def rest(pipeline: Pipeline, media: Place, upload: str = "u", *, seconds: float = 7 * DAY) -> None:
    """Half of an upload has arrived, whose key is not known yet, and nobody is at it."""
    add(pipeline.ledger, upload)
    kept = media.begin_partial(upload, INFO)
    expires_at = pipeline.ledger._now() + timedelta(seconds=seconds)
    pipeline.ledger.resumables.add(upload, length=8, storage="media", kept=kept, told={}, expires_at=expires_at)
    half = media.partial(upload, kept)
    half.append(b"half")
    half.keep()
    half.close()


def staged(media: Place) -> list[str]:
    return sorted(media.in_staging() if isinstance(media, DiskStorage) else media.unfinished)


def known(pipeline: Pipeline, upload: str = "u") -> UploadRecord:
    return pipeline.ledger.get(upload)


def fail(*args: object, **options: object) -> None:
    raise StorageFailed("it does not answer", storage="media")


def warnings(pipeline: Pipeline) -> list[str]:
    """What a doctor finds that is to be removed."""
    return [each.text for each in doctor(pipeline) if each.name == "leftovers" and each.level is Level.WARNING]


def test_an_upload_that_rests_is_left_alone(pipeline: Pipeline, media: Place, clock: Clock) -> None:
    """For days, as long as it says itself; also by a service that has just begun, which takes all others for dead. What
    has arrived is no object of anybody's."""
    rest(pipeline, media)
    clock.forward(2 * DAY)
    for seconds in (DAY, 0):
        assert sweep(pipeline, older_than_seconds=seconds, orphans=True, now=clock) == Swept(are_orphans_kept=False)
    assert known(pipeline).state is State.RECEIVING
    assert (staged(media), keys_of(media)) == (["partial-u"], [])
    found = [each.text for each in doctor(pipeline) if each.name == "leftovers"]
    assert "1 uploads that come in several requests are not whole yet" in found
    assert warnings(pipeline) == []


def test_what_has_no_storage_yet_is_ended_as_others_are(pipeline: Pipeline, media: Place, clock: Clock) -> None:
    """Its process has died before it was known that it comes in several requests."""
    add(pipeline.ledger, "u")
    clock.forward(2 * DAY)
    assert sweep(pipeline, now=clock).names == {"unended": ["u"]}


def test_an_upload_whose_time_is_over_is_ended(pipeline: Pipeline, media: Place, clock: Clock) -> None:
    """What had arrived is gone, and the record says why; nobody is told of an upload that was never there. Others
    stay. A dry run says so and changes nothing, and so does a doctor."""
    heard = Heard(pipeline)
    rest(pipeline, media, "u", seconds=60)
    rest(pipeline, media, "v")
    clock.now -= timedelta(days=1)
    rest(pipeline, media, "w", seconds=60)
    clock.now += timedelta(days=1, seconds=61)
    dry = sweep(pipeline, dry_run=True, now=clock)
    assert (dry.expired, dry.names["expired"], dry.unended) == (2, ["w", "u"], 0)
    assert "1 uploads whose time is over" in warnings(pipeline), "that of the other is over by the test's clock alone"
    assert staged(media) == ["partial-u", "partial-v", "partial-w"]
    swept = sweep(pipeline, now=clock)
    assert (swept.expired, swept.failures, swept.names["expired"]) == (2, 0, ["w", "u"])
    record = known(pipeline)
    assert (record.state, record.reason, record.key) == (State.EXPIRED, "its time is over", None)
    assert pipeline.ledger.resumables.get("u") is None
    assert (staged(media), known(pipeline, "v").state) == (["partial-v"], State.RECEIVING)
    assert sweep(pipeline, now=clock).expired == 0
    told(pipeline)
    assert heard.names() == []


def test_an_upload_is_not_ended_while_somebody_is_at_it(pipeline: Pipeline, media: Place, clock: Clock) -> None:
    """Nor when somebody has just come back to it."""
    rest(pipeline, media, seconds=60)
    clock.forward(59)
    hold = pipeline.ledger.resumables.hold("u", seconds=LEASE_SECONDS)
    assert hold is not None
    clock.forward(2)
    assert sweep(pipeline, now=clock).expired == 0
    assert pipeline.ledger.resumables.wanted([hold]) == {hold.token: False}, "a sweep does not disturb him"
    pipeline.ledger.resumables.let_go(hold, expires_at=clock() + timedelta(days=1))
    assert sweep(pipeline, now=clock).expired == 0
    assert (staged(media), known(pipeline).state) == (["partial-u"], State.RECEIVING)


def test_one_who_is_back_in_the_middle_of_a_sweep_is_not_disturbed(
    pipeline: Pipeline, media: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep had found it, and has nobody let go of it."""
    rest(pipeline, media, seconds=60)
    clock.forward(61)
    resumables = pipeline.ledger.resumables
    hold_it, holds = resumables.hold, []

    def later(upload: str, **options: Any) -> object:
        holds.append(hold_it(upload, seconds=LEASE_SECONDS))
        return hold_it(upload, **options)

    with monkeypatch.context() as patch:
        patch.setattr(resumables, "hold", later)
        assert sweep(pipeline, now=clock).expired == 0
    [mine] = holds
    assert mine is not None
    assert resumables.wanted([mine]) == {mine.token: False}


def test_one_who_comes_back_in_the_middle_of_a_sweep_goes_on(
    pipeline: Pipeline, media: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep had found it, and finds that it has been given more time; it lets go of it."""
    rest(pipeline, media, seconds=60)
    clock.forward(61)
    resumables = pipeline.ledger.resumables
    hold_it = resumables.hold

    def later(upload: str, **options: Any) -> object:
        mine = hold_it(upload, **options)
        assert mine is not None
        resumables.let_go(mine, expires_at=clock() + timedelta(days=1))
        return hold_it(upload, **options)

    with monkeypatch.context() as patch:
        patch.setattr(resumables, "hold", later)
        assert sweep(pipeline, now=clock).expired == 0
    assert resumables.hold("u", seconds=LEASE_SECONDS) is not None
    assert (staged(media), known(pipeline).state) == (["partial-u"], State.RECEIVING)


def test_a_deleted_upload_leaves_nothing(pipeline: Pipeline, media: Place) -> None:
    """Deleted twice it is no error; nor where a sweep of the storage was first. Its record stays."""
    for upload in "uv":
        rest(pipeline, media, upload)
    media.partial("v", "").discard()
    for upload in "uvu":
        pipeline.delete(upload)
    assert staged(media) == []
    assert [pipeline.ledger.resumables.get(upload) for upload in "uv"] == [None, None]
    assert [known(pipeline, upload).state for upload in "uv"] == [State.DELETED, State.DELETED]


def test_a_refused_upload_leaves_nothing(pipeline: Pipeline, media: Place) -> None:
    rest(pipeline, media)
    pipeline.refuse(["u"], ValueError())
    assert (staged(media), pipeline.ledger.resumables.get("u")) == ([], None)


def test_what_could_not_be_removed_is_removed_by_a_sweep(
    pipeline: Pipeline, media: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of uploads whose key nobody knows, and of others. A doctor knows of them before."""
    rest(pipeline, media, "u")
    rest(pipeline, media, "v")
    pipeline.ledger.change(known(pipeline, "v"), storage="media", key="k")
    with monkeypatch.context() as patch:
        patch.setattr(media, "partial", fail)
        pipeline.refuse(["u", "v"], ValueError())
        clock.now -= timedelta(hours=2)
        assert sweep(pipeline, now=clock).failures == 0
        clock.now += timedelta(hours=2)
    assert staged(media) == ["partial-u", "partial-v"]
    clock.forward(1000)
    dry = sweep(pipeline, dry_run=True, now=clock)
    assert (dry.unremoved, sorted(dry.names["unremoved"]), dry.expired) == (2, ["u", "v"], 0)
    swept = sweep(pipeline, now=clock)
    assert (swept.unremoved, swept.failures) == (2, 0)
    assert staged(media) == []
    assert sweep(pipeline, now=clock) == Swept()


def test_a_doctor_knows_of_what_was_not_removed(
    pipeline: Pipeline, media: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its record has no key."""
    clock.now -= timedelta(hours=2)
    rest(pipeline, media)
    with monkeypatch.context() as patch:
        patch.setattr(media, "partial", fail)
        pipeline.refuse(["u"], ValueError())
    assert warnings(pipeline) == ["1 uploads that are gone, and still have bytes"]


def test_what_is_forgotten_has_left_nothing(pipeline: Pipeline, media: Place, clock: Clock) -> None:
    """A record that is old enough is forgotten after what it has left."""
    rest(pipeline, media)
    pipeline.ledger.move("u", State.REJECTED)
    clock.forward(91 * DAY)
    swept = sweep(pipeline, forget_after_seconds=90 * DAY, now=clock)
    assert (swept.unremoved, swept.forgotten, swept.failures) == (1, 1, 0)
    assert (staged(media), pipeline.ledger.find()) == ([], [])


def test_an_upload_that_is_whole_is_not_expired_with_what_was_known_beside(
    pipeline: Pipeline, media: Place, clock: Clock
) -> None:
    """Its process has died between its acceptance and the end. What was known is forgotten, and its object stays."""
    rest(pipeline, media, seconds=60)
    whole = media.partial("u", "")
    whole.complete()
    whole.commit("k", INFO)
    pipeline.ledger.move("u", State.STAGED, storage="media", key="k", size=4)
    clock.forward(61)
    assert sweep(pipeline, dry_run=True, now=clock) == sweep(pipeline, now=clock) == Swept()
    assert (pipeline.ledger.resumables.get("u"), keys_of(media)) == (None, ["k"])
    assert known(pipeline).state is State.STAGED


def test_a_storage_that_keeps_nothing_is_told_of(
    ledger: Ledger, pipeline: Pipeline, media: Place, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as another one under the name: what is known stays, for when it is there again."""
    rest(pipeline, media, seconds=60)
    clock.forward(61)

    class Plain:
        name = "media"
        may_block = False

    other = Pipeline(ledger, storages=[Plain()])  # type: ignore[list-item]
    assert sweep(other, now=clock).failures == 1
    assert "storage 'media' keeps no uploads that come in several requests" in caplog.text
    clock.forward(1000)
    assert sweep(pipeline, now=clock).unremoved == 1
    assert staged(media) == []
