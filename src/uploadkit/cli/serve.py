"""`uploadkit serve`: runs the upload service."""

from __future__ import annotations

import argparse
import traceback
from typing import TYPE_CHECKING, Any

from .terminal import OK, TROUBLE, CommandFailed, Commands, Parser, complain

if TYPE_CHECKING:
    from ..service.settings import Loaded


def add(commands: Commands) -> None:
    """Adds the command; its flags are those of the settings, which need an optional package."""
    parser = commands.add_parser(
        "serve",
        help="run the upload service",
        description="Runs the upload service: web processes, a worker, and the server of their queue, until SIGTERM\n"
        "or SIGINT (Ctrl-C) tells it to end. Then it takes nothing new, and gives what it is at its time. A second\n"
        "signal ends it at once. Settings come from flags, the environment and a file of TOML, in this order.",
        epilog="examples:\n"
        "  uploadkit serve                                    on this machine, for this machine\n"
        "  uploadkit serve --port 9000 --data /srv/uploads --workers 4\n"
        "  uploadkit serve --config service.toml --host 0.0.0.0\n"
        "  uploadkit serve --config service.toml --show-settings\n"
        "\n"
        "status: 0 it has ended as it was told, 2 it cannot begin, or go on, 128 and the number of the signal where a\n"
        "second one came.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.later = _add_settings
    parser.set_defaults(run=_serve, parser=parser)


def _add_settings(parser: Parser) -> None:
    from ..service.settings import FILE_VARIABLE, settings_of

    parser.add_argument("--config", metavar="FILE", help=f"the file of settings, in TOML; or {FILE_VARIABLE}")
    parser.add_argument("--show-settings", action="store_true", help="print what holds, and where it was said, and end")
    settings = parser.add_argument_group("settings")
    for setting in settings_of():
        if setting.flag is None:
            continue
        options: dict[str, Any] = {"dest": f"setting_{setting.name}", "default": None}
        if setting.kind == "switch":
            options["action"] = argparse.BooleanOptionalAction
        else:
            options |= {"choices": setting.choices, "metavar": None if setting.choices else "VALUE"}
        has_none = setting.kind == "switch" or setting.default in (None, ())
        default = "" if has_none else f"; {setting.default} is the default"
        settings.add_argument(setting.flag, help=f"{setting.description}{default}".replace("%", "%%"), **options)


def _serve(options: argparse.Namespace) -> int:
    """Returns when the service has ended."""
    flags = {name.removeprefix("setting_"): value for name, value in vars(options).items() if "setting_" in name}
    loaded = load_settings(options.config, flags)
    for text in loaded.misspelt:
        complain(text)
    if options.show_settings:
        print(*loaded.lines(), sep="\n")
        return OK
    try:
        from ..service.tree import ServeFailed, serve
    except ModuleNotFoundError as missing:  # an extra, which it names
        raise CommandFailed(str(missing)) from missing
    try:
        return serve(loaded.settings, say=lambda line: print(line, flush=True))
    except ServeFailed as error:
        raise CommandFailed(str(error)) from error
    except OSError:  # which `main` would take for one of the output
        traceback.print_exc()
        return TROUBLE


def load_settings(file: str | None, flags: dict[str, Any] | None = None) -> Loaded:
    """The settings of the service. Raises `CommandFailed`."""
    try:
        from ..service.settings import Loaded, SettingsWrong
    except ModuleNotFoundError as missing:
        raise CommandFailed(str(missing)) from missing
    try:
        return Loaded.of(file, flags or {})
    except SettingsWrong as error:
        *others, last = str(error).splitlines()
        for line in others:
            complain(line)
        raise CommandFailed(last) from error
