"""Scanned uploads in FastAPI. Run it: uvicorn --app-dir examples/scanning scan_fastapi:app"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from scanned_form import answer, documents

from uploadkit import Submission
from uploadkit.adapters.fastapi import receive

app = FastAPI()


@app.post("/documents")
async def create(submission: Annotated[Submission, receive(documents)]) -> dict[str, object]:
    return answer(submission)
