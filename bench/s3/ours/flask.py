"""uploadkit in Flask."""

from __future__ import annotations

from flask import Flask

from uploadkit import Submission
from uploadkit.adapters.flask import receive

from ..told import ANSWER
from . import form

app = Flask(__name__)


@app.post("/upload")
@receive(form)
def upload(received: Submission) -> str:
    return ANSWER


@app.get("/other")
def other() -> str:
    return "ok"
