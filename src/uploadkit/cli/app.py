"""The pipeline that a command works on: an application's, `--app module:attribute`, or the upload service's own."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ..processing.app import EXAMPLE, AppNotFound
from ..processing.app import load_app as found
from .serve import load_settings
from .terminal import CommandFailed, Parser

if TYPE_CHECKING:
    from ..processing.pipeline import Pipeline
    from ..service.settings import Settings


def add_app(parser: Parser) -> None:
    """Adds `--app`, and `--config` in its place."""
    parser.add_argument(
        "--app",
        metavar="MODULE:NAME",
        help=f"where the application has its pipeline, {EXAMPLE}; modules of this folder come first; without it that "
        "of the upload service",
    )
    parser.add_argument("--config", metavar="FILE", help="the file of settings of the upload service, in TOML")


def load_pipeline(options: argparse.Namespace) -> Pipeline:
    """The one that is meant. Raises `CommandFailed`."""
    return load_service(options.config) if options.app is None else load_app(options.app)


def load_service(file: str | None) -> Pipeline:
    """That of the upload service, by its settings, which are in the environment from here on: processes that this one
    starts have the same. Raises `CommandFailed`, also where there is no service yet."""
    settings = load_settings(file).settings
    if settings.database_url is None and not settings.data.is_dir():
        raise CommandFailed(
            f"there is no upload service in {settings.data}: name its folder by UPLOADKIT_DATA, its file of settings "
            f"by --config, or an application by --app, {EXAMPLE}"
        )
    _into_environment(settings)
    try:
        from ..service.jobs import APP

        return load_app(APP)
    except (ModuleNotFoundError, ValueError) as error:
        raise CommandFailed(str(error)) from error


def _into_environment(settings: Settings) -> None:
    environment = settings.environment(os.environ)
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


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
