"""The urlencoded parser: one outcome however a body is cut, and the standard library reads the same values."""

from __future__ import annotations

from itertools import takewhile

from tests.multipart.outcomes import URLENCODED, cut_at, in_pieces, outcome, parts_of
from tests.multipart.promises import check_order, is_name, standard_library
from tests.multipart.test_urlencoded import CASES

from uploadkit.multipart.events import FormParser
from uploadkit.multipart.urlencoded import UrlencodedParser
from uploadkit.policy.limits import Limits

from .choices import Choices
from .multipart import check_bounds

LIMITS = (Limits(field_name_size=None), Limits(), Limits(field_name_size=3), Limits(field_name_size=0))
_OWN_PARAMETERS = 3

WORDS = (b"%41", b"%", b"%4", b"%E2%82%AC", b"+", b"&", b"&&", b"=", b";", b"%00", b"%ff", b"charset=utf-8")
SEEDS = (
    *(bytes(3) + case.body for case in CASES.values()),
    *(bytes([limits, 0, 1, 0, 3]) + b"abcd=%41%42&%61%62%63%64=1" for limits in range(len(LIMITS))),
    bytes([0, _OWN_PARAMETERS]) + b'; charset="utf-8"; x="a;b"\n\0a=1',
    bytes([0, _OWN_PARAMETERS]) + b"; charset=latin-1\n\0a=1",
)


def check(data: bytes) -> None:
    """Limits, perhaps the parameters of the Content-Type on a line of their own, the cuts, and the body."""
    choices = Choices(data)
    limits = choices.of(LIMITS)
    own = choices.number(_OWN_PARAMETERS + 1) == _OWN_PARAMETERS
    content_type = URLENCODED + (choices.line().decode("latin-1") if own else "")
    cuts, body = choices.cuts(), choices.rest()

    def fresh() -> FormParser:
        return UrlencodedParser(content_type, limits)

    whole = outcome(fresh, [body])
    check_order(whole.events, complete=whole.failure is None)
    check_bounds(whole, body, limits)
    assert outcome(fresh, in_pieces(body, 1)) == whole
    assert outcome(fresh, cut_at(body, cuts)) == whole
    if not own and limits.field_name_size is None:
        theirs = standard_library(body)
        expected = list(takewhile(lambda pair: is_name(pair[0]), theirs))
        assert [(part.name.encode(), part.data) for part in parts_of(whole)] == expected
        assert (whole.failure is None) == (len(expected) == len(theirs))
