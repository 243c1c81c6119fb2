"""`uploadkit migrate`: makes the tables of a ledger, or brings them up to date."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from .app import add_app, load_pipeline
from .terminal import OK, REFUSED, CommandFailed, Commands

if TYPE_CHECKING:
    from ..records.ledger import Ledger


def add(commands: Commands) -> None:
    """Adds the command with its arguments."""
    parser = commands.add_parser(
        "migrate",
        help="bring the tables of a ledger up to date",
        description="Makes the tables of a ledger, or brings them up to date, and says from which version to which.\n"
        "Those who do so at once wait for each other. One in SQLite does it by itself, at its first use.",
        epilog="examples:\n"
        "  uploadkit migrate --app app:pipeline\n"
        "  uploadkit migrate --config service.toml          of the upload service\n"
        "  uploadkit migrate --url postgresql://localhost/uploads\n"
        "  uploadkit migrate --app app:pipeline --check     in a deployment, before the new version starts\n"
        "\n"
        "status: 0 it is up to date, 1 it is not (--check), 2 the database cannot be used, or the command is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument("--url", help="the database, where there is no application: as Ledger(url) takes it")
    parser.add_argument("--check", action="store_true", help="change nothing, and say whether there is something to do")
    parser.set_defaults(run=_migrate, parser=parser)


def _migrate(options: argparse.Namespace) -> int:
    if options.url is not None and (options.app is not None or options.config is not None):
        options.parser.error("one of --app, --config and --url says which ledger")
    with closing(_ledger(options)) as ledger:
        from ..records.schema import VERSION

        try:
            before = ledger.version()
            if before == VERSION:
                print(f"the ledger is up to date, at version {VERSION}")
                return OK
            if options.check:
                print(f"the ledger {_at(before)}, and {VERSION} is up to date")
                return REFUSED
            ledger.migrate()
        except RuntimeError as error:  # it is of a newer version
            raise CommandFailed(str(error)) from error
        print(f"the ledger {_at(before)}, and is at version {VERSION} now")
    return OK


def _at(version: str | None) -> str:
    return "had no tables" if version is None else f"was at version {version}"


def _ledger(options: argparse.Namespace) -> Ledger:
    if options.url is None:
        return load_pipeline(options).ledger
    try:
        from ..records.ledger import Ledger

        return Ledger(options.url)
    except (ModuleNotFoundError, ValueError) as error:
        raise CommandFailed(str(error)) from error
