"""Scanned uploads in Flask. Run it: flask --app examples/scanning/scan_flask.py run"""

from __future__ import annotations

from flask import Flask
from scanned_form import answer, documents

from uploadkit import Submission
from uploadkit.adapters.flask import receive

app = Flask(__name__)


@app.post("/documents")
@receive(documents)
def create(submission: Submission) -> dict[str, object]:
    return answer(submission)
