"""The storage contract as a suite that needs no test framework: one small function for each promise.

`check_storage` runs them all and names every promise that is broken; `STORAGE_CHECKS` holds them one by one, for
`pytest.mark.parametrize` and its like. Keys are random, objects are removed again, and a check of an ability that a
storage does not offer does nothing: the suite can run against a bucket that is in use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from secrets import token_hex
from typing import TypeAlias, TypeVar, cast

from ..errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from ..storage.contract import (
    HEAD_SIZE,
    CopiesObjects,
    KeepsPartial,
    ListsObjects,
    ObjectInfo,
    PartialObject,
    ReadableStaged,
    Sink,
    Staged,
    Storage,
    StoredObject,
    SweepsStaging,
)

_T = TypeVar("_T")

MakeStorage: TypeAlias = Callable[[], Storage]
"""Makes a storage that is ready to be used. Each check makes its own."""

Leftovers: TypeAlias = Callable[[Storage], Iterable[str]]
"""Names what a storage holds that is not visible as an object: temporary files, unfinished uploads."""

BLOCK_SIZE = 2**20
"""The most that one block of `Storage.read` may have."""

LEAST_PART_SIZE = 5 * 2**20
"""Bytes of which S3 takes no fewer in a part that is not the last: sizes around it are tried too."""

CLOCK_SKEW = timedelta(minutes=15)
"""How far the clock of a storage may be from ours: S3 takes no request of a clock that is further off."""


def check_storage(
    make_storage: MakeStorage, *, leftovers: Leftovers | None = None, part_size: int = 1024
) -> tuple[str, ...]:
    """Raises `AssertionError` with a sentence for every promise of the contract that the storage breaks.

    `part_size` is the size at which the storage begins a new part, block or buffer: objects just below, at and just
    above it are tried. With `leftovers` each check also expects that nothing invisible stays behind. Returns the
    names of the promises that were checked; those of abilities that the storage does not offer are not among them.
    """
    kept: list[str] = []
    broken: list[AssertionError] = []
    storage = make_storage()
    for check in STORAGE_CHECKS:
        if not check.applies_to(storage):
            continue
        try:
            check(make_storage, leftovers=leftovers, part_size=part_size)
        except AssertionError as error:
            broken.append(error)
        else:
            kept.append(check.name)
    if broken:
        title = f"{type(storage).__name__} {storage.name!r} breaks {len(broken)} of {len(broken) + len(kept)} promises:"
        raise AssertionError("\n- ".join([title, *map(str, broken)])) from broken[0]
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class StorageCheck:
    """One promise of the contract. Call it with what `check_storage` takes; `str()` is its name."""

    name: str
    promise: str
    ability: str | None
    _body: Callable[[_Trial], None]

    def __call__(self, make_storage: MakeStorage, *, leftovers: Leftovers | None = None, part_size: int = 1024) -> None:
        """Raises `AssertionError` if the promise is broken. Does nothing if the storage does not make it."""
        storage = make_storage()
        if not self.applies_to(storage):
            return
        trial = _Trial(storage, part_size, make_storage)
        try:
            self._body(trial)
            trial.remove_objects()
            for left in () if leftovers is None else (name for each in trial.storages for name in leftovers(each)):
                raise AssertionError(f"{left} was left behind")
        except Exception as error:
            # What is no AssertionError came out of the storage where the contract knows no such error.
            fault = str(error) if isinstance(error, AssertionError) else f"it raised {error!r}"
            raise AssertionError(f"{self.name}: {self.promise} But {fault}") from error
        finally:
            trial.give_up()

    def applies_to(self, storage: Storage) -> bool:
        """Whether the storage makes this promise."""
        return self.ability is None or _OFFERS[self.ability](storage)

    def __str__(self) -> str:
        return self.name


class _Trial:
    """A storage under one check, and what the check has to clear away."""

    def __init__(self, storage: Storage, part_size: int, make_storage: MakeStorage) -> None:
        self.storage = storage
        self.storages = [storage]
        self.part_size = part_size
        self._make_storage = make_storage
        self._keys: list[str] = []
        self._open: list[Sink | Staged | PartialObject] = []
        self._others: list[_Trial] = []

    def another(self) -> _Trial:
        """Another storage of the same kind, under the same check."""
        other = _Trial(self._make_storage(), self.part_size, self._make_storage)
        self.storages.append(other.storage)
        self._others.append(other)
        return other

    def key(self, end: str = "") -> str:
        """A new key, random like those that the library makes."""
        key = f"check-{token_hex(16)}{end}"
        self._keys.append(key)
        return key

    def keys(self, *names: str) -> list[str]:
        """New keys: these names in a random folder."""
        folder = f"check-{token_hex(16)}"
        keys = [f"{folder}/{name}" for name in names]
        self._keys += keys
        return keys

    def open(self, key: str) -> Sink:
        sink = self.storage.open(key, ObjectInfo(content_type="text/plain", filename="check.txt"))
        self._open.append(sink)
        return sink

    def sink(self, key: str, *chunks: bytes) -> Sink:
        sink = self.open(key)
        for chunk in chunks:
            sink.write(chunk)
        return sink

    def stage(self, key: str, *chunks: bytes) -> Staged:
        staged = self.sink(key, *chunks).stage()
        self._open.append(staged)
        return staged

    def begin(self, max_size: int | None = None) -> _Begun:
        """An object that comes in several goes, of which nothing has come yet."""
        upload = token_hex(16)
        keeps = cast(KeepsPartial, self.storage)
        return _Begun(self, upload, keeps.begin_partial(upload, ObjectInfo(max_size=max_size)))

    def go_on(self, upload: str, kept: str) -> PartialObject:
        found = cast(KeepsPartial, self.storage).partial(upload, kept)
        self._open.append(found)
        return found

    def put(self, data: bytes, *, key: str | None = None) -> str:
        key = self.key() if key is None else key
        self.stage(key, data).commit()
        return key

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return b"".join(self.storage.read(key, start, end))

    def expect(self, data: bytes, key: str, what: str) -> None:
        """`key` holds exactly `data`."""
        size = self.storage.stat(key).size
        _expect(size == len(data), f"{what} has {len(data)} bytes and stat says {size}")
        _expect_bytes(self.get(key), data, what)

    def expect_now(self, key: str) -> None:
        """Where stat says when the object was written, it says that it was now."""
        modified = self.storage.stat(key).modified
        if modified is not None:
            _expect_now(modified, key)

    def expect_nothing(self, key: str, when: str) -> None:
        """Nothing is visible under `key`."""
        error = _raised(ObjectMissing, lambda: self.storage.stat(key), f"stat {when}")
        _expect(error.key == key, f"the ObjectMissing of stat names the key {error.key!r} and not {key!r}")
        _expect(error.storage == self.storage.name, f"the ObjectMissing of stat names the storage {error.storage!r}")
        _raised(ObjectMissing, lambda: self.get(key), f"read {when}")

    def listed(self, prefix: str) -> dict[str, StoredObject]:
        """What a listing gives, by its keys. Each is given once, and begins with the prefix."""
        objects = list(cast(ListsObjects, self.storage).list(prefix))
        by_key = {each.key: each for each in objects}
        _expect(len(by_key) == len(objects), f"a listing of {len(by_key)} objects gave {len(objects)}")
        for key in by_key:
            _expect(key.startswith(prefix), f"the listing of {prefix!r} has the key {key!r}")
        return by_key

    def copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        return cast(CopiesObjects, self.storage).copy(key, new_key, source=source)

    def remove_objects(self) -> None:
        for key in self._keys:
            self.storage.delete(key)
        for other in self._others:
            other.remove_objects()

    def give_up(self) -> None:
        for thing in self._open:
            with suppress(Exception):
                thing.discard()
        for key in self._keys:
            with suppress(Exception):
                self.storage.delete(key)
        for other in self._others:
            other.give_up()


@dataclass(frozen=True, slots=True)
class _Begun:
    """An object that comes in several goes. Each `go_on` is as that of another process."""

    trial: _Trial
    upload: str
    kept: str

    def go_on(self) -> PartialObject:
        return self.trial.go_on(self.upload, self.kept)

    def add(self, *chunks: bytes) -> None:
        """In one go of its own. All of it is kept."""
        found = self.go_on()
        for chunk in chunks:
            found.append(chunk)
        found.keep()
        found.close()

    def completed(self) -> PartialObject:
        found = self.go_on()
        found.complete()
        return found

    def expect_size(self, size: int, when: str) -> None:
        """Another process sees so many bytes."""
        found = self.go_on()
        _expect(found.size == size, f"{when} it has {found.size} bytes in place of {size}")
        found.close()

    def expect_gone(self, when: str) -> None:
        """There is no such upload."""
        _raised(ObjectMissing, self.go_on, f"partial {when}")

    def expect_whole(self, data: bytes, what: str) -> None:
        """Completed and committed it is exactly `data`, and nothing else stays."""
        self.expect_size(len(data), what)
        found, key = self.completed(), self.trial.key()
        with found.open() as file:
            _expect_bytes(file.read(), data, f"{what}, before its commit,")
        stored = found.commit(key, ObjectInfo(content_type="text/plain"))
        _expect(stored == StoredObject(key=key, size=len(data)), f"commit returned {stored!r} of {len(data)} bytes")
        self.trial.expect(data, key, what)
        self.expect_gone("after the commit")


def _is_exclusive(storage: Storage) -> bool:
    return bool(getattr(storage, "exclusive_commit", False))


# What says whether a storage has an ability.
_OFFERS: dict[str, Callable[[Storage], bool]] = {
    "ReadsStaged": lambda storage: bool(getattr(storage, "reads_staged", False)),
    "ExclusiveCommit": _is_exclusive,
    "SweepsStaging": lambda storage: isinstance(storage, SweepsStaging),
    "ListsObjects": lambda storage: isinstance(storage, ListsObjects),
    "CopiesObjects": lambda storage: isinstance(storage, CopiesObjects) and storage.copies_from(storage),
    "KeepsPartial": lambda storage: isinstance(storage, KeepsPartial),
}


_CHECKS: list[StorageCheck] = []


def _promise(*, of: str | None = None) -> Callable[[Callable[[_Trial], None]], StorageCheck]:
    """Makes a check of a function: its name and the first line of its docstring say the promise."""

    def decorate(body: Callable[[_Trial], None]) -> StorageCheck:
        promise = (body.__doc__ or "").partition("\n")[0]
        check = StorageCheck(body.__name__.strip("_"), promise, of, body)
        _CHECKS.append(check)
        return check

    return decorate


# Writing and reading


@_promise()
def round_trip(trial: _Trial) -> None:
    """An object is read back as it was written."""
    data = _bytes(3 * trial.part_size + 7)
    key = trial.key(".bin")
    committed = trial.stage(key, data[:5], data[5:]).commit()
    _expect(committed == StoredObject(key=key, size=len(data)), f"commit returned {committed!r}")
    _expect(trial.storage.stat(key) == committed, f"stat returned {trial.storage.stat(key)!r}, commit {committed!r}")
    trial.expect(data, key, "the object")


@_promise()
def sizes(trial: _Trial) -> None:
    """An object of any size is whole: none, one byte, a part, a byte less and a byte more."""
    part = trial.part_size
    for size in sorted({0, 1, part - 1, part, part + 1, 2 * part}):
        trial.expect(_bytes(size), trial.put(_bytes(size)), f"an object of {size} bytes")


@_promise()
def chunks(trial: _Trial) -> None:
    """How the bytes are cut into writes makes no difference, and an empty write adds nothing."""
    part = trial.part_size
    data = _bytes(2 * part + 1)
    for cuts in ((1,), (part - 1, part, part + 1), (part, 2 * part), (0, 0, len(data), len(data))):
        key = trial.key()
        ends = (0, *cuts, len(data))
        trial.stage(key, *(data[start:end] for start, end in pairwise(ends))).commit()
        trial.expect(data, key, f"an object that was written up to {cuts}")


@_promise()
def nothing_written(trial: _Trial) -> None:
    """An object into which nothing was written is an empty object."""
    key = trial.key()
    trial.stage(key).commit()
    trial.expect(b"", key, "the object")


@_promise()
def reused_buffers(trial: _Trial) -> None:
    """A buffer may be used again as soon as write has returned."""
    data = _bytes(trial.part_size)
    key = trial.key()
    sink = trial.open(key)
    buffer = bytearray(data)
    sink.write(buffer)
    buffer[:] = bytes(len(buffer))
    buffer[:] = data
    view = memoryview(buffer)[1:-1]
    sink.write(view)
    buffer[:] = bytes(len(buffer))
    view.release()
    buffer.clear()  # a BufferError if a view is still held
    sink.stage().commit()
    trial.expect(data + data[1:-1], key, "an object that was written from a bytearray and a memoryview")


@_promise()
def ranges(trial: _Trial) -> None:
    """A range is the bytes from its start up to and without its end, cut to what is there."""
    size = 2 * trial.part_size
    data = _bytes(size)
    key = trial.put(data)
    bounds = sorted({0, 1, trial.part_size - 1, trial.part_size, trial.part_size + 1, size - 1, size, size + 1, 2**70})
    for start in bounds:
        for end in (None, *bounds):
            _expect_bytes(trial.get(key, start, end), data[start:end], f"the range from {start} to {end} of {size}")


@_promise()
def blocks(trial: _Trial) -> None:
    """Read gives bytes, in blocks of at most 1 MiB."""
    data = _bytes(BLOCK_SIZE + 1)
    key = trial.put(data)
    read = list(trial.storage.read(key))
    for block in read:
        _expect(type(block) is bytes, f"a block is a {type(block).__name__}")
        _expect(len(block) <= BLOCK_SIZE, f"a block has {len(block)} bytes")
    _expect_bytes(b"".join(read), data, "the object")


@_promise()
def two_readers(trial: _Trial) -> None:
    """Readers of one object do not disturb each other."""
    data = _bytes(BLOCK_SIZE + 1)
    key = trial.put(data)
    one, other = trial.storage.read(key), trial.storage.read(key)
    first = next(one)
    _expect_bytes(b"".join(other), data, "what the second reader was given")
    _expect_bytes(first + b"".join(one), data, "what the first reader was given")


# Not visible before the commit, gone after a discard


@_promise()
def missing(trial: _Trial) -> None:
    """What was never written is missing: stat and read raise ObjectMissing, read before its first block."""
    trial.expect_nothing(trial.key(), "of a key that was never used")
    _raised(ObjectMissing, lambda: next(iter(trial.storage.read(trial.key(), 5, 5)), None), "read of an empty range")


@_promise()
def invisible_before_commit(trial: _Trial) -> None:
    """Nothing is visible under a key before the commit, however much was written."""
    key = trial.key()
    sink = trial.open(key)
    trial.expect_nothing(key, "after open")
    sink.write(_bytes(3 * trial.part_size))
    trial.expect_nothing(key, "after a write")
    staged = sink.stage()
    trial.expect_nothing(key, "after stage")
    staged.commit()
    trial.expect(_bytes(3 * trial.part_size), key, "the object")


@_promise()
def discarded_sink(trial: _Trial) -> None:
    """A discarded sink leaves nothing behind, and it can be discarded again."""
    for chunks in ((), (b"x",), (_bytes(trial.part_size), _bytes(trial.part_size + 1))):
        key = trial.key()
        sink = trial.sink(key, *chunks)
        sink.discard()
        sink.discard()
        trial.expect_nothing(key, f"after a sink with {len(chunks)} writes was discarded")


@_promise()
def discarded_staged(trial: _Trial) -> None:
    """A discarded staged object leaves nothing behind, and it can be discarded again."""
    for data in (b"", b"x", _bytes(2 * trial.part_size + 1)):
        key = trial.key()
        staged = trial.stage(key, data)
        staged.discard()
        staged.discard()
        trial.expect_nothing(key, f"after a staged object of {len(data)} bytes was discarded")


@_promise()
def discarded_sink_after_stage(trial: _Trial) -> None:
    """To discard a sink after stage has returned does nothing to the staged object."""
    key = trial.key()
    sink = trial.sink(key, _bytes(trial.part_size))
    staged = sink.stage()
    sink.discard()
    staged.commit()
    sink.discard()
    trial.expect(_bytes(trial.part_size), key, "the object")


@_promise()
def discarded_after_commit(trial: _Trial) -> None:
    """To discard after the commit does nothing to the object."""
    key = trial.key()
    staged = trial.stage(key, b"kept")
    staged.commit()
    staged.discard()
    staged.discard()
    trial.expect(b"kept", key, "the object")


@_promise()
def discarded_beside_another(trial: _Trial) -> None:
    """To discard one of two uploads with the same key does nothing to the other."""
    key = trial.key()
    sink, staged, winner = trial.sink(key, b"a sink"), trial.stage(key, b"staged"), trial.stage(key, b"the other")
    sink.discard()
    winner.commit()
    staged.discard()
    trial.expect(b"the other", key, "the other")


@_promise()
def discarded_key(trial: _Trial) -> None:
    """A key whose upload was discarded can be used again."""
    key = trial.key()
    trial.sink(key, b"first").discard()
    trial.stage(key, b"second").discard()
    trial.put(b"third", key=key)
    trial.expect(b"third", key, "the object")


# Deleting


@_promise()
def delete(trial: _Trial) -> None:
    """A deleted object is gone, and no other object with it."""
    key, other = trial.put(b"deleted"), trial.put(b"kept")
    trial.storage.delete(key)
    trial.expect_nothing(key, "after delete")
    trial.expect(b"kept", other, "the other object")


@_promise()
def delete_again(trial: _Trial) -> None:
    """To delete what is not there is no error."""
    never, once = trial.key(), trial.put(b"deleted")
    trial.storage.delete(never)
    trial.storage.delete(once)
    trial.storage.delete(once)


@_promise()
def deleted_key(trial: _Trial) -> None:
    """The key of a deleted object can be used again."""
    key = trial.put(b"first")
    trial.storage.delete(key)
    trial.put(b"second", key=key)
    trial.expect(b"second", key, "the object")


@_promise()
def delete_beside_upload(trial: _Trial) -> None:
    """To delete a key does nothing to an upload that is not visible yet."""
    key = trial.key()
    staged = trial.stage(key, b"later")
    trial.storage.delete(key)
    staged.commit()
    trial.expect(b"later", key, "the object")


# Keys


@_promise()
def keys(trial: _Trial) -> None:
    """Every plain key is taken: with folders, in any script, with dots and spaces, and long."""
    for key in trial.keys(*PLAIN_NAMES):
        trial.put(key.encode(), key=key)
        trial.expect(key.encode(), key, f"the object {key!r}")


@_promise()
def alike_keys(trial: _Trial) -> None:
    """A key stands for itself: nothing in it is decoded, expanded or cut off."""
    alike = trial.keys("a", "a.", "a%", "a%2Fb", "a b", "a+b", "a%20b", "a?b", "a#b", "a*", "~a", "$a")
    for key in alike:
        trial.expect_nothing(key, f"of {key!r} after others were written")
        trial.put(key.encode(), key=key)
    for key in alike:
        trial.expect(key.encode(), key, f"the object {key!r}")


@_promise()
def hostile_keys(trial: _Trial) -> None:
    """A key that is empty, absolute, too long, hidden, or leads elsewhere is refused and reaches nothing."""
    [victim] = trial.keys("victim")
    trial.put(b"untouched", key=victim)
    for key in (*HOSTILE_KEYS, f"{victim}/", f"/{victim}", f"./{victim}", victim.replace("/", "//"), f"x/../{victim}"):
        refused = _raised(KeyRefused, partial(trial.open, key), f"open of the key {key[:80]!r}")
        _expect(refused.storage == trial.storage.name, f"the KeyRefused names the storage {refused.storage!r}")
        for name, ask in (("stat", trial.storage.stat), ("read", trial.get)):
            _raised((KeyRefused, ObjectMissing), partial(ask, key), f"{name} of the key {key[:80]!r}")
        with suppress(KeyRefused):
            trial.storage.delete(key)
    trial.expect(b"untouched", victim, "an object that hostile keys lead to")


# Abilities


@_promise(of="ExclusiveCommit")
def exclusive_commit(trial: _Trial) -> None:
    """A commit never replaces an object: it raises ObjectExists, and can still be discarded."""
    for first, second in ((b"first", b"second"), (b"", b""), (b"same", b"same")):
        key = trial.key()
        early = trial.stage(key, second)
        trial.put(first, key=key)
        late = trial.stage(key, second)
        for staged in (early, late):
            error = _raised(ObjectExists, staged.commit, "the commit to a key that is taken")
            _expect(error.key == key, f"the ObjectExists names the key {error.key!r} and not {key!r}")
            staged.discard()
            staged.discard()
        trial.expect(first, key, "the object that was there")


@_promise(of="ExclusiveCommit")
def exclusive_race(trial: _Trial) -> None:
    """Of the commits that race for a key one wins, the others get ObjectExists, and the object is the winner's."""
    racers = 4
    for _ in range(8):
        key = trial.key()
        data = [_bytes(trial.part_size + number) for number in range(racers)]
        staged = [trial.stage(key, each) for each in data]

        won = _at_once([partial(_commits, each) for each in staged])
        _expect(won.count(True) == 1, f"{won.count(True)} of {racers} commits won")
        trial.expect(data[won.index(True)], key, "the winner's object")


@_promise(of="ReadsStaged")
def reads_staged(trial: _Trial) -> None:
    """A staged object can be read before the commit, from any position and more than once."""
    for data in (b"", _bytes(2 * trial.part_size + 1)):
        key = trial.key()
        staged = cast(ReadableStaged, trial.stage(key, data))
        for time in ("first", "second"):
            with staged.open() as file:
                _expect_bytes(file.read(), data, f"what the {time} reader was given")
                _expect(file.seekable(), "the staged file is not seekable")
                _expect(file.seek(len(data) // 2) == len(data) // 2, "seek does not return the position")
                _expect_bytes(file.read(), data[len(data) // 2 :], "what was read from the middle")
                _expect(file.seek(0, 2) == len(data), "seek to the end does not return the size")
        trial.expect_nothing(key, "after the staged object was read")
        staged.commit()
        trial.expect(data, key, "the object")


@_promise(of="ReadsStaged")
def reads_staged_then_discards(trial: _Trial) -> None:
    """A staged object that was read can be discarded, even while its file is still open."""
    key = trial.key()
    staged = cast(ReadableStaged, trial.stage(key, _bytes(trial.part_size)))
    with staged.open() as file:
        file.read(1)
        staged.discard()
    trial.expect_nothing(key, "after a staged object that was read was discarded")


@_promise(of="SweepsStaging")
def in_staging(trial: _Trial) -> None:
    """What lies in staging is named by texts, and looking there changes nothing."""
    sweeps = cast(SweepsStaging, trial.storage)
    begun, ended = trial.key(), trial.key()
    sink, staged = trial.sink(begun, b"begun"), trial.stage(ended, b"ended")
    seen = [*sweeps.in_staging()]
    _expect(all(isinstance(name, str) for name in seen), f"it named {seen!r}")
    sink.stage().commit()
    staged.commit()
    for key, data in ((begun, b"begun"), (ended, b"ended")):
        trial.expect(data, key, f"the object {data!r}")


@_promise(of="SweepsStaging")
def sweep(trial: _Trial) -> None:
    """A sweep does no harm to live uploads and to objects."""
    sweeps = cast(SweepsStaging, trial.storage)
    kept = trial.put(b"kept")
    fresh, begun, ended = trial.key(), trial.key(), trial.key()
    fresh_sink, begun_sink, staged = trial.open(fresh), trial.sink(begun, b"begun"), trial.stage(ended, b"ended")
    swept = sweeps.sweep()
    _expect(type(swept) is int, f"sweep returned {swept!r} and not how many it removed")
    fresh_sink.write(b"fresh")
    begun_sink.write(b" and ended")
    sweeps.sweep()
    fresh_sink.stage().commit()
    begun_sink.stage().commit()
    staged.commit()
    sweeps.sweep()
    for key, data in ((kept, b"kept"), (fresh, b"fresh"), (begun, b"begun and ended"), (ended, b"ended")):
        trial.expect(data, key, f"the object {data!r}")


@_promise(of="ListsObjects")
def lists(trial: _Trial) -> None:
    """A listing has every object once, with its size and with when it was written, and none that was deleted."""
    sizes = dict(zip(trial.keys(*(f"{number % 7}/{number}.bin" for number in range(40))), range(40), strict=True))
    for key, size in sizes.items():
        trial.put(_bytes(size), key=key)
    folder = next(iter(sizes)).partition("/")[0]
    _expect(trial.listed(folder).keys() == sizes.keys(), f"of 40 objects it has {len(trial.listed(folder))}")
    for gone in list(sizes)[::3]:
        trial.storage.delete(gone)
        del sizes[gone]
    objects = trial.listed(folder)
    seen = {key: each.size for key, each in objects.items()}
    _expect(seen.keys() == sizes.keys(), f"of {len(sizes)} objects and {40 - len(sizes)} deleted ones it has {[*seen]}")
    _expect(seen == sizes, f"the sizes {sizes} are listed as {seen}")
    for each in objects.values():
        _expect_now(each.modified, each.key)
        trial.expect_now(each.key)


@_promise(of="ListsObjects")
def lists_all(trial: _Trial) -> None:
    """A listing without a prefix has all objects, with whatever names."""
    keys = {trial.put(b"x", key=key) for key in trial.keys(*PLAIN_NAMES, "a%2Fb", "a+b", "a&amp;b", "a?b", "a*", "~a")}
    _expect(not (missing := keys - trial.listed("").keys()), f"it lacks {sorted(missing)}")


@_promise(of="ListsObjects")
def lists_visible_objects(trial: _Trial) -> None:
    """A listing has nothing that is not visible yet, under whatever name."""
    key = trial.key()
    for begun in (trial.open(key), trial.sink(key, _bytes(3 * trial.part_size)), trial.stage(key, b"staged")):
        for prefix in (key, ".staging", ".staging/"):
            _expect(not (seen := trial.listed(prefix)), f"before the commit the prefix {prefix!r} lists {[*seen]}")
        begun.discard()
    trial.put(b"visible", key=key)
    _expect([*trial.listed(key)] == [key], "after the commit the object is not listed")


@_promise(of="ListsObjects")
def lists_by_prefix(trial: _Trial) -> None:
    """A prefix is a text, with which a key begins, and no folder and no pattern."""
    keys = trial.keys("a/b", "a/bc", "a/d/e", "a/d/f/g", "ab", "a.b", "a b", "a*", "[a]", "A")
    folder = keys[0].partition("/")[0]
    for key in keys:
        trial.put(b"x", key=key)
    ends = ("", "/", "/a", "/a/", "/a/b", "/a/b/", "/a/bc", "/a/bcd", "/a/d", "/a/d/", "/a/d/f", "/a/d/e/", "/ab")
    for end in (*ends, "/A", "/b", "/?", "/*", "/a*", "/[a]", "/[", "/a%2Fb", "/.", "/a/../a/b", "/./a", "//a"):
        expected = [key for key in keys if key.startswith(folder + end)]
        seen = sorted(trial.listed(folder + end))
        _expect(seen == sorted(expected), f"of {keys} the prefix {folder + end!r} has {seen} and not {expected}")


@_promise(of="ListsObjects")
def lists_hostile_prefixes(trial: _Trial) -> None:
    """A prefix with which no key begins has no objects, wherever it leads."""
    [victim] = trial.keys("victim")
    trial.put(b"x", key=victim)
    leading = (f"/{victim}", f"./{victim}", f"x/../{victim}", victim.replace("/", "//"), f"{victim}/", f"{victim}/..")
    for prefix in (*HOSTILE_KEYS, *leading):
        # A key may begin with the dots or letters of some of these. `listed` sees that no other is there.
        seen = trial.listed(prefix) if prefix else {}
        _expect(victim not in seen, f"the prefix {prefix[:80]!r} lists {victim!r}")


@_promise(of="ListsObjects")
def lists_beside_changes(trial: _Trial) -> None:
    """A listing goes on while what it has given is deleted."""
    keys = {trial.put(b"x", key=key) for key in trial.keys(*(f"{number % 3}/{number}" for number in range(20)))}
    folder = next(iter(keys)).partition("/")[0]
    for each in cast(ListsObjects, trial.storage).list(folder):
        trial.storage.delete(each.key)
        keys.discard(each.key)
    _expect(not keys, f"it left out {sorted(keys)}")
    _expect(not (seen := trial.listed(folder)), f"after all were deleted it has {[*seen]}")


@_promise(of="CopiesObjects")
def copies(trial: _Trial) -> None:
    """A copy has the bytes of its object, which stays as it is."""
    for size, new_key in zip((0, 1, 2 * trial.part_size + 1), trial.keys("a", "b.bin", "c/d/e.bin"), strict=True):
        key = trial.put(_bytes(size))
        copied = trial.copy(key, new_key)
        _expect(copied == StoredObject(key=new_key, size=size), f"copy returned {copied!r} of {size} bytes")
        trial.expect(_bytes(size), new_key, "the copy")
        trial.expect_now(new_key)
        trial.expect(_bytes(size), key, "the object that was copied")


@_promise(of="CopiesObjects")
def copies_stand_alone(trial: _Trial) -> None:
    """An object and its copy are deleted independently of each other."""
    first, second = trial.put(b"first"), trial.put(b"second")
    of_first, of_second = trial.key(), trial.key()
    trial.copy(first, of_first)
    trial.copy(second, of_second)
    trial.storage.delete(first)
    trial.storage.delete(of_second)
    trial.expect_nothing(first, "of an object that was deleted after it was copied")
    trial.expect_nothing(of_second, "of a copy that was deleted")
    trial.expect(b"first", of_first, "the copy")
    trial.expect(b"second", second, "the object")


@_promise(of="CopiesObjects")
def copies_nothing(trial: _Trial) -> None:
    """To copy what is not there, or not visible yet, raises ObjectMissing and makes nothing."""
    unfinished, deleted = trial.key(), trial.put(b"deleted")
    staged = trial.stage(unfinished, b"staged")
    trial.storage.delete(deleted)
    for key in (trial.key(), unfinished, deleted):
        new_key = trial.key()
        error = _raised(ObjectMissing, partial(trial.copy, key, new_key), "copy of a key under which nothing is")
        _expect(error.key == key, f"the ObjectMissing names the key {error.key!r} and not {key!r}")
        trial.expect_nothing(new_key, "after a copy of nothing")
    staged.discard()


@_promise(of="CopiesObjects")
def copies_to_taken_key(trial: _Trial) -> None:
    """A copy to a key that is taken is refused as a commit is, or replaces what is there as a commit does."""
    key, taken = trial.put(b"the copied"), trial.put(b"what was there")
    if not _is_exclusive(trial.storage):
        replaced = _copies(trial, key, taken)
        trial.expect(b"the copied" if replaced else b"what was there", taken, "the object under the key that was taken")
        return
    for new_key, data in ((taken, b"what was there"), (key, b"the copied")):
        error = _raised(ObjectExists, partial(trial.copy, key, new_key), "copy to a key that is taken")
        _expect(error.key == new_key, f"the ObjectExists names the key {error.key!r} and not {new_key!r}")
        trial.expect(data, new_key, "the object that was there")


@_promise(of="CopiesObjects")
def copies_race(trial: _Trial) -> None:
    """Of copies that race for a key of a storage with ExclusiveCommit one wins, and it is whole."""
    for _ in range(4):
        keys = [trial.put(_bytes(1000 + number)) for number in range(4)]
        new_key = trial.key()
        won = _at_once([partial(_copies, trial, key, new_key) for key in keys])
        if _is_exclusive(trial.storage):
            _expect(sum(won) == 1, f"{sum(won)} of 4 copies to one key went well")
            trial.expect(_bytes(1000 + won.index(True)), new_key, "the copy that won")
        else:
            size = trial.storage.stat(new_key).size
            _expect(1000 <= size < 1004, f"the copy has {size} bytes")
            trial.expect(_bytes(size), new_key, "the last copy")


@_promise(of="CopiesObjects")
def copies_no_hostile_keys(trial: _Trial) -> None:
    """A copy goes to no key that is refused elsewhere, and comes from none."""
    [victim] = trial.keys("victim")
    trial.put(b"untouched", key=victim)
    for hostile in (*HOSTILE_KEYS, f"{victim}/", f"/{victim}", f"./{victim}", f"x/../{victim}"):
        _raised(KeyRefused, partial(trial.copy, victim, hostile), f"copy to the key {hostile[:80]!r}")
        new_key = trial.key()
        asked = f"copy of the key {hostile[:80]!r}"
        _raised((KeyRefused, ObjectMissing), partial(trial.copy, hostile, new_key), asked)
        trial.expect_nothing(new_key, f"after a {asked}")
    trial.expect(b"untouched", victim, "an object that hostile keys lead to")


@_promise(of="CopiesObjects")
def copies_from_another(trial: _Trial) -> None:
    """Copies come from another storage where copies_from says so, and elsewhere they are a TypeError."""
    other, storage = trial.another(), cast(CopiesObjects, trial.storage)
    key, new_key = other.put(_bytes(trial.part_size)), trial.key()
    _raised(TypeError, partial(trial.copy, key, new_key, source=_Unknown()), "copy from a storage of another kind")
    trial.expect_nothing(new_key, "after a copy from a storage that is not taken")
    if not storage.copies_from(other.storage):
        refused = partial(trial.copy, key, new_key, source=other.storage)
        _raised(TypeError, refused, "copy from a storage that copies_from does not take")
        return
    copied = trial.copy(key, new_key, source=other.storage)
    _expect(copied == StoredObject(key=new_key, size=trial.part_size), f"copy returned {copied!r}")
    other.storage.delete(key)
    trial.expect(_bytes(trial.part_size), new_key, "the copy from another storage")
    missing = partial(trial.copy, key, trial.key(), source=other.storage)
    _raised(ObjectMissing, missing, "copy of what is not in the other storage")


@_promise(of="KeepsPartial")
def partial_sizes(trial: _Trial) -> None:
    """An object of any size is whole, in however many goes its bytes came."""
    part, least = trial.part_size, LEAST_PART_SIZE
    sizes = {0, 1, *_around(HEAD_SIZE), *_around(part), 2 * part, *_around(least)}
    for size in sorted(sizes):
        data, begun = _bytes(size), trial.begin(max_size=size)
        ends = sorted({0, size // 3, min(size, part), max(0, size - 1), size})
        for start, end in pairwise(ends):
            middle = (start + end) // 2
            begun.add(data[start:middle], b"", data[middle:end])
            begun.expect_size(end, f"after the bytes from {start} to {end}")
        begun.expect_whole(data, f"an object of {size} bytes")


@_promise(of="KeepsPartial")
def partial_goes(trial: _Trial) -> None:
    """Many goes of a few bytes are as one, and one go may keep as often as it likes."""
    data, begun = _bytes(400), trial.begin()
    for start in range(0, 200, 20):
        begun.add(data[start : start + 20])
    found = begun.go_on()
    for start in range(200, 400, 20):
        found.append(data[start : start + 20])
        found.keep()
        found.keep()
        _expect(found.size == start + 20, f"it says that it has {found.size} bytes of {start + 20}")
    begun.expect_whole(data, "the object")


@_promise(of="KeepsPartial")
def partial_unlimited(trial: _Trial) -> None:
    """The most that it will have need not be known, nor be reached."""
    part = trial.part_size
    for max_size in (None, part, 100 * part):
        begun = trial.begin(max_size=max_size)
        begun.add(_bytes(part - 1))
        begun.add(_bytes(part)[-1:])
        begun.expect_whole(_bytes(part), f"an object whose most was {max_size}")


@_promise(of="KeepsPartial")
def partial_kept(trial: _Trial) -> None:
    """What was kept is there, and what was not is lost or there, but never another byte."""
    part = trial.part_size
    data = _bytes(3 * part + 7)
    for kept, more in ((0, 1), (1, 5), (10, part + 5), (part, 2 * part), (part + 1, 2 * part + 1)):
        begun = trial.begin(max_size=len(data))
        begun.add(data[:kept])
        died = begun.go_on()
        died.append(data[kept : kept + 1])
        died.append(data[kept + 1 : kept + more])
        died.close()
        seen = begun.go_on().size
        _expect(kept <= seen <= kept + more, f"of {kept} bytes that were kept, and {more} more, it has {seen}")
        begun.add(data[seen:])
        begun.expect_whole(data, f"an object of which {more} bytes behind {kept} were not kept")


@_promise(of="KeepsPartial")
def partial_buffers(trial: _Trial) -> None:
    """A buffer may be used again as soon as append has returned."""
    data, begun = _bytes(trial.part_size + 10), trial.begin()
    found, buffer = begun.go_on(), bytearray(data)
    found.append(buffer)
    buffer[:] = bytes(len(buffer))
    buffer[:] = data
    view = memoryview(buffer)[1:-1]
    found.append(view)
    buffer[:] = bytes(len(buffer))
    view.release()
    buffer.clear()  # a BufferError if a view is still held
    found.keep()
    begun.expect_whole(data + data[1:-1], "an object of a bytearray and a memoryview")


@_promise(of="KeepsPartial")
def partial_somebody_else(trial: _Trial) -> None:
    """Who appends after somebody else did is told, and nothing of it is kept."""
    part = trial.part_size
    for late in (b"late", _bytes(2 * part + 1)):
        begun = trial.begin(max_size=5 * part)
        begun.add(b"early,")
        slow, other = begun.go_on(), begun.go_on()
        other.append(b"other,")
        other.keep()
        for _ in range(2):
            _raised(StorageFailed, partial(_append_and_keep, slow, late), "append after somebody else did")
        slow.close()
        begun.expect_size(12, "after an append that was too late")
        other.append(b"end")
        other.keep()
        begun.expect_whole(b"early,other,end", "the object of who was there in time")


@_promise(of="KeepsPartial")
def partial_head(trial: _Trial) -> None:
    """Of a small object the first bytes can be had at any time, whether they were kept or not."""
    data, begun = _bytes(HEAD_SIZE), trial.begin(max_size=2 * HEAD_SIZE)
    found = begun.go_on()
    _expect_bytes(found.head(HEAD_SIZE), b"", "the head of nothing")
    found.append(data[:4000])
    _expect_bytes(found.head(HEAD_SIZE), data[:4000], "the head before it was kept")
    found.keep()
    _expect_bytes(found.head(100), data[:100], "a short head")
    found.append(data[4000:])
    _expect_bytes(found.head(HEAD_SIZE), data, "the head of kept bytes and others")
    found.keep()
    again = begun.go_on()
    _expect_bytes(again.head(HEAD_SIZE), data, "the head that another process is given")
    found.append(b"!")
    _raised(RuntimeError, partial(found.head, 1), f"head of an object of more than {HEAD_SIZE} bytes")
    found.keep()
    begun.expect_whole(data + b"!", "an object whose head was read")


@_promise(of="KeepsPartial")
def partial_completed(trial: _Trial) -> None:
    """Completed again and again, by one process or several, it is complete; nothing is added then."""
    for data in (b"", b"few", _bytes(2 * trial.part_size + 1)):
        begun = trial.begin(max_size=len(data))
        begun.add(data)
        first = begun.completed()
        first.complete()
        second = begun.completed()
        for found in (first, second):
            _expect(found.size == len(data), f"a complete one of {len(data)} bytes says that it has {found.size}")
            _raised(RuntimeError, partial(found.append, b"more"), "append to a complete one")
        first.close()
        begun.expect_whole(data, f"an object of {len(data)} bytes that was completed more than once")


@_promise(of="KeepsPartial")
def partial_complete_first(trial: _Trial) -> None:
    """What is not complete is neither opened nor committed, and what was closed is not used."""
    begun, key = trial.begin(), trial.key()
    begun.add(b"not complete")
    found = begun.go_on()
    _raised(RuntimeError, found.open, "open of one that is not complete")
    _raised(RuntimeError, partial(found.commit, key, ObjectInfo()), "commit of one that is not complete")
    trial.expect_nothing(key, "after a commit that was refused")
    found.close()
    found.close()
    for name, call in (("append", partial(found.append, b"x")), ("keep", found.keep), ("complete", found.complete)):
        _raised(RuntimeError, call, f"{name} after close")
    begun.expect_whole(b"not complete", "the object")


@_promise(of="KeepsPartial")
def partial_open(trial: _Trial) -> None:
    """A complete one can be read from any position, more than once and beside others."""
    for data in (b"", _bytes(2 * trial.part_size + 1)):
        begun = trial.begin(max_size=len(data))
        begun.add(data)
        found = begun.completed()
        with found.open() as one, found.open() as other:
            first = one.read(1)
            _expect_bytes(other.read(), data, "what the second reader was given")
            _expect_bytes(first + one.read(), data, "what the first reader was given")
            _expect(other.seekable(), "the file is not seekable")
            _expect(other.seek(len(data) // 2) == len(data) // 2, "seek does not return the position")
            _expect_bytes(other.read(), data[len(data) // 2 :], "what was read from the middle")
            _expect(other.seek(0, 2) == len(data), "seek to the end does not return the size")
        begun.expect_whole(data, "an object that was read")


@_promise(of="KeepsPartial")
def partial_invisible(trial: _Trial) -> None:
    """Before its commit nothing of it is visible, and it is not listed."""
    begun, key = trial.begin(), trial.key()
    for when in ("after it was begun", "after something was added"):
        trial.expect_nothing(key, when)
        if isinstance(trial.storage, ListsObjects):
            for prefix in ("", ".staging", ".staging/"):
                seen = [each.key for each in trial.storage.list(prefix) if begun.upload in each.key]
                _expect(not seen, f"{when} the prefix {prefix!r} lists {seen}")
        begun.add(_bytes(trial.part_size + 1))
    found = begun.completed()
    trial.expect_nothing(key, "after it was completed")
    found.commit(key, ObjectInfo())
    trial.expect(2 * _bytes(trial.part_size + 1), key, "the object")


@_promise(of="KeepsPartial")
def partial_taken_key(trial: _Trial) -> None:
    """A commit to a key that is taken or impossible changes nothing, and can be made again with another."""
    for data in (b"few", _bytes(trial.part_size + 1)):
        begun, taken = trial.begin(max_size=len(data)), trial.put(b"what was there")
        begun.add(data)
        found = begun.completed()
        for hostile in HOSTILE_KEYS[:6]:
            _raised(KeyRefused, partial(found.commit, hostile, ObjectInfo()), f"commit to {hostile[:80]!r}")
        if _is_exclusive(trial.storage):
            error = _raised(ObjectExists, partial(found.commit, taken, ObjectInfo()), "commit to a key that is taken")
            _expect(error.key == taken, f"the ObjectExists names the key {error.key!r} and not {taken!r}")
            trial.expect(b"what was there", taken, "the object that was there")
        begun.expect_whole(data, "an object whose first key was taken")


@_promise(of="KeepsPartial")
def partial_discarded(trial: _Trial) -> None:
    """A discarded one leaves nothing, at whatever moment, and can be discarded again."""
    data = _bytes(2 * trial.part_size + 1)

    def nothing(found: PartialObject) -> None:
        """It was begun, and that is all."""

    def appended(found: PartialObject) -> None:
        found.append(data)

    def kept(found: PartialObject) -> None:
        found.append(data)
        found.keep()

    def closed(found: PartialObject) -> None:
        kept(found)
        found.close()

    def completed(found: PartialObject) -> None:
        found.append(data)
        found.complete()

    for moment in (nothing, appended, kept, closed, completed):
        begun = trial.begin(max_size=len(data))
        found = begun.go_on()
        other = begun.go_on()
        moment(found)
        found.discard()
        found.discard()
        begun.expect_gone(f"after it was discarded: {moment.__name__}")
        other.discard()  # it is gone already


@_promise(of="KeepsPartial")
def partial_discarded_after_commit(trial: _Trial) -> None:
    """To discard after the commit does nothing to the object."""
    begun, key = trial.begin(), trial.key()
    begun.add(b"kept")
    found, other = begun.completed(), begun.completed()
    found.commit(key, ObjectInfo())
    for each in (found, found, other):
        each.discard()
    trial.expect(b"kept", key, "the object")


@_promise(of="KeepsPartial")
def partial_too_late(trial: _Trial) -> None:
    """What was committed or discarded is not added to by who had it before."""
    committed, discarded, key = trial.begin(), trial.begin(), trial.key()
    committed.add(b"whole")
    late, too_late = committed.go_on(), discarded.go_on()
    committed.completed().commit(key, ObjectInfo())
    discarded.go_on().discard()
    for found, what in ((late, "committed"), (too_late, "discarded")):
        _raised(StorageFailed, partial(_append_and_keep, found, b"late"), f"append to what was {what}")
        found.close()
    trial.expect(b"whole", key, "the object")
    committed.expect_gone("of what was committed")
    discarded.expect_gone("of what was discarded")


@_promise(of="KeepsPartial")
def partial_missing(trial: _Trial) -> None:
    """What was never begun is missing."""
    begun = trial.begin()
    _raised(ObjectMissing, partial(trial.go_on, token_hex(16), begun.kept), "partial of what was never begun")
    begun.go_on().discard()


@_promise(of="KeepsPartial")
def partial_apart(trial: _Trial) -> None:
    """Two that are added to in turn keep their own bytes, and to discard one does nothing to the other."""
    part = trial.part_size
    one, other, third = trial.begin(), trial.begin(), trial.begin()
    for number in range(3):
        for begun, letter in ((one, b"1"), (other, b"2"), (third, b"3")):
            begun.add(letter * (part // 2 + number))
    third.completed().discard()
    other.expect_whole(b"2" * (3 * (part // 2) + 3), "the second one")
    one.expect_whole(b"1" * (3 * (part // 2) + 3), "the first one")


@_promise(of="KeepsPartial")
def partial_extended(trial: _Trial) -> None:
    """One is extended by others of any size, which stay as they are; more can be added then."""
    part = trial.part_size
    for sizes in ((3, 0, 5), (part, part, 1), (part + 1, 7, 2 * part)):
        pieces = [trial.begin(max_size=size) for size in sizes]
        data = [_bytes(size) for size in sizes]
        for piece, bytes_in in zip(pieces, data, strict=True):
            piece.add(bytes_in)
        whole = trial.begin(max_size=2 * sum(sizes) + 3)
        found = whole.go_on()
        seen = 0
        for piece, size in zip(pieces, sizes, strict=True):
            found.extend(piece.completed())
            seen += size
            _expect(found.size == seen, f"extended to {seen} bytes it says that it has {found.size}")
            whole.expect_size(seen, "extended by another one")
        found.append(b"end")
        found.keep()
        whole.expect_whole(b"".join(data) + b"end", f"what was put together of {sizes} bytes")
        for piece, bytes_in in zip(pieces, data, strict=True):
            piece.expect_whole(bytes_in, "what another was extended by")


@_promise(of="KeepsPartial")
def partial_swept(trial: _Trial) -> None:
    """A sweep leaves them alone, whoever makes it, and at whatever moment."""
    storages = [each for each in (trial.storage, trial.another().storage) if isinstance(each, SweepsStaging)]
    begun, completed, fresh = trial.begin(), trial.begin(), trial.begin()
    begun.add(_bytes(trial.part_size + 1))
    completed.add(b"complete")
    found = completed.completed()
    for storage in storages:
        storage.sweep()
    begun.add(b"more")
    for storage in storages:
        storage.sweep()
    found.close()
    begun.expect_whole(_bytes(trial.part_size + 1) + b"more", "what was swept beside")
    completed.expect_whole(b"complete", "what was complete when it was swept beside")
    fresh.expect_whole(b"", "what had nothing when it was swept beside")


@_promise(of="KeepsPartial")
def partial_names(trial: _Trial) -> None:
    """A name that is empty, too long or leads elsewhere is refused."""
    keeps, info = cast(KeepsPartial, trial.storage), ObjectInfo()
    for name in ("", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", "a\nb", "a b", "é", "x" * 300, "a.b"):
        _raised(ValueError, partial(keeps.begin_partial, name, info), f"begin_partial of {name[:80]!r}")
        _raised(ValueError, partial(keeps.partial, name, "x"), f"partial of {name[:80]!r}")


# Many at once


@_promise()
def interleaved(trial: _Trial) -> None:
    """Many sinks can be open at once, and each keeps its own bytes."""
    # A few of more than a part: in a bucket a part has megabytes.
    data = {trial.key(): _bytes(number + (trial.part_size if number < 4 else 1000)) for number in range(20)}
    sinks = {key: trial.open(key) for key in data}
    half = trial.part_size // 2
    for key, sink in sinks.items():
        sink.write(data[key][:half])
    for key, sink in sinks.items():
        sink.write(data[key][half:])
    staged = [sink.stage() for sink in sinks.values()]
    for each in reversed(staged):
        each.commit()
    for number, key in enumerate(data):
        trial.expect(data[key], key, f"object {number} of {len(data)}")


@_promise()
def many_threads(trial: _Trial) -> None:
    """One storage serves many threads at once."""
    data = {trial.key(): _bytes(number + (2 * trial.part_size if number < 3 else 1000)) for number in range(8)}

    def upload(key: str) -> None:
        trial.sink(trial.key(), b"given up").discard()
        trial.put(data[key], key=key)
        trial.expect(data[key], key, "an object of one of the threads")

    _at_once([partial(upload, key) for key in data])
    for key in data:
        trial.expect(data[key], key, "an object of one of the threads")


@_promise()
def changing_threads(trial: _Trial) -> None:
    """A sink is used by one thread at a time, but not always by the same."""
    data = _bytes(trial.part_size)
    key = trial.key()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        sink = one.submit(trial.open, key).result()
        for thread in (one, other, one):
            thread.submit(sink.write, data).result()
        staged = other.submit(sink.stage).result()
        one.submit(staged.commit).result()
        given_up = one.submit(trial.sink, trial.key(), data).result()
        other.submit(given_up.discard).result()
    trial.expect(3 * data, key, "the object")


@_promise()
def describes_itself(trial: _Trial) -> None:
    """A storage has a name and says whether it may block."""
    name, may_block = trial.storage.name, trial.storage.may_block
    _expect(type(name) is str and name != "", f"its name is {name!r}")
    _expect(type(may_block) is bool, f"may_block is {may_block!r}")


PLAIN_NAMES = (
    "a.txt",
    "b/c/d.txt",
    "with space.txt",
    "a..b",
    "...",
    "résumé.pdf",
    "отчёт.pdf",
    "日本.png",
    "-",
    "x" * 200,
)
"""Names that every storage takes inside a key."""

HOSTILE_KEYS = (
    *(
        "",
        "/",
        ".",
        "..",
        "../x",
        "../../etc/passwd",
        "a/../b",
        "a/./b",
        "./a",
        "a//b",
        "a/",
        "/a",
        "/etc/passwd",
        "//a",
    ),
    *("a\0b", "a\nb", "a\rb", "a\x7fb", "a\x85b", "\0", "a\\b", "..\\..\\a", "C:\\a", "a\udc80b"),
    *("re\u0301sume\u0301.pdf", "\u212b"),
    *("x" * 256, "a/" * 512 + "a", "é" * 128, ".staging", ".staging/a", ".Staging/a", ".stag\u200cing/a"),
)
"""Keys that no storage takes."""

STORAGE_CHECKS: tuple[StorageCheck, ...] = tuple(_CHECKS)
"""Every promise of the contract, in the order in which `check_storage` tries them."""


def _bytes(size: int) -> bytes:
    """Bytes of which no two parts are alike, so that a part which is lost, doubled or moved is seen."""
    return _all_bytes(size.bit_length())[:size]


@lru_cache
def _all_bytes(bits: int) -> bytes:
    return b"".join(b"%07d\n" % number for number in range(2**bits // 8 + 1))


def _copies(trial: _Trial, key: str, new_key: str) -> bool:
    try:
        trial.copy(key, new_key)
    except ObjectExists:
        return False
    return True


class _Unknown:
    """A storage of which no other one can know how it keeps its objects."""

    name = "unknown"
    may_block = False

    def open(self, key: str, info: ObjectInfo) -> Sink:
        raise KeyRefused("this storage takes nothing", storage=self.name, key=key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        raise ObjectMissing("this storage has nothing", storage=self.name, key=key)

    def stat(self, key: str) -> StoredObject:
        raise ObjectMissing("this storage has nothing", storage=self.name, key=key)

    def delete(self, key: str) -> None:
        """There is nothing."""


def _around(size: int) -> tuple[int, int, int]:
    return size - 1, size, size + 1


def _append_and_keep(found: PartialObject, data: bytes) -> None:
    found.append(data)
    found.keep()


def _commits(staged: Staged) -> bool:
    try:
        staged.commit()
    except ObjectExists:
        staged.discard()
        return False
    return True


def _at_once(calls: list[Callable[[], _T]]) -> list[_T]:
    """Their results. No call begins before all threads are there."""
    gate = threading.Barrier(len(calls))

    def begin(call: Callable[[], _T]) -> _T:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(begin, call) for call in calls]]


_E = TypeVar("_E", bound=Exception)


def _raised(expected: type[_E] | tuple[type[_E], ...], call: Callable[[], object], what: str) -> _E:
    names = " or ".join(each.__name__ for each in (expected if isinstance(expected, tuple) else (expected,)))
    try:
        result = call()
    except expected as error:
        return error
    except Exception as error:
        raise AssertionError(f"{what} raised {error!r} and not {names}") from error
    raise AssertionError(f"{what} returned {str(result)[:80]} and raised no {names}")


def _expect_now(modified: datetime | None, key: str) -> None:
    if modified is None:
        raise AssertionError(f"when {key!r} was written is not said")
    _expect(modified.tzinfo is not None, f"{modified!r} has no time zone")
    _expect(abs(modified - datetime.now(UTC)) < CLOCK_SKEW, f"{key!r} was written just now, and not at {modified}")


def _expect(condition: object, otherwise: str) -> None:
    # No `assert`: the suite has to hold under `python -O` too.
    if not condition:
        raise AssertionError(otherwise)


def _expect_bytes(seen: bytes, expected: bytes, what: str) -> None:
    if seen == expected:
        return
    if len(seen) != len(expected):
        raise AssertionError(f"{what} has {len(seen)} bytes in place of {len(expected)}")
    at = next(at for at, (one, other) in enumerate(zip(seen, expected, strict=True)) if one != other)
    raise AssertionError(f"{what} differs from byte {at} on")
