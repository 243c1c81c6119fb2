"""One object that is to be in a bucket: how it is made visible, and how it is known again.

S3 may carry a call out whose answer gets lost. So every object bears a random word of its own among its metadata: it
tells whether what lies under the key is this object. Whoever gives up removes it then.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...errors import ObjectExists, ObjectMissing, StorageFailed
from .client import CONFLICT, NO_UPLOAD, Client, code_of, is_refusal

TOKEN = "uploadkit"
"""The name, among an object's metadata, of the word that is its own."""

_LOOKS = 4
"""So often it is looked what another writer has made of a key, before it is called a failure."""


class Writing:
    """One object that is to be: where, with which headers, and how it is known again."""

    def __init__(
        self,
        client: Client,
        key: str,
        name: str,
        storage: str,
        arguments: Mapping[str, Any],
        metadata: Mapping[str, str],
    ) -> None:
        self.client = client
        self.key = key
        self.name = name
        self.storage = storage
        self.own_metadata: dict[str, str] = {**metadata, TOKEN: secrets.token_hex(16)}
        self.arguments: dict[str, Any] = {**arguments, "Metadata": self.own_metadata}
        self.uncertain: bool = False  # whether it may be there although nobody said so

    def call(self, operation: str, doing: str, **arguments: Any) -> Any:
        return self.client.call(operation, doing, self.key, Key=self.name, **arguments)

    def publish(self, operation: str, **arguments: Any) -> None:
        """Makes the call that makes the object visible; raises where it did not."""
        self.uncertain = True
        try:
            self.call(operation, "publish a file", **arguments)
        except ObjectExists as error:
            found = self._found()
            if not found:
                self.uncertain = False
                if found is None and "CopySourceIfMatch" in arguments:  # the same answer to another condition
                    raise self.failed("publish a file: what it is copied from has changed") from error
                raise
        except ObjectMissing as error:  # the upload is gone: finished, by an attempt whose answer got lost, or swept
            if code_of(error) != NO_UPLOAD:
                self.uncertain = False
                raise
            if not self._is_there_after_all():
                raise self.failed("publish a file: the upload was removed") from error
        except StorageFailed as error:
            conflict = code_of(error) == CONFLICT
            if not (error.retryable and (self._is_there_after_all() if conflict else self._seems_there())):
                self.uncertain = not is_refusal(error)
                raise
        self.uncertain = False

    def withdraw(self) -> None:
        """Removes the object if it is there although nobody said so."""
        if self.uncertain and self._found():
            self.client.delete(self.name, self.key, "discard a file")
        self.uncertain = False

    def failed(self, what: str) -> StorageFailed:
        return StorageFailed(f"the storage could not {what}", storage=self.storage, key=self.key)

    def _found(self) -> bool | None:
        """Whether it is this object; None where there is none."""
        try:
            head = self.call("head_object", "look at a file")
        except ObjectMissing:
            return None
        return bool(head.get("Metadata", {}).get(TOKEN) == self.own_metadata[TOKEN])

    def _seems_there(self) -> bool:
        """The same, where nothing more is known if it cannot be asked."""
        with suppress(StorageFailed):
            return bool(self._found())
        return False

    def _is_there_after_all(self) -> bool:
        """Another writer of the key may be about to finish. Raises `ObjectExists` where one has."""
        for look in range(_LOOKS):
            found = self._found()
            if found is False:
                self.uncertain = False
                raise ObjectExists("the object exists already", storage=self.storage, key=self.key)
            if found:
                return True
            if look + 1 < _LOOKS:
                time.sleep(random.uniform(0, 2**look / 10))  # noqa: S311  # jitter
        return False
