"""uploadkit in FastAPI."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from uploadkit import Submission
from uploadkit.adapters.fastapi import receive

from ..told import ANSWER
from . import form

app = FastAPI()


@app.post("/upload")
async def upload(received: Annotated[Submission, receive(form)]) -> PlainTextResponse:
    return PlainTextResponse(ANSWER)


@app.get("/other")
async def other() -> PlainTextResponse:
    return PlainTextResponse("ok")
