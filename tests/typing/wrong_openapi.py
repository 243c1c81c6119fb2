"""Rules that are not there, and what cannot be installed into."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from uploadkit import MemoryStorage, Uploader
from uploadkit.adapters.fastapi import install, receive

upload = Uploader(MemoryStorage())

install(APIRouter())  # E: a router has no document
install(FastAPI(), upload)  # E: it takes no more
receive(upload.none(), validation_errors="yes")  # E: a flag
upload.none().rules("avatar")  # E: of the whole form
rules = upload.single("avatar").rules()
rules["avatar"]  # E: fields stand in "files"
rules["files"]["avatar"]["size"]  # E: it is max_size
rules["files"]["avatar"]["accept"].join()  # E: a list, or None
