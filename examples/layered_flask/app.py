"""The application: the layers put together, and how errors are answered. uploadkit answers its own."""

from __future__ import annotations

from flask import Flask, json
from werkzeug import Response
from werkzeug.exceptions import HTTPException, NotFound

from .blueprints import files
from .services import NoSuchFile

app = Flask(__name__)
app.register_blueprint(files)


@app.errorhandler(NoSuchFile)
def no_such_file(error: NoSuchFile) -> Response:
    return refused(NotFound("there is no such file"))


@app.errorhandler(HTTPException)
def refused(error: HTTPException) -> Response:
    response = error.get_response()
    response.data = json.dumps({"type": "about:blank", "status": error.code, "detail": error.description})
    response.content_type = "application/problem+json"
    return response
