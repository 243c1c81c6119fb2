"""`uploadkit token`: makes a bearer token of the upload service."""

from __future__ import annotations

import argparse
import hashlib
import json
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

from .terminal import OK, Commands, argument

TOKEN_BYTES: Final = 32

MARK: Final = "uk_"
"""What a token begins with, so that people, and programs that look for leaked ones, know what it is."""


def add(commands: Commands) -> None:
    """Adds the command with its arguments."""
    parser = commands.add_parser(
        "token",
        help="make a bearer token for the upload service",
        description="Makes a bearer token. It is shown once, on the standard error; what is printed are the lines for\n"
        "the file of settings, which have its hash alone. Several tokens may be of one owner: to change one, add the\n"
        "new one, begin to use it, and take the old one away.",
        epilog="examples:\n"
        "  uploadkit token --owner ann --days 90 >> service.toml\n"
        "  curl -H 'Authorization: Bearer uk_...' -F file=@photo.jpg http://127.0.0.1:8000/uploads\n"
        "\n"
        "status: 0, or 2 where the command is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--owner", required=True, type=argument(_owner), help="whose uploads are meant by it")
    parser.add_argument("--days", type=argument(_days), metavar="N", help="for so many days; without it, for ever")
    parser.set_defaults(run=_token, parser=parser)


def _token(options: argparse.Namespace) -> int:
    token = MARK + secrets.token_urlsafe(TOKEN_BYTES)
    print(f"the token, which is not shown again: {token}", file=sys.stderr)
    print("\n[[tokens]]")
    print(f"owner = {json.dumps(options.owner, ensure_ascii=False)}")
    print(f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"')
    if options.days is not None:
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=options.days)
        print(f"expires_at = {expires.isoformat()}")
    return OK


def _owner(text: str) -> str:
    if not 1 <= len(text) <= 255 or not text.isprintable():
        raise ValueError("an owner is a name, of 1 to 255 characters that can be printed")
    return text


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 36500):
        raise ValueError(f"a token holds for 1 to 36500 days, and not {text!r}")
    return int(text)
