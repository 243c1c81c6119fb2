"""The command `uploadkit`. Each of its commands is a module: `add` says its arguments, one function runs it.

It is thin: what a command does is a function of the library. Names and texts of strangers reach the terminal through
`shown` alone, so that no file can write there, or colour, or turn around what stands beside it. What a command needs
of an optional package it imports when it runs.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import metadata

from ..errors import UploadError
from . import health, inspection, migration, reprocessing, serve, sweeping, tokens, worker
from .terminal import TROUBLE, CommandFailed, Parser, complain

INTERRUPTED = 130  # as shells tell SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command, and returns the status to exit with. `arguments` None are those of the process."""
    with (
        open(os.devnull, "w") as nowhere,  # for cron jobs and daemons, whose streams may be closed
        redirect_stdout(sys.stdout or nowhere),
        redirect_stderr(sys.stderr or nowhere),
    ):
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # for what its encoding does not have
        try:
            options = _parser().parse_args(arguments)
            status: int = options.run(options)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            return INTERRUPTED
        except CommandFailed as error:
            complain(str(error))
            return TROUBLE
        except UploadError as error:  # what a storage, a ledger or a queue could not do
            complain(f"{type(error).__name__}: {error}")
            return TROUBLE
        except OSError as error:  # of the output alone
            if not isinstance(error, BrokenPipeError):  # then whoever reads has seen enough, as `head` does
                complain(f"standard output: {error.strerror or error}")
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # for what is flushed at the end
            return TROUBLE


def _parser() -> Parser:
    parser = Parser(
        prog="uploadkit",
        description="Uploads for Flask, FastAPI and Django, from the command line.",
        epilog="uploadkit COMMAND --help says more of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"uploadkit {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (serve, tokens, inspection, migration, worker, health, sweeping, reprocessing):
        command.add(commands)
    return parser


def _version() -> str:
    try:
        return metadata.version("pyuploadkit")
    except metadata.PackageNotFoundError:  # its folder is only on the path
        return "(not installed)"
