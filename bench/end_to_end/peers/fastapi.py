"""FastAPI's own `UploadFile`, read in pieces of 1 MiB to its destination."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Form, UploadFile
from fastapi.responses import PlainTextResponse

from ..told import destination, said

app = FastAPI()


@app.post("/upload")
async def upload(
    file: UploadFile,
    title: Annotated[str, Form()] = "",
    author: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "",
) -> PlainTextResponse:
    with destination().open("wb") as saved:
        while piece := await file.read(2**20):
            saved.write(piece)
    return PlainTextResponse(said(title, author, note))


@app.get("/other")
async def other() -> PlainTextResponse:
    return PlainTextResponse("ok")
