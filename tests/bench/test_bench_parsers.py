"""The bench itself: it runs, it believes no speed of a parser that miscounts, and it needs no peer."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.contestants import FLOOR, OURS, Contestant, Counts, Parse, contestants
from bench.measure import Cell, measured
from bench.parsers import installed, main
from bench.report import table, write
from bench.scenarios import Form, Scenario, scenarios
from bench.targets import verdicts
from bench.verdicts import CASES, Case, outcome

TINY = scenarios()["simple"]
WORST = scenarios()["cr"]


def miscounts(form: Form) -> Counts:
    """A parser that loses the last part."""
    return form.parts - 1, form.data


def loses_a_byte(form: Form) -> Counts:
    return form.parts, form.data - 1


def gives_up(form: Form) -> Counts:
    raise ValueError("not a form")


def one(name: str, parse: Parse, distribution: str | None = None) -> Contestant:
    return Contestant(name=name, distribution=distribution, make=lambda: parse)


def shown(lined_up: list[Contestant], scenario: Scenario = TINY) -> str:
    """What one round of a scenario prints."""
    cells = measured(scenario, installed(lined_up), rounds=1, seconds=0.001)
    return table(scenario, lined_up, cells)


def test_the_quick_bench_prints_a_speed_and_judges_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m bench.parsers --quick` works from a checkout, with uploadkit alone."""
    arguments = ["--quick", "--rounds", "1", "--scenario", TINY.name, "--contestant", FLOOR]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert TINY.title in printed
    [line] = [line for line in printed.splitlines() if line.startswith(f"  {OURS} ")]
    assert float(line.split()[1]) > 0


def test_a_wrong_count_is_a_failure_and_no_speed() -> None:
    """A parser that loses something is not fast."""
    lines = shown([one("loses-a-part", miscounts), one("loses-a-byte", loses_a_byte)]).splitlines()
    assert lines[-2].split(maxsplit=1) == ["loses-a-part", "wrong: 3 parts of 4"]
    assert lines[-1].split(maxsplit=1)[1].startswith("wrong: ")
    assert "MB/s" not in lines[-1] + lines[-2]


def test_an_error_is_a_refusal_and_no_speed() -> None:
    """What a parser does not read is said, whatever its errors are called."""
    assert shown([one("strict", gives_up)]).splitlines()[-1].split(maxsplit=1) == ["strict", "refused: ValueError"]


def test_a_peer_that_is_not_installed_is_listed_as_such() -> None:
    """The bench runs with the peers that are there."""
    missing = one("peer", miscounts, distribution="a-distribution-that-nobody-has")
    assert shown([missing]).splitlines()[-1].split(maxsplit=1) == ["peer", "not installed"]


def test_a_parser_of_ours_that_miscounts_misses_its_target() -> None:
    """`--check` fails where there is no speed to judge."""
    cells = measured(TINY, {OURS: miscounts}, rounds=1, seconds=0.001)
    [verdict] = verdicts([TINY], {TINY.name: cells}, {})
    assert not verdict.met


def test_worst_cases_are_judged_by_the_floor_and_by_their_growth() -> None:
    """Twice the floor's time and 4.5 times the time for four times the bytes are the bounds."""
    cells = {OURS: Cell(speeds=[50.0, 51.0]), FLOOR: Cell(speeds=[100.0, 102.0])}
    assert [verdict.met for verdict in verdicts([WORST], {WORST.name: cells}, {WORST.name: 4.6})] == [True, False]
    cells[FLOOR] = Cell(speeds=[101.0, 103.0])
    assert [verdict.met for verdict in verdicts([WORST], {WORST.name: cells}, {WORST.name: 4.5})] == [False, True]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_uploadkit_makes_of_a_body_what_the_standards_ask_for(case: Case) -> None:
    """The column of uploadkit in the table of verdicts is the column "right"."""
    [ours] = installed([contestant for contestant in contestants() if contestant.name == OURS]).values()
    assert outcome(ours, case) == case.right


def test_a_table_in_a_page_is_replaced_and_the_page_is_not(tmp_path: Path) -> None:
    """A new run changes the figures of the docs and no word around them."""
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- speeds: begin -->\nold\n<!-- speeds: end -->\n\nafter\n", encoding="utf-8")
    write(page, "speeds", "| new |")
    assert page.read_text(encoding="utf-8") == (
        "before\n\n<!-- speeds: begin -->\n\n| new |\n\n<!-- speeds: end -->\n\nafter\n"
    )
