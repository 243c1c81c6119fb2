"""Limits as users write them."""

from __future__ import annotations

from typing import assert_type

from uploadkit import Limits

assert_type(Limits(file_size="5 MB", files=None).file_size, int | None)
Limits(file_size=5_000_000)
Limits(file_size=None)
