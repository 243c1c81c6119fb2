"""The processors: what each does to an upload, and what is left wherever a worker dies, or two are at it."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.clamd import SCAN_SIZE, Clamd, eicar
from tests.content.pictures import JPEG, PNG, animated, drawn, exif, written
from tests.processing.desk import UPLOAD, Desk, Killed, Life, again
from tests.storage.kinds import get, put
from tests.storage.s3.places import Place

from uploadkit.content.archives import ArchiveCheck
from uploadkit.content.documents import DocumentCheck
from uploadkit.content.images import ImageCheck
from uploadkit.content.scanning import ClamAV, Outcome
from uploadkit.content.scanning import Scan as Scanned
from uploadkit.content.variants import DEFAULT_VARIANTS, THUMBNAIL, cover, inside
from uploadkit.errors import CheckFailed, ObjectExists, StorageFailed, UploadChanged
from uploadkit.events.facts import FileScanned
from uploadkit.policy.filters import IncomingFile
from uploadkit.processing.processor import JobContext, Processor
from uploadkit.processing.processors import (
    ArchiveGuard,
    Metadata,
    Promote,
    Scan,
    Validate,
    Variants,
    function_processor,
)
from uploadkit.processing.queue import GivenUp
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, sample

KEY = "8e5fe1aaf63ec26f2e0bd0b86bfee1a4.png"
DATA = bytes(range(256)) * 5_000
SAMPLES = Path(__file__).parent.parent / "samples"


def done(desk: Desk) -> dict[str, Any]:
    """The results of an attempt that went well."""
    assert desk.done is not None
    results: dict[str, Any] = desk.done["results"]
    assert json.loads(json.dumps(results)) == results
    return results


def desk_with(data: bytes, content_type: str = "image/png", *, storage: Storage | None = None) -> Desk:
    """An upload in one storage."""
    return Desk(storage or MemoryStorage(), data=data, key=KEY, content_type=content_type)


def worked(processor: Processor, data: bytes, content_type: str = "image/png") -> dict[str, Any]:
    """What a processor tells of these bytes."""
    desk = desk_with(data, content_type)
    desk.work(lambda _: processor)
    return done(desk)


# Names and digests


PROCESSORS: list[Callable[[], Processor]] = [
    lambda: Validate(ImageCheck(), DocumentCheck(), ArchiveCheck()),
    lambda: Validate(ImageCheck(max_pixels=1)),
    lambda: Validate(DocumentCheck(macros="accept")),
    lambda: Validate(ArchiveCheck(depth=1)),
    lambda: Validate(ArchiveCheck(links="accept")),
    lambda: Validate(ImageCheck(), version=1),
    lambda: Validate(ImageCheck(), name="pictures"),
    lambda: ArchiveGuard(),
    lambda: ArchiveGuard(depth=1),
    lambda: Scan(ClamAV("tcp://127.0.0.1:3310")),
    lambda: Scan(ClamAV("tcp://127.0.0.1:3310", max_size=None)),
    lambda: Scan(ClamAV("tcp://127.0.0.1:3310"), unscannable="accept"),
    lambda: Scan(ClamAV("tcp://127.0.0.1:3310"), quarantine=MemoryStorage("quarantine")),
    lambda: Variants(),
    lambda: Variants(thumbnail=THUMBNAIL),
    lambda: Variants(small=THUMBNAIL),
    lambda: Variants(thumbnail=THUMBNAIL, max_pixels=1000),
    lambda: Variants(thumbnail=THUMBNAIL, formats=["png"]),
    lambda: Metadata(),
    lambda: Promote(MemoryStorage("media")),
    lambda: Promote(MemoryStorage("archive")),
    lambda: function_processor(lambda record, job: None, name="index"),
    lambda: function_processor(lambda record, job: None, name="index", version=2),
    lambda: function_processor(lambda record, job: None, name="index", version="2"),
]


def test_a_processor_is_a_value_of_its_name_and_its_rules() -> None:
    """The same rules make equal ones, and others have another digest."""
    made = [make() for make in PROCESSORS]
    assert made == [make() for make in PROCESSORS]
    assert all(len(bytes.fromhex(each.digest)) == 16 for each in made)
    assert len({(each.name, each.digest) for each in made}) == len(set(made)) == len(made)
    assert not any(each == each.name for each in made)  # type: ignore[comparison-overlap]


def test_what_needs_pillow_is_imported_by_what_needs_it() -> None:
    """A pipeline for documents runs without."""
    code = (
        "import sys; from uploadkit.processing.processors import *; Metadata(), ArchiveGuard()\n"
        "print('uploadkit.content.images' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"


def test_a_digest_is_the_same_in_every_process() -> None:
    """Also where hashes differ; the address of a scanner, and the order of variants, are no rules."""
    code = (
        "from uploadkit.processing.processors import *; from uploadkit.content.images import ImageCheck\n"
        "from uploadkit.content.documents import DocumentCheck\n"
        "print(Validate(ImageCheck(), DocumentCheck()).digest, Variants().digest, ArchiveGuard().digest)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert told == [Validate(ImageCheck(), DocumentCheck()).digest, Variants().digest, ArchiveGuard().digest]
    assert Scan(ClamAV("tcp://127.0.0.1:3310")).digest == Scan(ClamAV("unix:///run/clamd.ctl")).digest
    assert Variants(DEFAULT_VARIANTS) == Variants() == Variants(dict(reversed(list(DEFAULT_VARIANTS.items()))))


@given(st.text(st.sampled_from("aZ09_-.: é/"), max_size=70))
def test_a_name_can_stand_in_the_id_of_a_job(name: str) -> None:
    """Else it is a mistake that is told at once."""
    try:
        processor = function_processor(lambda record, job: None, name=name)
    except ValueError:
        assert not 0 < len(name) <= 64 or name[0] in "-." or any(char in name for char in ": é/")
    else:
        assert processor.name == name
        assert ":" not in name


# Checks


@dataclass(frozen=True)
class Noting:
    """A check that keeps what it is shown."""

    seen: list[tuple[IncomingFile, bytes]]

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        self.seen.append((file, staged.read()))


class Silent:
    """A check that says nothing of itself."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None: ...


@pytest.mark.parametrize("on_disk", [False, True])
def test_checks_see_a_stored_upload_as_they_would_have_seen_it_arrive(on_disk: bool, tmp_path: Path) -> None:
    """From its record, with its head; each reads the file from its start."""
    first, second = Noting([]), Noting([])
    desk = desk_with(DATA, storage=DiskStorage(tmp_path) if on_disk else None)
    desk.work(lambda _: Validate(first, second))
    [(file, data)] = first.seen
    assert first.seen == second.seen
    assert data == DATA
    assert file == IncomingFile(
        id=UPLOAD,
        field="photo",
        filename="photo.png",
        client_filename="C:\\photo.png",
        content_type="image/png",
        declared_type=None,
        head=DATA[:8192],
    )
    assert desk.progress == [50, 100]


def test_what_a_check_refuses_is_rejected() -> None:
    """With the check's own reason; what it lets in goes on."""
    assert worked(Validate(ImageCheck()), PNG) == {}
    desk = desk_with(PNG)
    desk.work(lambda _: Validate(ImageCheck(max_side=10)))
    assert (desk.record.state, desk.done) == (State.REJECTED, None)
    assert "has" in (desk.record.reason or "")


def test_a_check_without_rules_that_can_be_told_needs_a_version() -> None:
    """Its address in memory would be another one in every process."""
    with pytest.raises(TypeError, match="Silent has no repr that tells its rules"):
        Validate(Silent())
    assert Validate(Silent(), version=1) == Validate(Silent(), version=1) != Validate(Silent(), version=2)
    for mistake in (ImageCheck, object(), len):
        with pytest.raises(TypeError, match="no check of a staged file"):
            Validate(mistake)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a check"):
        Validate()


def test_an_archive_is_counted_or_rejected() -> None:
    """Its rules are those of the check; what is no archive has nothing to count."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("one", "two"):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"12345"))
    told = worked(ArchiveGuard(), packed.getvalue(), "application/gzip")
    assert (told["entries"], told["depth"]) == (3, 2)
    assert worked(ArchiveGuard(), b"text", "text/plain") == {"entries": 0, "size": 0, "depth": 0}
    desk = desk_with(packed.getvalue(), "application/gzip")
    desk.work(lambda _: ArchiveGuard(depth=1))
    assert desk.record.state is State.REJECTED
    assert desk.record.reason == (
        "the file in field 'photo' was refused: archives lie inside each other more than 1 deep"
    )


# The scan


@pytest.mark.needs("clamd")
def test_a_clean_upload_is_told_of_and_stays(clamd: Clamd) -> None:
    """With whose it is."""
    desk = desk_with(DATA[:1000])
    desk.work(lambda _: Scan(ClamAV(clamd.unix)))
    assert done(desk) == {"outcome": "clean"}
    [fact] = desk.facts
    assert fact == FileScanned(upload=UPLOAD, owner="owner", batch="batch", outcome="clean", id=fact.id, at=fact.at)


@pytest.mark.needs("clamd")
@pytest.mark.parametrize("kept", [False, True])
def test_an_infected_upload_is_quarantined(kept: bool, clamd: Clamd, tmp_path: Path) -> None:
    """With a storage for it the bytes lie there, and nowhere else."""
    media, quarantine = MemoryStorage("media"), DiskStorage(tmp_path, name="quarantine")
    desk = Desk(media, quarantine, data=eicar(), key=KEY)
    desk.work(lambda storages: Scan(ClamAV(clamd.unix), quarantine=storages["quarantine"] if kept else None))
    assert desk.record.state is State.QUARANTINED
    assert desk.done is None
    if not kept:
        assert desk.place == ("media", KEY), "to be removed by whoever rejects it"
        return
    assert desk.place[0] == "quarantine"
    assert desk.left() == {"media": [], "quarantine": [desk.place[1]]}
    assert get(quarantine, desk.place[1]) == eicar()


@pytest.mark.needs("clamd")
def test_what_cannot_be_scanned_is_as_the_rule_says(clamd: Clamd) -> None:
    """Larger than the daemon looks into."""
    data = bytes(SCAN_SIZE + 1)
    with pytest.raises(GivenUp, match=r"Heuristics\.Limits\.Exceeded"):
        desk_with(data).work(lambda _: Scan(ClamAV(clamd.unix)))
    desk = desk_with(data)
    desk.work(lambda _: Scan(ClamAV(clamd.unix), unscannable="refuse"))
    assert (desk.record.state, desk.record.reason) == (
        State.REJECTED,
        "the file in field 'photo' cannot be scanned for viruses",
    )
    desk = desk_with(data)
    desk.work(lambda _: Scan(ClamAV(clamd.unix), unscannable="accept"))
    assert done(desk)["outcome"] == "unscannable"
    [fact] = desk.facts
    assert isinstance(fact, FileScanned)
    assert (fact.outcome, fact.reason) == ("unscannable", done(desk)["reason"])


@pytest.mark.parametrize("rule", ["fail", "refuse", "accept"])
def test_a_daemon_that_is_down_is_another_attempt(rule: Any) -> None:
    """Whatever the rule: nobody knows what it would have said."""
    desk = desk_with(DATA)
    with pytest.raises(CheckFailed, match="could not be scanned for viruses"):
        desk.work(lambda _: Scan(ClamAV("unix:///nowhere/clamd.ctl"), unscannable=rule))
    assert desk.record.state is State.PROCESSING


def test_mistakes_in_a_scan_are_told() -> None:
    """When it is built."""
    clamav = ClamAV("unix:///nowhere/clamd.ctl")
    with pytest.raises(TypeError, match="no scanner"):
        Scan("unix:///nowhere/clamd.ctl")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unscannable is"):
        Scan(clamav, unscannable="retry")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no storage"):
        Scan(clamav, quarantine=MemoryStorage)  # type: ignore[arg-type]
    storage = MemoryStorage()
    assert (Scan(clamav).storages, Scan(clamav, quarantine=storage).storages) == ((), (storage,))


# Variants


def test_variants_lie_where_what_is_made_stays(tmp_path: Path) -> None:
    """With all that is known of each; the upload stays where it is."""
    staging, media = MemoryStorage("staging"), DiskStorage(tmp_path, name="media")
    desk = Desk(staging, media, data=written(drawn((600, 400)), "JPEG", exif=exif(6)), key=KEY)
    desk.work(lambda _: Variants(small=inside(60, 60), square=cover(50, 50, format="webp")))
    told = done(desk)
    assert told["small"] == {
        "key": told["small"]["key"],
        "storage": "media",
        "size": media.stat(told["small"]["key"]).size,
        "content_type": "image/jpeg",
        "width": 40,
        "height": 60,
        "frames": 1,
        "digest": inside(60, 60).digest,
    }
    assert told["square"]["content_type"] == "image/webp"
    keys = sorted(each["key"] for each in told.values())
    assert desk.left() == {"staging": [KEY], "media": keys}
    assert desk.done is not None
    assert sorted(desk.done["objects"]) == [("media", key) for key in keys]
    assert desk.progress == [10, 20, 60, 80, 90, 100]


def test_variants_go_into_a_storage_that_replaces_objects() -> None:
    """Their keys meet no others, so nobody has to say that they do not."""

    class Replacing(MemoryStorage):
        exclusive_commit = False

    desk = desk_with(animated("GIF", 3), "image/gif", storage=Replacing())
    desk.work(lambda _: Variants(tiny=inside(20, 20)))
    assert done(desk)["tiny"]["frames"] == 3


def test_a_picture_that_cannot_be_decoded_is_rejected() -> None:
    """Nothing is left of its variants."""
    for data in (JPEG[: len(JPEG) // 3], b"no picture"):
        desk = desk_with(data, "image/jpeg")
        desk.work(lambda _: Variants())
        assert desk.record.state is State.REJECTED
        assert desk.left() == {"memory": [KEY]}, "the upload is removed by whoever rejects it"


def test_mistakes_in_variants_are_told() -> None:
    """When they are built."""
    with pytest.raises(TypeError, match="variant 'small' is made by cover"):
        Variants(small=(200, 200))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no format that can be read"):
        Variants(formats=["psd"])
    assert Variants(DEFAULT_VARIANTS, name="more", tiny=cover(20, 20)).name == "more"


def killed_at_every_call(
    make: Callable[[], Desk], processor_of: Callable[[Mapping[str, Storage]], Processor]
) -> Iterator[tuple[Life, Desk]]:
    """An upload whose worker died before its first call, its second, and so on; the last lived to the end."""
    for at in range(1000):
        desk, life = make(), Life(at=at)
        with suppress(Killed):
            desk.work(processor_of, life)
        yield life, desk
        if not life.is_over:
            return


def test_wherever_a_worker_dies_each_variant_is_there_once() -> None:
    """The next one removes what was left, and makes its own."""
    variants = Variants(small=inside(20, 20), square=cover(10, 10))
    deaths = 0
    for life, desk in killed_at_every_call(
        lambda: Desk(MemoryStorage("staging"), MemoryStorage("media"), data=PNG, key=KEY), lambda _: variants
    ):
        deaths += life.is_over
        desk.work(lambda _: variants)
        made = sorted(each["key"] for each in done(desk).values())
        assert len(made) == 2
        assert desk.left() == {"staging": [KEY], "media": made}, life.calls
    assert deaths >= 10, "reads, announces, opens, writes, stages and commits"


def test_whoever_loses_the_work_on_variants_removes_its_own() -> None:
    """Two workers at once, wherever the first one stands still."""
    variants = Variants(small=inside(20, 20))
    for at in range(1000):
        desk = Desk(MemoryStorage("staging"), MemoryStorage("media"), data=PNG, key=KEY)
        life = Life(at=at, then=partial(desk.work, lambda _: variants))
        with suppress(UploadChanged):
            desk.work(lambda _: variants, life)
        assert desk.left() == {"staging": [KEY], "media": [done(desk)["small"]["key"]]}, life.calls
        if len(life.calls) <= at:
            return
    raise AssertionError("it has no end")


# Metadata


def test_metadata_are_what_is_known_by_the_type() -> None:
    """As JSON holds it, and nothing of a file that nothing is known of."""
    assert worked(Metadata(), written(drawn(), "JPEG", exif=exif(6)), "image/jpeg") == {
        "format": "jpeg",
        "width": 40,
        "height": 60,
        "frames": 1,
        "orientation": 6,
        "taken_at": worked(Metadata(), written(drawn(), "JPEG", exif=exif(6)), "image/jpeg")["taken_at"],
    }
    film = worked(Metadata(), (SAMPLES / "media" / "film.webm").read_bytes(), "video/webm")
    assert film["duration"] > 0
    assert film["video"] is True
    assert worked(Metadata(), sample("application/pdf"), "application/pdf") == {"flags": [], "pages": 1, "title": None}
    assert worked(Metadata(), b"%PDF-1.7 broken", "application/pdf")["flags"] == ["unreadable"]
    assert worked(Metadata(), b"text", "text/plain") == {}


def test_a_moment_is_told_in_iso_8601() -> None:
    """By the camera's clock."""
    told = worked(Metadata(), (SAMPLES / "kinds" / "jpeg" / "exif-progressive.jpg").read_bytes(), "image/jpeg")
    assert told["taken_at"] is None or "T" in told["taken_at"]


# Promotion


def promoting(storages: Mapping[str, Storage]) -> Promote:
    """Into the second storage."""
    return Promote(storages["media"])


PLACES: dict[str, Callable[[Path], tuple[Storage, Storage]]] = {
    "copied": lambda _: (MemoryStorage("staging"), MemoryStorage("media")),
    "streamed": lambda folder: (DiskStorage(folder, name="staging"), MemoryStorage("media")),
    "on disk": lambda folder: (
        DiskStorage(folder / "staging", name="staging"),
        DiskStorage(folder / "media", name="media"),
    ),
}


@pytest.fixture(params=PLACES)
def make_desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Desk]:
    """An upload that is to go from one storage to another."""

    def make(key: str = KEY) -> Desk:
        return Desk(*PLACES[request.param](tmp_path_factory.mktemp("places")), data=DATA, key=key)

    return make


def assert_promoted(desk: Desk, key: str | None = KEY, about: object = None) -> None:
    """It lies in its new place, and nowhere else. None: under a key that nobody can know."""
    key = desk.place[1] if key is None else key
    assert desk.place == ("media", key), about
    assert desk.left() == {"staging": [], "media": [key]}, about
    assert get(desk.storages["media"], key) == desk.data


def test_an_upload_is_promoted(make_desk: Callable[[], Desk]) -> None:
    """It keeps its key; nothing is announced any more, and nothing to be removed with another result."""
    desk = make_desk()
    desk.work(promoting)
    assert_promoted(desk)
    assert desk.done == {"results": {}, "objects": []}
    assert desk.progress == [10, 60, 90, 100]


@pytest.mark.parametrize(
    ("key", "becomes"),
    [
        (f"2026/{KEY}", f"2026/{KEY}"),
        (f"{UPLOAD}/photo.png", f"{UPLOAD}/photo.png"),
        ("avatar.png", f"{UPLOAD}/avatar.png"),
        ("2026/avatar.png", f"{UPLOAD}/2026/avatar.png"),
    ],
)
def test_a_key_that_another_upload_may_have_goes_into_a_folder_of_its_own(
    key: str, becomes: str, make_desk: Callable[[str], Desk]
) -> None:
    """Somebody else's object under it is neither replaced nor removed."""
    desk = make_desk(key)
    desk.work(promoting)
    assert_promoted(desk, becomes)


def test_the_application_chooses_a_key_that_is_the_upload_s_own() -> None:
    """Else it might be another one's, which would be removed with this one."""
    desk = Desk(MemoryStorage("staging"), MemoryStorage("media"), data=DATA, key=KEY)
    for key in ("{0.owner}.png", "a{0.id}.png", "{0.id}0/photo.png"):
        with pytest.raises(ValueError, match="does not contain the upload's id"):
            desk.work(lambda storages, key=key: Promote(storages["media"], key=key.format))  # type: ignore[misc]
    with pytest.raises(TypeError, match="a key is a str"):
        desk.work(lambda storages: Promote(storages["media"], key=lambda record: None))  # type: ignore[arg-type,return-value]
    assert desk.left() == {"staging": [KEY], "media": []}
    desk.work(lambda storages: Promote(storages["media"], key=lambda record: f"{record.owner}/{record.id}.png"))
    assert_promoted(desk, f"owner/{UPLOAD}.png")


def test_an_upload_that_lies_there_stays_as_it_is() -> None:
    """Under whatever key."""
    desk = Desk(MemoryStorage("media"), data=DATA, key="anywhere")
    desk.work(promoting)
    assert desk.place == ("media", "anywhere")
    assert desk.left() == {"media": ["anywhere"]}


def test_two_storages_of_one_folder_are_one_place(tmp_path: Path) -> None:
    """Its record says that it lies in the other one, and the only object of it stays, wherever a worker dies."""
    folders = iter(range(1000))

    def make() -> Desk:
        folder = tmp_path / str(next(folders))
        return Desk(DiskStorage(folder, name="staging"), DiskStorage(folder, name="media"), data=DATA, key=KEY)

    for life, desk in killed_at_every_call(make, promoting):
        desk.work(promoting)
        key = desk.place[1]
        assert desk.place[0] == "media"
        assert desk.left() == {"staging": [key], "media": [key]}, life.calls
        assert get(desk.storages["media"], key) == DATA


def test_wherever_a_worker_dies_the_next_one_promotes(make_desk: Callable[[], Desk]) -> None:
    """At every moment the bytes are where the record says."""
    moments = set()
    for life, desk in killed_at_every_call(make_desk, promoting):
        assert get(desk.storages[desk.place[0]], desk.place[1]) == DATA, life.calls
        moments.add((desk.place[0], *map(len, desk.left().values())))
        desk.work(promoting)
        assert_promoted(desk, None, about=life.calls)
    assert moments == {("staging", 1, 0), ("staging", 1, 1), ("media", 1, 1), ("media", 0, 1)}


def small_desk() -> Desk:
    return Desk(MemoryStorage("staging"), MemoryStorage("media"), data=DATA[:10], key=KEY)


def test_wherever_two_workers_die_the_third_promotes() -> None:
    """The second one within what the first has left."""
    for at in range(1000):
        for second in range(1000):
            desk, one, two = small_desk(), Life(at=at), Life(at=second)
            for life in (one, two):
                with suppress(Killed):
                    desk.work(promoting, life)
            desk.work(promoting)
            assert_promoted(desk, None, about=(one.calls, two.calls))
            if not two.is_over:
                break
        if not one.is_over:
            return


def test_two_workers_at_once_promote_it_once(make_desk: Callable[[], Desk]) -> None:
    """One stands still, wherever; another takes over and comes to the end; then the first goes on."""
    for at in range(1000):
        desk = make_desk()
        life = Life(at=at, then=partial(again, desk, promoting))
        with suppress(Exception):
            desk.work(promoting, life)
        again(desk, promoting)
        assert_promoted(desk, None, about=life.calls)
        if len(life.calls) <= at:
            return


def test_the_worker_that_takes_over_may_die_too() -> None:
    """The first stands still, another takes over and dies, wherever; the first goes on, and a third comes."""
    for at in range(1000):
        for death in range(1000):
            desk, other = small_desk(), Life(at=death)

            def take_over(desk: Desk = desk, other: Life = other) -> None:
                with suppress(Killed):
                    desk.work(promoting, other)

            life = Life(at=at, then=take_over)
            with suppress(Exception):
                desk.work(promoting, life)
            again(desk, promoting)
            assert_promoted(desk, None, about=(life.calls, other.calls))
            if not other.is_over:
                break
        if len(life.calls) <= at:
            return


def test_one_that_was_taken_over_does_no_harm_to_the_other() -> None:
    """The first stands still, wherever; another takes over and stands still, wherever; the first goes on to its end,
    and then the other."""
    for lives, desk in interleaved(small_desk, promoting):
        again(desk, promoting)
        assert_promoted(desk, None, about=lives)


def test_one_that_cleans_up_does_no_harm_to_the_other() -> None:
    """As before, where a third has died wherever: both remove what it has left, at whatever time."""
    for death in range(1000):
        dead = Life(at=death)

        def make(dead: Life = dead) -> Desk:
            desk = small_desk()
            dead.calls.clear()
            dead.is_over = False
            with suppress(Killed):
                desk.work(promoting, dead)
            return desk

        for lives, desk in interleaved(make, promoting):
            again(desk, promoting)
            assert_promoted(desk, None, about=(dead.calls, lives))
        if not dead.is_over:
            return


@given(
    st.sampled_from([KEY, f"2026/{KEY}", f"{UPLOAD}/photo.png", f"{UPLOAD}/photo", f"{UPLOAD}.tar.gz", f"a/{UPLOAD}"])
)
def test_an_attempt_that_follows_another_has_a_key_of_its_own(key: str) -> None:
    """In the same folder, and with the same extension."""
    desk = Desk(MemoryStorage("staging"), MemoryStorage("media"), data=DATA[:10], key=key)
    desk.claims = 1
    desk.work(promoting)
    assert_promoted(desk, None)
    other = desk.place[1]
    assert other != key
    assert other.rpartition("/")[0] == key.rpartition("/")[0]
    assert Path(other).suffix == Path(key).suffix


def interleaved(
    make: Callable[[], Desk], processor_of: Callable[[Mapping[str, Storage]], Processor]
) -> Iterator[tuple[list[list[str]], Desk]]:
    """Two workers at one upload, and what they did: at every pair of calls at which they can stand still."""
    for at in range(1000):
        for other_at in range(1000):
            desk = make()
            pair = Pair(partial(desk.work, processor_of), at, other_at)
            pair.run()
            yield [life.calls for life in pair.lives], desk
            if len(pair.lives[1].calls) <= other_at:
                break
        if len(pair.lives[0].calls) <= at:
            return


class Pair:
    """Two workers, of which one runs at a time."""

    def __init__(self, work: Callable[[Life], None], at: int, other_at: int) -> None:
        self.lives: tuple[Life, Life] = (Life(at=at, then=self._let_other), Life(at=other_at, then=self._stand_still))
        self._work = work
        self._stands = threading.Event()
        self._goes_on = threading.Event()
        self._other = threading.Thread(target=self._run_other)

    def run(self) -> None:
        self._attempt(self.lives[0])
        self._goes_on.set()
        if self._other.ident is not None:
            self._other.join(10)
            assert not self._other.is_alive()

    def _attempt(self, life: Life) -> None:
        with suppress(Exception):
            self._work(life)

    def _run_other(self) -> None:
        self._attempt(self.lives[1])
        self._stands.set()

    def _let_other(self) -> None:
        self._other.start()
        assert self._stands.wait(10)

    def _stand_still(self) -> None:
        self._stands.set()
        assert self._goes_on.wait(10)


def test_an_upload_that_is_deleted_meanwhile_leaves_nothing(make_desk: Callable[[], Desk]) -> None:
    """Whenever that is, and whether the worker lives to see it or dies."""
    for at in range(1000):
        desk = make_desk()
        life = Life(at=at, then=desk.delete)
        with suppress(Exception):
            desk.work(promoting, life)
        desk.done = None  # its job comes again
        desk.work(promoting)
        if len(life.calls) <= at:
            assert_promoted(desk)
            return
        assert desk.left() == {"staging": [], "media": []}, life.calls


def test_one_that_was_taken_over_leaves_nothing_of_an_upload_that_is_gone(make_desk: Callable[[], Desk]) -> None:
    """It stands still, wherever, while another comes to the end and the upload is deleted."""
    for at in range(1000):
        desk = make_desk()

        def end(desk: Desk = desk) -> None:
            again(desk, promoting)
            desk.delete()

        life = Life(at=at, then=end)
        with suppress(Exception):
            desk.work(promoting, life)
        if len(life.calls) <= at:
            return
        assert desk.left() == {"staging": [], "media": []}, life.calls


def test_another_object_under_the_key_is_never_taken_for_the_upload() -> None:
    """It is the rest of an attempt that went wrong: the attempt fails, and the next one has room."""
    desk = Desk(MemoryStorage("staging"), MemoryStorage("media"), data=DATA, key=KEY)
    put(desk.storages["media"], KEY, DATA[:-1] + b"?")
    with pytest.raises(ObjectExists):
        desk.work(promoting)
    assert desk.left() == {"staging": [KEY], "media": []}
    desk.work(promoting)
    assert_promoted(desk)


def test_bytes_that_have_changed_are_not_promoted(tmp_path: Path) -> None:
    """Copied by the storages: read back, and compared by the digest of the upload."""
    desk = Desk(*PLACES["on disk"](tmp_path), data=DATA, key=KEY)
    (tmp_path / "staging" / KEY).write_bytes(DATA[:-1] + b"?")
    with pytest.raises(StorageFailed, match="copied other bytes than were uploaded"):
        desk.work(promoting)
    assert desk.left() == {"staging": [KEY], "media": []}


def test_an_old_object_that_cannot_be_removed_is_removed_by_the_next_attempt() -> None:
    """The upload is in its new place by then."""
    staging = FailingStorage(MemoryStorage("staging"), after=0, on="delete")
    desk = Desk(staging.inner, MemoryStorage("media"), data=DATA, key=KEY)
    desk.storages["staging"] = staging
    with pytest.raises(StorageFailed):
        desk.work(promoting)
    desk.storages["staging"] = staging.inner
    assert desk.place == ("media", KEY)
    desk.work(promoting)
    assert_promoted(desk)


@pytest.mark.parametrize("source", ["disk", "s3"])
def test_wherever_a_worker_dies_on_the_way_to_s3(
    source: str, place: Place, weed: Any, locate: Any, tmp_path: Path
) -> None:
    """From a disk, and copied by the server from another prefix of its own."""
    media = place.storage(name="media")
    other = locate(weed)
    staging: Storage = DiskStorage(tmp_path, name="staging") if source == "disk" else other.storage(name="staging")

    def make() -> Desk:
        for stored in [*media.list()]:
            media.delete(stored.key)
        staging.delete(KEY)
        return Desk(staging, media, data=DATA[:1000], key=KEY)

    for life, desk in killed_at_every_call(make, promoting):
        desk.work(promoting)
        assert_promoted(desk, None, about=life.calls)


def test_mistakes_in_a_promotion_are_told() -> None:
    """When it is built."""

    async def name(record: UploadRecord) -> str:
        return record.id

    with pytest.raises(TypeError, match="no storage"):
        Promote(MemoryStorage)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no plain function"):
        Promote(MemoryStorage(), key=name)  # type: ignore[arg-type]
    storage = MemoryStorage()
    assert Promote(storage).storages == (storage,)


# The quarantine, wherever a worker dies


class Infecting(ClamAV):
    """Finds something in whatever it is shown."""

    def scan(self, file: BinaryIO) -> Scanned:
        file.read()
        return Scanned(outcome=Outcome.INFECTED, signature="Test")


def scanning(storages: Mapping[str, Storage]) -> Scan:
    """With a quarantine."""
    return Scan(Infecting("unix:///nowhere"), quarantine=storages["quarantine"])


def make_infected() -> Desk:
    return Desk(MemoryStorage("media"), MemoryStorage("quarantine"), data=DATA[:10], key=KEY)


def assert_quarantined(desk: Desk, about: object) -> None:
    """It lies in the quarantine, and nowhere else."""
    assert desk.record.state is State.QUARANTINED
    assert desk.left() == {"media": [], "quarantine": [desk.place[1]]}, about
    assert get(desk.storages["quarantine"], desk.place[1]) == desk.data


def test_wherever_a_worker_dies_an_infected_upload_is_in_the_quarantine_once() -> None:
    """And at no moment nowhere."""
    for life, desk in killed_at_every_call(make_infected, scanning):
        assert get(desk.storages[desk.place[0]], desk.place[1]) == desk.data
        desk.work(scanning)
        assert_quarantined(desk, life.calls)


def test_two_workers_at_once_quarantine_it_once() -> None:
    """Wherever they stand still."""
    for lives, desk in interleaved(make_infected, scanning):
        desk.work(scanning)
        assert_quarantined(desk, lives)


# Functions


def counted(record: UploadRecord, job: JobContext) -> dict[str, Any]:
    job.progress(50)
    return {"size": record.size, "attempt": job.attempt}


async def acounted(record: UploadRecord, job: JobContext) -> dict[str, Any]:
    await job.aprogress(50)
    return {"size": record.size, "attempt": job.attempt}


class Counting:
    async def __call__(self, record: UploadRecord, job: JobContext) -> None:
        job.add(await acounted(record, job))


@pytest.mark.parametrize("function", [counted, acounted, Counting(), partial(acounted)])
def test_a_function_is_a_processor(function: Any) -> None:
    """Plain or async, and what it returns are results."""
    processor = function_processor(function, name="count")
    assert processor.is_async is (function is not counted)
    assert worked(processor, DATA) == {"size": len(DATA), "attempt": 1}

    class Awaited:
        name, digest = "count", "digest"

        def process(self, job: JobContext) -> None:
            asyncio.run(processor.aprocess(job))

    assert worked(Awaited(), DATA) == {"size": len(DATA), "attempt": 1}


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda record: None, r"processor 'it' is called as \(record, job\), and takes \(record\)"),
        (lambda record, job, more: None, "missing a required argument: 'more'"),
        (lambda record, *, job: None, "too many positional arguments"),
        (None, "is a function, and not None"),
        (dict, "is a function, and not"),
        ((lambda record, job: (yield)), "yields, and a processor returns"),
    ],
)
def test_a_function_that_cannot_be_called_is_a_mistake_at_once(function: Any, says: str) -> None:
    """And not one of every upload."""
    with pytest.raises(TypeError, match=says):
        function_processor(function, name="it")


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ([1], "returned list, and returns a mapping"),
        ({"moment": {1, 2}}, "results are a mapping that JSON can hold"),
        ({"number": float("nan")}, "results are a mapping that JSON can hold"),
    ],
)
def test_what_a_function_returns_is_results_or_nothing(returned: Any, says: str) -> None:
    """Anything else is an attempt that failed."""
    for function in (lambda record, job: returned, _async(returned)):
        with pytest.raises(TypeError, match=says):
            worked(function_processor(function, name="it"), DATA)
    assert worked(function_processor(lambda record, job: None, name="it"), DATA) == {}


def test_a_coroutine_that_nobody_awaits_is_a_mistake() -> None:
    """A plain function that returns one; it is closed without a warning."""
    with pytest.raises(TypeError, match="returned coroutine"):
        worked(function_processor(lambda record, job: acounted(record, job), name="it"), DATA)


def test_what_a_function_stores_is_the_upload_s() -> None:
    """And is gone where the function fails after all."""

    def excerpt(record: UploadRecord, job: JobContext) -> Mapping[str, Any]:
        key = job.store(b"excerpt", content_type="text/plain")
        if job.attempt == 1:
            raise RuntimeError("not today")
        return {"excerpt": key, "pair": (1, 2)}

    desk = desk_with(DATA)
    processor = function_processor(excerpt, name="excerpt")
    with pytest.raises(RuntimeError, match="not today"):
        desk.work(lambda _: processor)
    assert desk.left() == {"memory": [KEY]}
    desk.work(lambda _: processor)
    key = done(desk)["excerpt"]
    assert done(desk)["pair"] == [1, 2]
    assert desk.left() == {"memory": sorted([KEY, key])}
    assert get(desk.storages["memory"], key) == b"excerpt"


def test_what_a_function_stores_is_not_left_staged() -> None:
    """Where its commit fails."""
    memory = MemoryStorage()
    desk = desk_with(DATA, storage=memory)
    desk.storages["memory"] = FailingStorage(memory, after=0, on="commit")
    with pytest.raises(StorageFailed):
        desk.work(lambda _: function_processor(lambda record, job: {"key": job.store(b"made")}, name="it"))
    assert (memory.unfinished, list(memory.objects)) == ([], [KEY])


def _async(returned: Any) -> Any:
    async def function(record: UploadRecord, job: JobContext) -> Any:
        return returned

    return function
