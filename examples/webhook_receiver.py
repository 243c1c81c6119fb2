"""Another service, which gets facts as webhooks: in Flask, with its own memory of what it has done."""

from __future__ import annotations

import os
import sqlite3

from flask import Flask, request

from uploadkit.errors import SignatureRefused
from uploadkit.events.facts import Fact, FileProcessed, UnknownFact
from uploadkit.events.webhooks import verify

SECRET = os.environ["WEBHOOK_SECRET"]
DATABASE = os.environ.get("WEBHOOK_DATABASE", "received.db")

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_000_000

with sqlite3.connect(DATABASE) as _database:
    _database.execute("CREATE TABLE IF NOT EXISTS received (id TEXT PRIMARY KEY)")
    _database.execute("CREATE TABLE IF NOT EXISTS finished (upload TEXT)")
_database.close()


@app.post("/hooks")
def hooks() -> tuple[str, int]:
    try:
        fact = verify(request.headers, request.get_data(), SECRET)
    except SignatureRefused as error:
        return str(error), error.status
    except UnknownFact:
        return "", 204  # of a newer version: taken, and left alone
    except ValueError as error:
        return str(error), 400
    take(fact)
    return "", 204


def take(fact: Fact) -> None:
    """Once for each id, in one transaction: a fact may come twice, and a request that was recorded as well."""
    database = sqlite3.connect(DATABASE)
    try:
        with database:
            new = database.execute("INSERT OR IGNORE INTO received VALUES (?)", (fact.id,)).rowcount
            if new and isinstance(fact, FileProcessed):
                database.execute("INSERT INTO finished VALUES (?)", (fact.upload,))
    finally:
        database.close()
