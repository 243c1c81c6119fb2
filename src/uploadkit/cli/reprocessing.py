"""`uploadkit reprocess`: does again what is stale."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import asdict

from ..records.lifecycle import State
from .app import add_app, load_pipeline, migrated
from .inspection import accepted
from .terminal import OK, CommandFailed, Commands, Ticker, argument, logged, shown


def add(commands: Commands) -> None:
    """Adds the command with its arguments."""
    parser = commands.add_parser(
        "reprocess",
        help="do again what is stale",
        description="Has those steps made that were added to the pipeline, or changed, since an upload was processed.\n"
        "What was made before is kept until the new one stands. With a queue the workers do it, else this command.",
        epilog="examples:\n"
        "  uploadkit reprocess --app app:pipeline --stale --dry-run\n"
        "  uploadkit reprocess --app app:pipeline --stale --type IMAGES --limit 1000\n"
        "  uploadkit reprocess --app app:pipeline --stale --state failed    tries again what has failed\n"
        "\n"
        "status: 0 done, 2 the ledger or the queue cannot be used, or the command is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument(
        "--stale", action="store_true", required=True, help="uploads for which a step is not done as it is now declared"
    )
    parser.add_argument(
        "--type",
        action="append",
        type=argument(accepted),
        metavar="TYPE",
        help="of these types alone: a media type, image/*, .pdf, or IMAGES, DOCUMENTS, VIDEOS, AUDIO; may be repeated",
    )
    parser.add_argument(
        "--state",
        type=argument(_states),
        default=(State.COMPLETED,),
        metavar="STATES",
        help="in these states: completed, failed, quarantined, with commas between them; completed is the default",
    )
    parser.add_argument("--limit", type=argument(_limit), metavar="N", help="at most so many uploads, the newest first")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, and say which uploads are stale")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=_reprocess, parser=parser)


def _states(text: str) -> tuple[State, ...]:
    try:
        return tuple(State(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is no state of an upload, such as completed") from None


def _limit(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number")
    return int(text)


def _reprocess(options: argparse.Namespace) -> int:
    with logged(), closing(load_pipeline(options)) as pipeline:
        from ..processing.reprocessing import reprocess

        migrated(pipeline)
        ticker = Ticker()
        try:
            done = reprocess(
                pipeline,
                accept=options.type,
                states=options.state,
                limit=options.limit,
                dry_run=options.dry_run,
                on_progress=ticker,
            )
        except ValueError as error:
            raise CommandFailed(str(error)) from error
        finally:
            ticker.end()
    if options.json:
        print(json.dumps({"dry_run": options.dry_run, **asdict(done)}))
        return OK
    print(f"{done.stale:,} of {done.looked:,} uploads {'are stale' if options.dry_run else 'are processed again'}")
    if options.dry_run:
        for name in done.names:
            print(f"  {shown(name)}")
    return OK
