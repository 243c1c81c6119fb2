"""The contract's suite finds what it is there for: a memory storage is broken in one place at a time."""

from __future__ import annotations

import io
import posixpath
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from fnmatch import fnmatchcase
from itertools import chain, islice
from typing import Any
from urllib.parse import quote, unquote

import pytest

from uploadkit.errors import KeyRefused, ObjectMissing
from uploadkit.storage import memory
from uploadkit.storage.contract import Storage, StoredObject
from uploadkit.storage.keys import check_key
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import STORAGE_CHECKS, check_storage, leftovers

Method = Callable[..., Any]


@dataclass(frozen=True)
class Mutant:
    """`broken` is given the working method and returns the one that takes its place."""

    name: str
    method: str
    broken: Callable[[Method], Method]
    finds: str


MUTANTS: list[Mutant] = []


def breaks(method: str, *, finds: str) -> Callable[[Callable[[Method], Method]], Callable[[Method], Method]]:
    """Puts a mutant into the table, under the name of the function that makes it."""

    def decorate(broken: Callable[[Method], Method]) -> Callable[[Method], Method]:
        MUTANTS.append(Mutant(broken.__name__, method, broken, finds))
        return broken

    return decorate


def meeting(count: int) -> Callable[[], None]:
    """Makes the threads of a race meet between two of their steps. Where there are too few it is no race; the threads
    that were there before are none of its own: a worker of xdist has some."""
    gate, before = threading.Barrier(count), set(threading.enumerate())

    def come_together() -> None:
        if len(set(threading.enumerate()) - before) >= count:
            gate.wait(5)

    return come_together


@breaks("_Sink.write", finds="round_trip")
def write_loses_a_byte(write: Method) -> Method:
    return lambda sink, data: write(sink, data[:-1])


@breaks("_Sink.write", finds="chunks")
def write_forgets_what_came_before(write: Method) -> Method:
    def broken(sink: Any, data: bytes) -> None:
        if data:
            sink._chunks.clear()
        write(sink, data)

    return broken


@breaks("_Sink.write", finds="reused_buffers")
def write_keeps_the_buffer(write: Method) -> Method:
    return lambda sink, data: sink._chunks.append(data)


@breaks("_Sink.write", finds="reused_buffers")
def write_holds_a_view_of_the_buffer(write: Method) -> Method:
    def broken(sink: Any, data: bytes) -> None:
        write(sink, data)
        sink.__dict__.setdefault("views", []).append(memoryview(data))

    return broken


@breaks("_Sink.write", finds="sizes")
def write_loses_an_odd_block(write: Method) -> Method:
    return lambda sink, data: None if len(data) == 1025 else write(sink, data)


@breaks("_Sink.write", finds="invisible_before_commit")
def write_publishes(write: Method) -> Method:
    def broken(sink: Any, data: bytes) -> None:
        write(sink, data)
        half = memory._Staged(sink._storage, sink._key, b"".join(sink._chunks))
        half.discard()
        sink._storage._objects[sink._key] = half

    return broken


@breaks("_Sink.write", finds="interleaved")
def write_goes_to_the_sink_opened_last(write: Method) -> Method:
    return lambda sink, data: write(list(sink._storage._unfinished)[-1], data)


@breaks("_Sink.write", finds="changing_threads")
def write_belongs_to_one_thread(write: Method) -> Method:
    def broken(sink: Any, data: bytes) -> None:
        if sink.__dict__.setdefault("thread", threading.get_ident()) != threading.get_ident():
            raise RuntimeError("another thread")
        write(sink, data)

    return broken


@breaks("_Sink.stage", finds="nothing_written")
def stage_expects_a_write(stage: Method) -> Method:
    def broken(sink: Any) -> Any:
        if not sink._chunks:
            raise IndexError("no chunks")
        return stage(sink)

    return broken


@breaks("_Sink.stage", finds="invisible_before_commit")
def stage_publishes(stage: Method) -> Method:
    def broken(sink: Any) -> Any:
        staged = stage(sink)
        staged._storage._objects.setdefault(staged._key, staged)
        return staged

    return broken


@breaks("_Sink.stage", finds="changing_threads")
def stage_belongs_to_one_thread(stage: Method) -> Method:
    def broken(sink: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and len(sink._chunks) == 3:
            raise RuntimeError("another thread")
        return stage(sink)

    return broken


@breaks("_Sink.discard", finds="discarded_sink")
def sink_cannot_be_discarded_twice(discard: Method) -> Method:
    def broken(sink: Any) -> None:
        del sink._storage._unfinished[sink]

    return broken


@breaks("_Sink.discard", finds="discarded_sink")
def discarded_sink_stays(discard: Method) -> Method:
    return lambda sink: sink._chunks.clear()


@breaks("_Sink.discard", finds="discarded_sink_after_stage")
def sink_discards_what_was_staged(discard: Method) -> Method:
    def broken(sink: Any) -> None:
        for thing, key in list(sink._storage._unfinished.items()):
            if key == sink._key and sink not in sink._storage._unfinished:
                thing.discard()
        discard(sink)

    return broken


@breaks("_Sink.discard", finds="discarded_key")
def discarded_key_is_burnt(discard: Method) -> Method:
    def broken(sink: Any) -> None:
        if sink in sink._storage._unfinished and sink._chunks == [b"first"]:
            sink._storage._objects[sink._key] = memory._Staged(sink._storage, sink._key, b"tombstone")
        discard(sink)

    return broken


@breaks("_Staged.discard", finds="discarded_staged")
def staged_cannot_be_discarded_twice(discard: Method) -> Method:
    def broken(staged: Any) -> None:
        del staged._storage._unfinished[staged]

    return broken


@breaks("_Staged.discard", finds="discarded_staged")
def discarded_staged_stays(discard: Method) -> Method:
    return lambda staged: None


@breaks("_Staged.discard", finds="discarded_after_commit")
def discard_undoes_the_commit(discard: Method) -> Method:
    def broken(staged: Any) -> None:
        if staged._storage._objects.get(staged._key) is staged:
            staged._storage.delete(staged._key)
        discard(staged)

    return broken


@breaks("_Staged.discard", finds="discarded_beside_another")
def discard_goes_by_the_key(discard: Method) -> Method:
    def broken(staged: Any) -> None:
        if staged in staged._storage._unfinished:
            staged._storage.delete(staged._key)
        discard(staged)

    return broken


@breaks("_Staged.commit", finds="exclusive_commit")
def commit_replaces(commit: Method) -> Method:
    def broken(staged: Any) -> Any:
        staged._storage._objects.pop(staged._key, None)
        return commit(staged)

    return broken


@breaks("_Staged.commit", finds="exclusive_commit")
def commit_replaces_an_equal_object(commit: Method) -> Method:
    def broken(staged: Any) -> Any:
        there = staged._storage._objects.get(staged._key)
        if there is not None and there.data == staged.data:
            staged.discard()
            return StoredObject(key=staged._key, size=len(staged.data))
        return commit(staged)

    return broken


@breaks("_Staged.commit", finds="exclusive_commit")
def commit_raises_an_error_of_its_own(commit: Method) -> Method:
    def broken(staged: Any) -> Any:
        if staged._key in staged._storage._objects:
            raise FileExistsError(staged._key)
        return commit(staged)

    return broken


@breaks("_Staged.commit", finds="exclusive_race")
def commit_looks_before_it_leaps(commit: Method) -> Method:
    come_together = meeting(4)

    def broken(staged: Any) -> Any:
        free = staged._key not in staged._storage._objects
        come_together()
        if free:
            staged._storage._objects.pop(staged._key, None)
        return commit(staged)

    return broken


@breaks("_Staged.commit", finds="round_trip")
def commit_misstates_the_size(commit: Method) -> Method:
    def broken(staged: Any) -> Any:
        commit(staged)
        return StoredObject(key=staged._key, size=0)

    return broken


@breaks("_Staged.open", finds="reads_staged")
def staged_file_is_empty(open: Method) -> Method:
    return lambda staged: io.BytesIO()


@breaks("_Staged.open", finds="reads_staged")
def staged_file_is_read_once(open: Method) -> Method:
    def broken(staged: Any) -> Any:
        taken = staged.__dict__.setdefault("taken", [])
        taken.append(1)
        return open(staged) if len(taken) == 1 else io.BytesIO()

    return broken


@breaks("_Staged.open", finds="reads_staged_then_discards")
def reading_keeps_the_staged_object(open: Method) -> Method:
    def broken(staged: Any) -> Any:
        staged.discard = lambda: None
        return open(staged)

    return broken


@breaks("MemoryStorage.open", finds="keys")
def key_has_no_folders(open: Method) -> Method:
    def broken(storage: Any, key: str, info: object) -> Any:
        if "/" in key:
            raise KeyRefused("a folder", storage=storage.name, key=key)
        return open(storage, key, info)

    return broken


@breaks("MemoryStorage.open", finds="hostile_keys")
def key_is_not_looked_at(open: Method) -> Method:
    return lambda storage, key, info: memory._Sink(storage, key)


@breaks("MemoryStorage.open", finds="hostile_keys")
def key_is_repaired(open: Method) -> Method:
    return lambda storage, key, info: memory._Sink(storage, key.strip("/").replace("..", "") or "x")


@breaks("MemoryStorage._object", finds="hostile_keys")
def hostile_key_breaks_the_reading(find: Method) -> Method:
    def broken(storage: Any, key: str) -> Any:
        if "\0" in key:
            raise ValueError("embedded null byte")
        return find(storage, key)

    return broken


@breaks("MemoryStorage.delete", finds="hostile_keys")
def hostile_key_deletes_what_it_leads_to(delete: Method) -> Method:
    def broken(storage: Any, key: str) -> None:
        storage._objects.pop(key.removeprefix("./").removeprefix("x/../"), None)

    return broken


@breaks("MemoryStorage._object", finds="alike_keys")
def key_is_decoded(find: Method) -> Method:
    def broken(storage: Any, key: str) -> Any:
        decoded = [there for there in storage._objects if unquote(there) == unquote(key)]
        return find(storage, decoded[0] if decoded else key)

    return broken


@breaks("MemoryStorage._object", finds="missing")
def missing_object_is_a_key_error(find: Method) -> Method:
    def broken(storage: Any, key: str) -> Any:
        return storage._objects[key]

    return broken


@breaks("MemoryStorage._object", finds="missing")
def missing_object_is_told_of_another_key(find: Method) -> Method:
    def broken(storage: Any, key: str) -> Any:
        try:
            return find(storage, key)
        except ObjectMissing:
            raise ObjectMissing("missing", storage=storage.name, key="another") from None

    return broken


@breaks("MemoryStorage.read", finds="missing")
def missing_object_reads_as_nothing(read: Method) -> Method:
    def broken(storage: Any, key: str, start: int = 0, end: int | None = None) -> Any:
        return read(storage, key, start, end) if key in storage._objects else iter(())

    return broken


@breaks("MemoryStorage.read", finds="ranges")
def range_has_its_end(read: Method) -> Method:
    return lambda storage, key, start=0, end=None: read(storage, key, start, None if end is None else end + 1)


@breaks("MemoryStorage.read", finds="ranges")
def range_past_the_end_is_an_error(read: Method) -> Method:
    def broken(storage: Any, key: str, start: int = 0, end: int | None = None) -> Any:
        if start > storage.stat(key).size:
            raise IndexError("416")
        return read(storage, key, start, end)

    return broken


@breaks("MemoryStorage.read", finds="ranges")
def range_fits_a_machine_word(read: Method) -> Method:
    def broken(storage: Any, key: str, start: int = 0, end: int | None = None) -> Any:
        struct.pack("qq", start, end or 0)
        return read(storage, key, start, end)

    return broken


@breaks("MemoryStorage.read", finds="blocks")
def read_gives_one_block(read: Method) -> Method:
    return lambda storage, key, start=0, end=None: iter([storage._object(key).data[start:end]])


@breaks("MemoryStorage.read", finds="blocks")
def read_gives_views(read: Method) -> Method:
    return lambda storage, key, start=0, end=None: map(memoryview, read(storage, key, start, end))


@breaks("MemoryStorage.read", finds="two_readers")
def readers_share_a_position(read: Method) -> Method:
    def broken(storage: Any, key: str, start: int = 0, end: int | None = None) -> Any:
        if start or end or storage.stat(key).size < memory.BLOCK_SIZE:
            return read(storage, key, start, end)
        return storage.__dict__.setdefault("readers", {}).setdefault(key, read(storage, key))

    return broken


@breaks("MemoryStorage.stat", finds="round_trip")
def stat_misstates_the_size(stat: Method) -> Method:
    return lambda storage, key: StoredObject(key=key, size=stat(storage, key).size + 1)


@breaks("MemoryStorage.delete", finds="delete")
def delete_does_nothing(delete: Method) -> Method:
    return lambda storage, key: None


@breaks("MemoryStorage.delete", finds="delete")
def delete_removes_all(delete: Method) -> Method:
    return lambda storage, key: storage._objects.clear()


@breaks("MemoryStorage.delete", finds="delete_again")
def delete_expects_an_object(delete: Method) -> Method:
    def broken(storage: Any, key: str) -> None:
        del storage._objects[key]

    return broken


@breaks("MemoryStorage.delete", finds="deleted_key")
def deleted_key_is_burnt(delete: Method) -> Method:
    def broken(storage: Any, key: str) -> None:
        storage._objects.pop(key, None)
        storage.__dict__.setdefault("burnt", set()).add(key)
        storage.open = lambda key, info: (
            memory._Sink(storage, key) if key not in storage.burnt else memory._Sink(storage, "elsewhere")
        )

    return broken


@breaks("MemoryStorage.delete", finds="delete_beside_upload")
def delete_reaches_uploads(delete: Method) -> Method:
    def broken(storage: Any, key: str) -> None:
        delete(storage, key)
        for thing, its_key in list(storage._unfinished.items()):
            if its_key == key:
                thing.discard()

    return broken


@breaks("MemoryStorage.open", finds="many_threads")
def open_keeps_the_key_in_a_shared_place(open: Method) -> Method:
    come_together = meeting(8)

    def broken(storage: Any, key: str, info: object) -> Any:
        storage.current = key
        come_together()
        return open(storage, storage.current, info)

    return broken


@breaks("MemoryStorage.sweep", finds="sweep")
def sweep_takes_live_uploads(_: Method) -> Method:
    def broken(storage: Any) -> int:
        swept = list(storage._unfinished)
        for thing in swept:
            thing.discard()
        return len(swept)

    return broken


@breaks("MemoryStorage.sweep", finds="sweep")
def sweep_does_not_count(_: Method) -> Method:
    return lambda storage: None


@breaks("MemoryStorage.in_staging", finds="in_staging")
def looking_takes_what_is_there(_: Method) -> Method:
    def broken(storage: Any) -> list[str]:
        things = list(storage._unfinished)
        for thing in things:
            thing.discard()
        return [thing._key for thing in things]

    return broken


@breaks("MemoryStorage.in_staging", finds="in_staging")
def looking_names_no_texts(_: Method) -> Method:
    return lambda storage: list(storage._unfinished)


@breaks("MemoryStorage.list", finds="lists")
def listing_is_as_it_was(list_: Method) -> Method:
    def broken(storage: Any, prefix: str = "") -> Any:
        seen = storage.__dict__.setdefault("seen", {})
        seen.update(storage._objects)
        return (staged.stored for key, staged in seen.items() if key.startswith(prefix))

    return broken


@breaks("MemoryStorage.list", finds="lists")
def listing_has_one_page(list_: Method) -> Method:
    return lambda storage, prefix="": islice(list_(storage, prefix), 20)


@breaks("MemoryStorage.list", finds="lists")
def listing_says_all_twice(list_: Method) -> Method:
    return lambda storage, prefix="": chain(list_(storage, prefix), list_(storage, prefix))


@breaks("MemoryStorage.list", finds="lists")
def listing_misstates_sizes(list_: Method) -> Method:
    return lambda storage, prefix="": (replace(each, size=0) for each in list_(storage, prefix))


@breaks("MemoryStorage.list", finds="lists")
def listing_has_no_times(list_: Method) -> Method:
    return lambda storage, prefix="": (replace(each, modified=None) for each in list_(storage, prefix))


@breaks("MemoryStorage.list", finds="lists")
def listing_has_times_without_a_zone(list_: Method) -> Method:
    return lambda storage, prefix="": (
        replace(each, modified=each.modified.replace(tzinfo=None)) for each in list_(storage, prefix)
    )


@breaks("MemoryStorage.stat", finds="lists")
def stat_says_the_time_of_another_zone(stat: Method) -> Method:
    def broken(storage: Any, key: str) -> StoredObject:
        stored: StoredObject = stat(storage, key)
        return replace(stored, modified=datetime.now(timezone(timedelta(hours=5, minutes=30))).replace(tzinfo=UTC))

    return broken


@breaks("MemoryStorage.list", finds="lists_all")
def listing_needs_a_prefix(list_: Method) -> Method:
    return lambda storage, prefix="": list_(storage, prefix) if prefix else iter(())


@breaks("MemoryStorage.list", finds="lists_all")
def listing_encodes_names(list_: Method) -> Method:
    return lambda storage, prefix="": (replace(each, key=quote(each.key)) for each in list_(storage, prefix))


@breaks("MemoryStorage.list", finds="lists_visible_objects")
def listing_has_what_is_staged(list_: Method) -> Method:
    def broken(storage: Any, prefix: str = "") -> Any:
        staged = (StoredObject(key=f".staging/{key}", size=0) for key in storage.unfinished)
        return chain(list_(storage, prefix), (each for each in staged if each.key.startswith(prefix)))

    return broken


@breaks("MemoryStorage.list", finds="lists_by_prefix")
def prefix_is_a_folder(list_: Method) -> Method:
    return lambda storage, prefix="": list_(storage, f"{prefix.rstrip('/')}/" if prefix else "")


@breaks("MemoryStorage.list", finds="lists_by_prefix")
def prefix_is_a_pattern(list_: Method) -> Method:
    return lambda storage, prefix="": (
        each for each in list_(storage, "") if fnmatchcase(each.key, f"{prefix}*") or each.key.startswith(prefix)
    )


@breaks("MemoryStorage.list", finds="lists_by_prefix")
def prefix_has_no_case(list_: Method) -> Method:
    return lambda storage, prefix="": (
        each for each in list_(storage, "") if each.key.lower().startswith(prefix.lower())
    )


@breaks("MemoryStorage.list", finds="lists_by_prefix")
def listing_stays_in_one_folder(list_: Method) -> Method:
    return lambda storage, prefix="": (
        each for each in list_(storage, prefix) if not prefix.endswith("/d/") or each.key.count("/") == 3
    )


@breaks("MemoryStorage.list", finds="lists_hostile_prefixes")
def prefix_is_a_key(list_: Method) -> Method:
    def broken(storage: Any, prefix: str = "") -> Any:
        if prefix:
            check_key(prefix.rstrip("/"), storage=storage.name)
        return list_(storage, prefix)

    return broken


@breaks("MemoryStorage.list", finds="lists_hostile_prefixes")
def prefix_is_walked(list_: Method) -> Method:
    return lambda storage, prefix="": list_(storage, posixpath.normpath(prefix).strip("/") if prefix else "")


@breaks("MemoryStorage.list", finds="lists_beside_changes")
def listing_expects_that_nothing_changes(list_: Method) -> Method:
    return lambda storage, prefix="": (
        staged.stored for key, staged in storage._objects.items() if key.startswith(prefix)
    )


@breaks("MemoryStorage.list", finds="lists_beside_changes")
def listing_counts_on(list_: Method) -> Method:
    def broken(storage: Any, prefix: str = "") -> Any:
        number = 0
        while number < len(here := list(list_(storage, prefix))):
            yield here[number]
            number += 1

    return broken


@breaks("MemoryStorage.copy", finds="copies")
def copy_loses_the_rest(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        copied = copy(storage, key, new_key, source=source)
        storage._objects[new_key].data = storage._objects[new_key].data[:1024]
        return copied

    return broken


@breaks("MemoryStorage.copy", finds="copies")
def copy_moves(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        copied = copy(storage, key, new_key, source=source)
        (source or storage).delete(key)
        return copied

    return broken


@breaks("MemoryStorage.copy", finds="copies")
def copy_returns_the_object(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        copy(storage, key, new_key, source=source)
        return (source or storage).stat(key)

    return broken


@breaks("MemoryStorage.copy", finds="copies")
def copy_is_as_old_as_its_object(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        copied = copy(storage, key, new_key, source=source)
        storage._objects[new_key].stored = replace(copied, modified=datetime(2000, 1, 1, tzinfo=UTC))
        return copied

    return broken


@breaks("MemoryStorage.copy", finds="copies_stand_alone")
def copy_goes_with_its_object(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        copied = copy(storage, key, new_key, source=source)
        links = storage.__dict__.setdefault("links", {})
        links[key] = new_key
        storage.delete = lambda gone: [storage._objects.pop(each, None) for each in (gone, links.get(gone))]
        return copied

    return broken


@breaks("MemoryStorage.copy", finds="copies_stand_alone")
def object_goes_with_its_copy(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        copied = copy(storage, key, new_key, source=source)
        links = storage.__dict__.setdefault("links", {})
        links[new_key] = key
        storage.delete = lambda gone: [storage._objects.pop(each, None) for each in (gone, links.get(gone))]
        return copied

    return broken


@breaks("MemoryStorage.copy", finds="copies_nothing")
def copy_of_nothing_is_empty(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        with suppress(ObjectMissing):
            return copy(storage, key, new_key, source=source)
        return memory._Staged(storage, new_key, b"").commit()

    return broken


@breaks("MemoryStorage.copy", finds="copies_nothing")
def copy_names_the_new_key_as_missing(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        try:
            return copy(storage, key, new_key, source=source)
        except ObjectMissing:
            raise ObjectMissing("missing", storage=storage.name, key=new_key) from None

    return broken


@breaks("MemoryStorage.copy", finds="copies_to_taken_key")
def copy_replaces(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        storage._object(key)
        if new_key != key:
            storage._objects.pop(new_key, None)
        return copy(storage, key, new_key, source=source)

    return broken


@breaks("MemoryStorage.copy", finds="copies_to_taken_key")
def copy_to_itself_does_nothing(copy: Method) -> Method:
    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        return storage.stat(key) if key == new_key else copy(storage, key, new_key, source=source)

    return broken


@breaks("MemoryStorage.copy", finds="copies_race")
def copy_looks_before_it_leaps(copy: Method) -> Method:
    come_together = meeting(4)

    def broken(storage: Any, key: str, new_key: str, *, source: Any = None) -> Any:
        free = new_key not in storage._objects
        come_together()
        if free:
            storage._objects.pop(new_key, None)
        return copy(storage, key, new_key, source=source)

    return broken


@breaks("MemoryStorage.copy", finds="copies_no_hostile_keys")
def copy_takes_any_key(copy: Method) -> Method:
    return lambda storage, key, new_key, *, source=None: memory._Staged(
        storage, new_key, (source or storage)._object(key).data
    ).commit()


@breaks("MemoryStorage.copy", finds="copies_no_hostile_keys")
def copy_follows_a_key(copy: Method) -> Method:
    return lambda storage, key, new_key, *, source=None: copy(
        storage, posixpath.normpath(key).strip("/") if "/" in key else key, new_key, source=source
    )


@breaks("MemoryStorage.copy", finds="copies_from_another")
def copy_knows_one_storage(copy: Method) -> Method:
    return lambda storage, key, new_key, *, source=None: copy(storage, key, new_key)


@breaks("MemoryStorage.copies_from", finds="copies_from_another")
def copies_from_is_too_modest(copies_from: Method) -> Method:
    return lambda storage, source: source is storage


@breaks("_Partial.append", finds="partial_sizes")
def append_loses_an_odd_block(append: Method) -> Method:
    return lambda partial, data: None if len(data) == 1 else append(partial, data)


@breaks("_Partial.keep", finds="partial_goes")
def keep_is_called_once(keep: Method) -> Method:
    def broken(partial: Any) -> None:
        if partial.__dict__.setdefault("kept", 0):
            raise RuntimeError("it was kept already")
        partial.kept = 1
        keep(partial)

    return broken


@breaks("MemoryStorage.begin_partial", finds="partial_unlimited")
def partial_needs_a_most(begin_partial: Method) -> Method:
    def broken(storage: Any, upload: str, info: Any) -> str:
        kept: str = begin_partial(storage, upload, info)
        if info.max_size is None:
            raise ValueError("how much is it to be?")
        return kept

    return broken


@breaks("_Partial.close", finds="partial_kept")
def what_was_not_kept_is_kept_twice(close: Method) -> Method:
    def broken(partial: Any) -> None:
        if partial._open and not partial._complete:
            partial._arrived += partial._arrived[-1:]
        close(partial)

    return broken


@breaks("_Partial.append", finds="partial_buffers")
def append_holds_a_view_of_the_buffer(append: Method) -> Method:
    def broken(partial: Any, data: bytes) -> None:
        append(partial, data)
        partial.__dict__.setdefault("views", []).append(memoryview(data))

    return broken


@breaks("_Partial._expect_there", finds="partial_somebody_else")
def append_does_not_look(_: Method) -> Method:
    return lambda partial, doing: None


@breaks("_Partial.head", finds="partial_head")
def head_has_all(_: Method) -> Method:
    return lambda partial, size: bytes(partial._arrived)


@breaks("_Partial.append", finds="partial_completed")
def append_goes_on_for_ever(append: Method) -> Method:
    def broken(partial: Any, data: bytes) -> None:
        partial._complete, complete = False, partial._complete
        append(partial, data)
        partial._complete = complete

    return broken


@breaks("_Partial._expect_complete", finds="partial_complete_first")
def what_is_not_complete_is_committed(_: Method) -> Method:
    return lambda partial: None


@breaks("_Partial.open", finds="partial_open")
def readers_of_a_complete_one_share_a_position(open_: Method) -> Method:
    class Shared(io.BytesIO):
        def __exit__(self, *_: object) -> None:
            pass

    def broken(partial: Any) -> Any:
        if "shared" not in partial.__dict__:
            partial.shared = Shared(open_(partial).read())
        return partial.shared

    return broken


@breaks("MemoryStorage.list", finds="partial_invisible")
def listing_has_what_comes_in_several_goes(list_: Method) -> Method:
    def broken(storage: Any, prefix: str = "") -> Any:
        begun = (StoredObject(key=f".staging/{upload}", size=0) for upload in storage._partials)
        return chain(list_(storage, prefix), (each for each in begun if each.key.startswith(prefix)))

    return broken


@breaks("_Partial.commit", finds="partial_taken_key")
def commit_replaces_what_was_there(commit: Method) -> Method:
    def broken(partial: Any, key: str, info: Any) -> StoredObject:
        partial._storage._objects.pop(key, None)
        stored: StoredObject = commit(partial, key, info)
        return stored

    return broken


@breaks("_Partial.discard", finds="partial_discarded")
def discard_only_closes(_: Method) -> Method:
    return lambda partial: partial.close()


@breaks("_Partial.commit", finds="partial_discarded_after_commit")
def discard_takes_the_object(commit: Method) -> Method:
    def broken(partial: Any, key: str, info: Any) -> StoredObject:
        stored: StoredObject = commit(partial, key, info)
        partial.discard = lambda: partial._storage.delete(key)
        return stored

    return broken


@breaks("_Partial._expect_there", finds="partial_too_late")
def append_does_not_see_that_it_is_gone(expect_there: Method) -> Method:
    def broken(partial: Any, doing: str) -> None:
        if partial._upload in partial._storage._partials:
            expect_there(partial, doing)

    return broken


@breaks("MemoryStorage.partial", finds="partial_missing")
def partial_begins_what_is_not_there(partial_: Method) -> Method:
    def broken(storage: Any, upload: str, kept: str) -> Any:
        storage._partials.setdefault(upload, bytearray())
        return partial_(storage, upload, kept)

    return broken


@breaks("MemoryStorage.begin_partial", finds="partial_apart")
def all_uploads_are_one(begin_partial: Method) -> Method:
    def broken(storage: Any, upload: str, info: Any) -> str:
        kept: str = begin_partial(storage, upload, info)
        storage._partials[upload] = next(iter(storage._partials.values()))
        return kept

    return broken


@breaks("_Partial.extend", finds="partial_extended")
def extend_takes_the_other_away(extend: Method) -> Method:
    def broken(partial: Any, other: Any) -> None:
        extend(partial, other)
        other.discard()

    return broken


@breaks("MemoryStorage.sweep", finds="partial_swept")
def sweep_takes_what_nobody_holds(_: Method) -> Method:
    def broken(storage: Any) -> int:
        storage._partials.clear()
        return 0

    return broken


@breaks("MemoryStorage.begin_partial", finds="partial_names")
def any_name_is_good(_: Method) -> Method:
    def broken(storage: Any, upload: str, info: Any) -> str:
        storage._partials[upload] = bytearray()
        return "memory"

    return broken


@breaks("MemoryStorage.__init__", finds="describes_itself")
def storage_has_no_name(init: Method) -> Method:
    return lambda storage: init(storage, name="")


SWEEPING: dict[str, object] = {"in_staging": [], "sweep": 0}
"""What a storage without staging would answer to the methods of `SweepsStaging`."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_storage_is_found_and_the_promise_named(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that is broken in one place fails the suite, and the message names the promise that it breaks."""
    owner_name, _, method = mutant.method.partition(".")
    owner = getattr(memory, owner_name)
    if method in SWEEPING:  # an ability has all of its methods
        for name, returned in SWEEPING.items():
            monkeypatch.setattr(owner, name, lambda storage, returned=returned: returned, raising=False)
    monkeypatch.setattr(owner, method, mutant.broken(getattr(owner, method, len)), raising=False)
    with pytest.raises(AssertionError) as raised:
        check_storage(MemoryStorage, leftovers=leftovers)
    assert f"\n- {mutant.finds}: " in str(raised.value)
    assert "BrokenBarrierError" not in str(raised.value), "a race of a mutant did not take place"


def test_every_promise_is_broken_by_a_mutant() -> None:
    """No check of the suite is there without a storage that it has been seen to refuse."""
    assert {mutant.finds for mutant in MUTANTS} == {check.name for check in STORAGE_CHECKS}


def test_the_message_says_what_was_promised_and_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes a storage can act on the message without reading the suite."""
    monkeypatch.setattr(MemoryStorage, "delete", lambda storage, key: None)
    with pytest.raises(AssertionError) as raised:
        check_storage(MemoryStorage)
    lines = str(raised.value).splitlines()
    assert lines[0] == "MemoryStorage 'memory' breaks 7 of 64 promises:"
    promise, _, seen = lines[1].partition(" But ")
    assert promise == "- delete: A deleted object is gone, and no other object with it."
    assert seen.startswith("stat after delete returned StoredObject(key='check-")
    assert seen.endswith(" and raised no ObjectMissing")


def test_a_promise_that_is_not_made_is_not_checked() -> None:
    """A storage without abilities is not held to them, and the result tells which promises were looked at."""

    class Plain(MemoryStorage):
        reads_staged = False
        exclusive_commit = False

        def copies_from(self, source: Storage) -> bool:
            return False

    checked = check_storage(Plain)
    left_out = {check.name for check in STORAGE_CHECKS} - set(checked)
    copying = {check.name for check in STORAGE_CHECKS if check.ability == "CopiesObjects"}
    assert len(copying) == 7
    assert left_out == copying | {
        "exclusive_commit", "exclusive_race", "in_staging", "reads_staged", "reads_staged_then_discards", "sweep"
    }  # fmt: skip


def test_a_check_that_fails_clears_up_behind_itself() -> None:
    """What a check has opened is discarded and what it has written is deleted, however it ends."""
    storage = MemoryStorage()
    for check in filter(lambda check: check.applies_to(storage), STORAGE_CHECKS):
        with pytest.raises(AssertionError, match="a temporary file was left behind"):
            check(lambda: storage, leftovers=lambda _: ["a temporary file"])
        assert (storage.objects, storage.unfinished) == ({}, [])
