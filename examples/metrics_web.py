"""An app whose numbers Prometheus reads at /metrics, in one process or in many:

mkdir numbers && PROMETHEUS_MULTIPROC_DIR=numbers gunicorn -w 4 examples.metrics_web:app
"""

from __future__ import annotations

from flask import Flask, Response

from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.metrics import CONTENT_TYPE, Metrics
from uploadkit.processing.observing import observed
from uploadkit.processing.queue import Job, Running

app = Flask(__name__)
metrics = Metrics()


async def handler(running: Running) -> None:
    """Does what is to be done with an upload."""


queue = InlineQueue(observed(handler, metrics))


@app.post("/<upload>")
def index(upload: str) -> str:
    queue.add(Job(upload=upload, processor="index", digest="v1", queue="images"))
    return "done"


@app.get("/metrics")
def numbers() -> Response:
    return Response(metrics.text(), content_type=CONTENT_TYPE)
