"""A web process that hears what workers tell, and shows where an upload is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

from uploadkit.events.bus import Events
from uploadkit.events.facts import FileProcessed
from uploadkit.events.redis import RedisEvents, RedisStatus

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")

events = Events()
redis = RedisEvents(URL)
status = RedisStatus(URL, ttl_seconds=3600)

events.on()(redis.publish)  # what happens in this process is told to the others
events.on()(status.hear)  # and kept for them to read


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with redis.alisten(events.apublish):  # what the others tell is heard here
        yield
    redis.close()
    status.close()


app = FastAPI(lifespan=lifespan)
finished: list[str] = []


@events.on("file.processed")
async def show(fact: FileProcessed) -> None:
    finished.append(fact.upload)


@app.get("/uploads/{upload}/status")
def upload_status(upload: str) -> Mapping[str, Any]:
    told = status.get(upload)
    if told is None:
        raise HTTPException(404)
    return told
