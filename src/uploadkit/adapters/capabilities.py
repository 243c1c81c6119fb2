"""What an adapter can do under which server: one table. The parity test holds every server to it, the docs print it.

What does not depend on them is not here: limits, types, rules, all or nothing, and what is left after an abort.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """One adapter under one server, by their names."""

    adapter: str
    server: str
    refuses_early: bool
    """The body reaches uploadkit while it arrives: what is refused is refused before the rest is sent."""
    idle_seconds: bool
    """`Limits.idle_seconds` ends the wait for a silent client."""
    min_rate: bool
    """`Limits.min_rate` ends a client that drips."""
    progress: bool
    """`progress` is told of bytes while they arrive, and not when all of them are there."""
    drains: bool
    """A client that is still sending sees an early answer, and no reset. An answer of `receive`: what an application's
    own error handlers answer, it drains itself."""


def _row(adapter: str, server: str, *, can: bool) -> Capabilities:
    return Capabilities(
        adapter=adapter, server=server, refuses_early=can, idle_seconds=can, min_rate=can, progress=can, drains=can
    )


OTHER = "others"

CAPABILITIES = (
    *(_row(adapter, "uvicorn", can=True) for adapter in ("asgi", "starlette", "fastapi", "django under django.asgi()")),
    _row("django under ASGI alone", "uvicorn", can=False),  # Django takes the whole body before a view runs
    *(_row(adapter, "gunicorn", can=True) for adapter in ("wsgi", "flask", "django")),
    _row("flask", "werkzeug", can=True),
    # Servers of ASGI hand on what has come: granian and hypercorn were tried by hand. Of WSGI's only those two show
    # their socket.
    *(_row(adapter, OTHER, can=True) for adapter in ("asgi", "starlette", "fastapi", "django under django.asgi()")),
    *(_row(adapter, OTHER, can=False) for adapter in ("wsgi", "flask", "django")),
)


def capabilities(adapter: str, server: str) -> Capabilities:
    """Those of an adapter under a server, by the names of the table; a server that is not named there is "others".

    Raises `KeyError` where there is no such adapter.
    """
    rows = {(row.adapter, row.server): row for row in CAPABILITIES}
    return rows.get((adapter, server)) or rows[adapter, OTHER]


def as_table() -> str:
    """The table in Markdown."""
    flags = [field.name for field in fields(Capabilities)[2:]]
    lines = [["adapter", "server", *(f"`{flag}`" for flag in flags)], ["---"] * (len(flags) + 2)]
    lines += [
        [row.adapter, row.server, *("yes" if getattr(row, flag) else "no" for flag in flags)] for row in CAPABILITIES
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
