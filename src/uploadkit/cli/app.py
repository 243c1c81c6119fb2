"""The pipeline of an application, as the commands that work on one are told of it: `--app module:attribute`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..processing.app import EXAMPLE, AppNotFound
from ..processing.app import load_app as found
from .terminal import CommandFailed, Parser

if TYPE_CHECKING:
    from ..processing.pipeline import Pipeline


def add_app(parser: Parser, *, required: bool = True) -> None:
    """Adds `--app`."""
    parser.add_argument(
        "--app",
        required=required,
        metavar="MODULE:NAME",
        help=f"where the application has its pipeline, {EXAMPLE}; modules of this folder come first",
    )


def load_app(name: str) -> Pipeline:
    """The pipeline that `module:attribute` names. Raises `CommandFailed`, which says what is wrong in one line; what an
    application itself has raised has no traceback there, in any command."""
    try:
        return found(name)
    except AppNotFound as error:
        raise CommandFailed(f"--app: {error}") from error


def migrated(pipeline: Pipeline) -> None:
    """Raises `CommandFailed` where the tables of the ledger are not there, or not up to date."""
    try:
        pipeline.ledger.untold()
    except RuntimeError as error:
        raise CommandFailed(f"{error} (uploadkit migrate)") from error
