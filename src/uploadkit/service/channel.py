"""Between the parent of `uploadkit serve` and each of its processes: a socket, whose end is the end of both.

A process says on it that it has begun, or why it could not. The parent says when to end. Where the parent is gone, by
whatever it was killed, the socket is closed: then the process ends at once, and within `LAST_SECONDS` in any case.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final

__all__ = ["END", "FAILED", "LAST_SECONDS", "READY", "Parent"]

LAST_SECONDS: Final = 5.0
"""So long a process may take to end that is to end at once."""

READY, FAILED, END = b"ready\n", b"failed ", b"end\n"

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends the parent. A terminal, or systemd, sends it to the processes too."""


class Parent:
    """The parent, for a process that was begun with the number of its end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        for number in ENDING:
            signal.signal(number, pass_over)  # it is the parent that ends this process, in its turn

    def ready(self) -> None:
        """This process does its work from here on."""
        self._say(READY)

    def failed(self, error: Exception) -> None:
        """It cannot, and ends."""
        text = str(error) or type(error).__name__
        self._say(FAILED + " ".join(text.split()).encode("utf-8", "backslashreplace") + b"\n")

    def listen(self, *, on_end: Callable[[], object], on_gone: Callable[[], object]) -> None:
        """In a thread of its own: calls `on_end` when this process is to end, in time, and `on_gone` when it is to end
        at once, also after the other."""
        threading.Thread(target=self._listen, args=(on_end, on_gone), name="uploadkit-parent", daemon=True).start()

    def _say(self, line: bytes) -> None:
        with suppress(OSError):  # who is gone is noticed elsewhere
            self._socket.sendall(line)

    def _listen(self, on_end: Callable[[], object], on_gone: Callable[[], object]) -> None:
        with suppress(OSError):
            if self._socket.recv(len(END)):
                on_end()
                self._socket.recv(1)
        on_gone()
        threading.Event().wait(LAST_SECONDS)
        os._exit(1)


def pass_over(number: int, frame: FrameType | None) -> None:
    """A handler: what is ignored would be ignored in every program that this process starts, too."""
