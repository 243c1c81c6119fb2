"""The drivers, for every test of typed forms."""

from __future__ import annotations

from tests.forms.sending import drives

__all__ = ["drives"]
