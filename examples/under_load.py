"""A FastAPI application for many large uploads at once: bounded, watched, and ended without a trace.

`uvicorn --app-dir examples under_load:app`, then `curl -F video=@film.mp4 -H 'X-Upload: 1' http://127.0.0.1:8000/videos`
and meanwhile `curl http://127.0.0.1:8000/progress/1`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Request

from uploadkit import Capacity, DiskStorage, Limits, UploadedFile, Uploader, tune_allocator
from uploadkit.adapters.fastapi import receive

tune_allocator()

upload = Uploader(
    DiskStorage("uploads"),
    limits=Limits(body_size="5 GB", file_size="4 GB", files_size="4 GB", idle_seconds=20, min_rate="4 KiB"),
    capacity=Capacity(uploads=200, waiting=100, wait_seconds=5, memory="128 MiB"),
    digest=False,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await upload.capacity.aclose(10)


app = FastAPI(lifespan=lifespan)
bars: dict[str, float] = {}


def watch(request: Request) -> Callable[[int, int | None], None] | None:
    name = request.headers.get("x-upload")
    if name is None:
        return None

    def show(received: int, expected: int | None) -> None:
        bars[name] = received / expected if expected else 0.0

    return show


@app.post("/videos")
async def videos(video: Annotated[UploadedFile, receive(upload.single("video"), progress=watch)]) -> dict[str, object]:
    return {"key": video.key, "size": video.size}


@app.get("/progress/{name}")
async def progress(name: str) -> dict[str, float | None]:
    return {"done": bars.get(name)}
