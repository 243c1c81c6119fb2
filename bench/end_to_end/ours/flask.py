"""uploadkit in Flask."""

from __future__ import annotations

from flask import Flask

from uploadkit import Submission
from uploadkit.adapters.flask import receive

from . import answer, form

app = Flask(__name__)


@app.post("/upload")
@receive(form)
def upload(received: Submission) -> str:
    return answer(received)


@app.get("/other")
def other() -> str:
    return "ok"
