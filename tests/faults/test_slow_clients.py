"""A thousand clients that drip one byte a second, which is never silent and never ends, and others beside them."""

from __future__ import annotations

import os
import selectors
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from threading import Thread

import pytest
from tests.adapters.servers import Server, ServerOf
from tests.soak import scaled

from uploadkit.testing import Answer, Client, FormBuilder, NoAnswer, exchange, request, request_head

ENOUGH_SECONDS = 20
"""The route allows 10 seconds of grace, and then 1024 bytes a second: at one byte a second it ends soon after them."""

FORM = FormBuilder(boundary="b").file("f", os.urandom(4 << 20), filename="large.bin")
SLOW = request_head("/slow", FORM.content_type, length=4 << 20)
FAST = request("/any", FORM)
BEGIN = FORM.body[:ENOUGH_SECONDS]


class Drips:
    """Clients that send one byte each second, all in one thread, until the server ends them. `answers` has the status
    and the code of each, and `seconds` how long they were there."""

    def __init__(self, server: Server, count: int) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.seconds: list[float] = []
        self._selector = selectors.DefaultSelector()
        self._begun = time.monotonic()
        for _ in range(count):
            client = Client(server.port)
            client.send(SLOW)
            self._selector.register(client.socket, selectors.EVENT_READ, client)
        self._thread = Thread(target=self._drip)
        self._thread.start()

    def are_over(self) -> bool:
        """Whether the server has ended all of them, or should have."""
        return not self._thread.is_alive()

    def _drip(self) -> None:
        for second in range(ENOUGH_SECONDS):
            for key in list(self._selector.get_map().values()):
                key.data.send_what_is_taken(BEGIN[second : second + 1])
            while (rest := self._begun + second + 1 - time.monotonic()) > 0 and self._selector.get_map():
                for key, _ in self._selector.select(rest):
                    self._end(key.data)
        for key in list(self._selector.get_map().values()):
            self._end(key.data, given_up=True)
        self._selector.close()

    def _end(self, client: Client, *, given_up: bool = False) -> None:
        self._selector.unregister(client.socket)
        self.seconds.append(time.monotonic() - self._begun)
        with client:
            try:
                answer = None if given_up else client.answer()
            except (NoAnswer, OSError) as error:
                self.answers[(0, repr(error))] += 1
                return
        self.answers[(answer.status, code_of(answer)) if answer else (0, "given up")] += 1


@pytest.mark.soak
def test_a_thousand_clients_that_drip_are_ended_and_others_go_on(
    servers: ServerOf, record_property: Callable[[str, object], None]
) -> None:
    """Each is told 408, and an upload beside them takes at most twice its time."""
    server, count = servers("asgi"), scaled(1000)
    undisturbed = [seconds_of_an_upload(server) for _ in range(40)]
    drips = Drips(server, count)
    beside = []
    while not drips.are_over():
        beside.append(seconds_of_an_upload(server))
    undisturbed_again = [seconds_of_an_upload(server) for _ in range(40)]
    # A machine that has grown slower meanwhile is no fault of the server's.
    speed = max(median(undisturbed), median(undisturbed_again)) / median(beside)
    ended = f"ended after {min(drips.seconds):.1f} to {max(drips.seconds):.1f} s"
    record_property(
        "figure", f"{count} clients that drip: {ended}; {len(beside)} uploads beside at {speed:.2f} the speed"
    )
    assert drips.answers == {(408, "upload_too_slow"): count}
    assert speed >= 0.5
    server.settle()
    assert not server.files()


def code_of(answer: Answer) -> str:
    """What the answer says; all of it where that is no problem of ours."""
    return str(answer.json["code"]) if answer.content_type == "application/problem+json" else repr(answer.body)


def seconds_of_an_upload(server: Server) -> float:
    """How long one takes that nobody slows down."""
    begun = time.monotonic()
    assert exchange(server.port, FAST).status == 200
    taken = time.monotonic() - begun
    server.clear()
    return taken
