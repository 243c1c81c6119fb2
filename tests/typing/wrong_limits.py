"""Limits as nobody may write them."""

from __future__ import annotations

from uploadkit import Limits

Limits(file_size=b"5 MB")  # E: a size is an int, a str or None
Limits(5_000_000)  # E: limits are given by name
Limits(flie_size="5 MB")  # E: no such limit
Limits().files = 3  # E: limits are frozen
