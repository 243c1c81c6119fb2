"""A receiver of webhooks on 127.0.0.1, in a thread: it reads a request, and answers as the test says."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SOON = 10
"""Seconds after which a test has failed."""


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`requests` are those that came whole; `gone` is set when a connection was closed from the other side."""

    url: str
    requests: list[Request] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)


Answer = Callable[[socket.socket, Receiver], None]


def answer(head: str, body: bytes = b"") -> Answer:
    """One that is sent whole."""
    return lambda connection, _: connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)


def never(connection: socket.socket, receiver: Receiver) -> None:
    """Says nothing until the other side has gone."""
    connection.settimeout(SOON)
    assert connection.recv(1) == b""
    receiver.gone.set()


def closes(connection: socket.socket, receiver: Receiver) -> None:
    """Goes without a word."""


def drips(connection: socket.socket, receiver: Receiver) -> None:
    """Sends a byte of its head now and then, for as long as somebody is there."""
    connection.settimeout(SOON)
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not receiver.gone.wait(0.01):
            connection.sendall(b"x")
    receiver.gone.set()


def without_end(connection: socket.socket, receiver: Receiver) -> None:
    """Answers, and goes on for as long as somebody is there."""
    connection.settimeout(SOON)
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            connection.sendall(bytes(65536))
    receiver.gone.set()


def headers_without_end(connection: socket.socket, receiver: Receiver) -> None:
    """Its head does not end."""
    connection.settimeout(SOON)
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"x: " + bytes(65536).replace(b"\0", b"y"))
    receiver.gone.set()


@contextmanager
def receiving(reply: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Serves one connection after the other until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        receiver = Receiver(f"{scheme}://{host}:{door.getsockname()[1]}/hooks?from=uploads")
        thread = threading.Thread(target=_serve, args=(door, receiver, reply, tls))
        thread.start()
        try:
            yield receiver
        finally:
            with suppress(OSError):  # wakes `accept`
                socket.create_connection(door.getsockname(), timeout=SOON).close()
            thread.join(SOON)
            assert not thread.is_alive()


def _serve(door: socket.socket, receiver: Receiver, reply: Answer, tls: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = door.accept()
        with connection:
            connection.settimeout(SOON)
            try:
                served = tls.wrap_socket(connection, server_side=True) if tls else connection
            except OSError:  # the other side went, or trusts nobody
                if not receiver.gone.is_set():
                    receiver.gone.set()
                    continue
                return
            with served:
                request = _read(served)
                if request is None:
                    return
                receiver.requests.append(request)
                with suppress(ConnectionError):
                    reply(served, receiver)


def _read(connection: socket.socket) -> Request | None:
    """None where nothing came."""
    with connection.makefile("rb") as stream:
        line = stream.readline().decode().rstrip()
        if not line:
            return None
        headers: dict[str, str] = {}
        while head := stream.readline().decode().rstrip():
            name, _, value = head.partition(": ")
            headers[name] = value
        return Request(line, headers, stream.read(int(headers["Content-Length"])))


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The two sides of TLS for `localhost`: a server's, and that of who trusts its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=path)
