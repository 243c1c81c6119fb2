"""Who asks for another route of the server while it takes uploads, on a connection of its own.

The process that asks does nothing else meanwhile, so that what it waits for is the server.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PAUSES = (0.005, 0.010)
"""Seconds between an answer and the next question, evenly spread: no rhythm of the server is met or missed."""

ANSWER_SECONDS = 60

_QUESTION = b"GET /other HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def asking(port: int | None) -> Iterator[list[float]]:
    """Asks until the block ends, or nobody. The list is filled with the seconds of every answer."""
    waits: list[float] = []
    if port is None:
        yield waits
        return
    ended = threading.Event()
    thread = threading.Thread(target=_ask, args=(port, waits, ended))
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()


def _ask(port: int, waits: list[float], ended: threading.Event) -> None:
    pauses = random.Random(2)
    connection = _connect(port)
    try:
        while not ended.wait(pauses.uniform(*PAUSES)):
            start = time.perf_counter()
            connection.sendall(_QUESTION)
            answer = connection.recv(4096)
            while answer and not _is_whole(answer):
                answer += connection.recv(4096)
            waits.append(time.perf_counter() - start)
            if not answer or b"connection: close" in answer.lower():
                connection.close()
                connection = _connect(port)
    except OSError:
        return  # the server is gone: the sender says so, too
    finally:
        connection.close()


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _is_whole(answer: bytes) -> bool:
    """Every server here answers "ok" or "||": the head's end and two bytes."""
    _, _, body = answer.partition(b"\r\n\r\n")
    return len(body) >= 2
