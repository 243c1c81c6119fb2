"""A register that notes what it is told, in one list with the calls of a storage, and says where it is told wrong.

Holds every caller to the protocol: an upload is begun once, then accepted or refused once; refused too where `accept`
has raised. What became of each is in `states`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from uploadkit.policy.filters import IncomingFile
from uploadkit.storage.contract import Storage
from uploadkit.uploads import Register, UploadedFile


class FakeRegister:
    """Calls `called` with the name of each call before it is made, as a `CalledStorage` does."""

    def __init__(self, called: Callable[[str], None] | None = None) -> None:
        self.calls: list[str] = []
        self.states: dict[str, str] = {}
        self.batches: list[str] = []
        self.keys: list[str | None] = []
        self.known: list[Storage] = []
        self.storages: list[Storage] = []
        self.refused: list[tuple[tuple[str, ...], BaseException]] = []
        self._called = called

    def note(self, call: str) -> None:
        """For the storage beside it: what `called` lets through."""
        self.calls.append(call)
        if self._called is not None:
            self._called(call)

    def knows(self, storage: Storage) -> None:
        """Each of them once."""
        if any(each.name == storage.name and each is not storage for each in self.known):
            raise ValueError(f"another storage has the name {storage.name!r}")
        if storage not in self.known:
            self.known.append(storage)

    def forgets(self, storage: Storage) -> None:
        """One that was known."""
        self.known.remove(storage)

    def begin(self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str) -> None:
        """Nobody begins twice."""
        self.note("begin")
        assert file.id not in self.states
        assert storage in self.known
        self.states[file.id] = "begun"
        self.batches.append(batch)
        self.keys.append(key)
        self.storages.append(storage)

    def accept(self, files: Sequence[UploadedFile]) -> None:
        """What stands, and was begun."""
        self._accept(files)
        self.note("accept")
        self._accepted(files)

    async def aaccept(self, files: Sequence[UploadedFile]) -> None:
        """The same."""
        self._accept(files)
        self.note("accept")
        self._accepted(files)

    def _accept(self, files: Sequence[UploadedFile]) -> None:
        assert files
        for file in files:
            assert file.register is self
            assert self.states[file.id] in ("begun", "deleted")
            if self.states[file.id] == "begun":
                self.states[file.id] = "trying"

    def _accepted(self, files: Sequence[UploadedFile]) -> None:
        for file in files:
            if self.states[file.id] == "trying":
                self.states[file.id] = "accepted"

    def refuse(self, uploads: Sequence[str], error: BaseException) -> None:
        """It counts as told, also where it fails."""
        assert uploads
        assert isinstance(uploads, tuple)
        self.refused.append((uploads, error))
        for upload in uploads:
            assert self.states[upload] in ("begun", "trying", "deleted")
            if self.states[upload] != "deleted":
                self.states[upload] = "refused"
        self.note("refuse")

    def delete(self, file: UploadedFile) -> None:
        """With the bytes."""
        self.note("register delete")
        file.storage.delete(file.key)
        self.states[file.id] = "deleted"

    def ends(self) -> list[str]:
        """What became of each upload, in the order of their beginning."""
        return [*self.states.values()]


_: Register = FakeRegister()
