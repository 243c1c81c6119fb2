"""The targets by their names: what fuzz data are checked by, what they are grown from, and words that they may hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import filenames, heads, intake, keys, media, multipart, urlencoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`check` raises where a promise is broken, by an assert or by whatever error it was that should not have been."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes]
    largest: int = 1024
    """Bytes of the largest input: every one is parsed byte by byte too."""
    share: int = 1
    """How much of the time it gets, beside the others: the more it can do, the more."""


TARGETS = {
    "multipart": Target(check=multipart.check, seeds=multipart.SEEDS, words=multipart.WORDS, share=3),
    "urlencoded": Target(check=urlencoded.check, seeds=urlencoded.SEEDS, words=urlencoded.WORDS, share=2),
    "heads": Target(check=heads.check, seeds=heads.SEEDS, words=heads.WORDS),
    "filenames": Target(check=filenames.check, seeds=filenames.SEEDS, words=filenames.WORDS),
    "keys": Target(check=keys.check, seeds=keys.SEEDS, words=keys.WORDS, largest=1100),
    "media": Target(check=media.check, seeds=media.SEEDS, words=media.WORDS, largest=8400),
    "intake": Target(check=intake.check, seeds=intake.SEEDS, words=intake.WORDS, largest=2048, share=3),
}

FOUND = Path(__file__).parent / "found"
"""Inputs that once broke a promise, in a folder for each target. The tests replay them."""
