"""`uploadkit sweep`: removes what is over, and goes on with what was lost."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from .app import add_app, load_pipeline, migrated
from .terminal import OK, TROUBLE, Commands, Ticker, argument, complain, duration, logged, shown

if TYPE_CHECKING:
    from ..processing.upkeep import Swept

_TEXTS = {
    "staging": "objects in staging that dead processes have left",
    "unended": "uploads that never ended",
    "expired": "uploads whose time was over",
    "unremoved": "uploads that were gone, and whose bytes were not",
    "unfinished": "steps that were begun and left something",
    "stuck": "uploads that the queue had lost",
    "orphans": "objects that belong to no upload",
    "workers": "workers that have died",
    "told": "facts that were still to be told",
    "forgotten": "records of uploads that are over",
}

_IN_STAGING = "objects in staging, of live uploads and of such as rest as well"
"""Of a dry run: which of them are of dead processes is seen by removing them."""


def add(commands: Commands) -> None:
    """Adds the command with its arguments."""
    parser = commands.add_parser(
        "sweep",
        help="remove what is over, and go on with what was lost",
        description="Removes what processes that died have left, and what is over: staging, uploads that never ended,\n"
        "uploads that have expired, bytes of uploads that are gone. Goes on with uploads that the queue has lost, and\n"
        "tells facts that nobody was told. It may run beside live uploads, and beside another sweep: once in an hour.",
        epilog="examples:\n"
        "  uploadkit sweep --app app:pipeline --dry-run            what it would do\n"
        "  uploadkit sweep --app app:pipeline\n"
        "  uploadkit sweep --app app:pipeline --orphans            objects of nobody too: see below\n"
        "  uploadkit sweep --app app:pipeline --forget-after 90d   records of uploads that are over, too\n"
        "  17 * * * *  cd /srv/app && venv/bin/uploadkit sweep --app app:pipeline      (in a crontab)\n"
        "\n"
        "--orphans removes every object of the application's storages that is old enough and belongs to no upload of\n"
        "its ledger. That is right only where nobody else keeps objects there. Without it they are counted.\n"
        "\n"
        "status: 0 all of it is done, 2 something could not be done and is tried again by the next one, or the\n"
        "command is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument("--dry-run", action="store_true", help="change nothing, and say what would be done")
    parser.add_argument(
        "--older-than",
        type=argument(duration),
        default=86400.0,
        metavar="TIME",
        help="nothing younger is removed, but for what says itself that it is over; longer than an upload and its "
        "handler take: 1d, which is the default, or 90s, 15m, 12h",
    )
    parser.add_argument("--orphans", action="store_true", help="remove objects that belong to no upload")
    parser.add_argument(
        "--forget-after",
        type=argument(duration),
        metavar="TIME",
        help="forget uploads that have failed, or are gone, and did not change for so long: 90d",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, with every name that is known")
    parser.set_defaults(run=_sweep, parser=parser)


def _sweep(options: argparse.Namespace) -> int:
    with logged(), closing(load_pipeline(options)) as pipeline:
        from ..processing.upkeep import sweep

        migrated(pipeline)
        ticker = Ticker()
        try:
            swept = sweep(
                pipeline,
                older_than_seconds=options.older_than,
                dry_run=options.dry_run,
                orphans=options.orphans,
                forget_after_seconds=options.forget_after,
                on_progress=ticker,
            )
        finally:
            ticker.end()
    if options.json:
        print(json.dumps({"dry_run": options.dry_run, **asdict(swept)}))
    else:
        _show(swept, is_dry=options.dry_run)
    if swept.failures:
        complain(f"{swept.failures:,} could not be done; the next sweep tries again")
        return TROUBLE
    return OK


def _show(swept: Swept, *, is_dry: bool) -> None:
    found = [(part, getattr(swept, part)) for part in _TEXTS if getattr(swept, part)]
    if not found:
        print("nothing to do")
    for part, count in found:
        kept = part == "orphans" and swept.are_orphans_kept and not is_dry
        text = _IN_STAGING if part == "staging" and is_dry else _TEXTS[part]
        print(f"{count:>8,}  {text}{', which --orphans removes' if kept else ''}")
        if is_dry:
            names = swept.names.get(part, ())
            for name in names:
                print(f"{'':10}  {shown(name)}")
            if 0 < len(names) < count:
                print(f"{'':10}  and more")
