"""`uploadkit doctor`: whether a pipeline can do its work."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from .app import add_app, load_pipeline
from .terminal import OK, REFUSED, TROUBLE, Commands, shown

if TYPE_CHECKING:
    from ..processing.doctor import Finding

_STATUS = {"ok": OK, "warning": REFUSED, "failed": TROUBLE}


def add(commands: Commands) -> None:
    """Adds the command with its arguments."""
    parser = commands.add_parser(
        "doctor",
        help="look whether a pipeline can do its work",
        description="Looks at the packages, the ledger, the queue and its workers, every storage, the clocks, and at\n"
        "what is left that should be gone. Changes nothing but its probes: an object in each storage, which it\n"
        "removes. Takes a few seconds, whether anybody answers or not.",
        epilog="examples:\n"
        "  uploadkit doctor --app app:pipeline\n"
        "  uploadkit doctor                        of the upload service, in its folder\n"
        "  uploadkit doctor --app app:pipeline --json | jq -r 'select(.level != \"ok\") | .text'\n"
        "\n"
        "status: 0 all is well, 1 there are warnings, 2 something does not work, or the command is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each finding, each on one line")
    parser.set_defaults(run=_doctor, parser=parser)


def _doctor(options: argparse.Namespace) -> int:
    with closing(load_pipeline(options)) as pipeline:
        from ..processing.doctor import doctor

        findings = [replace(each, advice=_meant(each.advice, options)) for each in doctor(pipeline)]
        for finding in findings:
            if options.json:
                print(json.dumps(asdict(finding)))
            else:
                _show(finding)
    return max((_STATUS[finding.level] for finding in findings), default=OK)


def _meant(advice: str | None, options: argparse.Namespace) -> str | None:
    """With the words by which other commands find the same pipeline. A service has a worker of its own."""
    if advice is None:
        return None
    if options.app is not None:
        return advice.replace("MODULE:NAME", options.app)
    file = "" if options.config is None else f" --config {options.config}"
    advice = advice.replace(" --app MODULE:NAME", file)
    return advice.replace("uploadkit worker", f"uploadkit serve{file}, or beside it uploadkit worker")


def _show(finding: Finding) -> None:
    print(f"{finding.level:<8} {shown(finding.name)}: {shown(finding.text)}")
    if finding.advice is not None:
        print(f"{'':8} {'':{len(shown(finding.name))}}  {shown(finding.advice)}")
