"""The routes as a Flask application."""

from __future__ import annotations

from typing import Any

from flask import Flask

from uploadkit.adapters.flask import receive
from uploadkit.intake.spec import Spec

from .routes import handled, server_storage, specs, watched

app = Flask(__name__)


def _add(route: str, spec: Spec[Any]) -> None:
    @app.post(f"/{route}", endpoint=route)
    @receive(spec, progress=watched(route))
    def view(received: Any) -> tuple[dict[str, Any], int]:
        status, answer = handled(route, received)
        return answer, status


for _name, _spec in specs(server_storage()).items():
    _add(_name, _spec)
