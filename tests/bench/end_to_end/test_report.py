"""What a run says: targets, tables, charts, and who is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import bench.end_to_end.__main__ as program
import pytest
from bench.end_to_end.charts import Bar, chart
from bench.end_to_end.contestants import Contestant, contestants
from bench.end_to_end.forms import MIB
from bench.end_to_end.measure import Cell, Result, Run
from bench.end_to_end.report import table
from bench.end_to_end.scenarios import Scenario, scenarios
from bench.end_to_end.targets import verdicts

SVG = "{http://www.w3.org/2000/svg}"
LARGE, FORMS, AT_ONCE = (scenarios()[name] for name in ("large", "forms", "at-once"))
BY_NAME = {one.name: one for one in contestants()}


def cell(seconds: float, *, memory: float = 0, wait: float = 0.001) -> Cell:
    run = Run(cpu=seconds, wall=seconds, growth=round(memory * MIB), waits=(wait,))
    return Cell(runs=[run, run, run])


def judged(scenario: Scenario, cells: dict[str, Cell], hashing: float = 1.0) -> dict[str, bool]:
    """What was promised, without the scenario and the name, and whether it was kept."""
    result = Result(cells=cells, hashing=[hashing] * 3)
    found = verdicts([scenario], [BY_NAME[name] for name in cells], {scenario.name: result})
    return {verdict.promise.partition(": ")[2]: verdict.met for verdict in found}


@pytest.mark.parametrize(("seconds", "met"), [(0.6, True), (0.61, False)])
def test_a_large_file_costs_at_most_six_tenths_of_the_floor(seconds: float, met: bool) -> None:
    """The floor is the one on the same server."""
    found = judged(LARGE, {"uvicorn/floor": cell(1), "uvicorn/uploadkit-asgi": cell(seconds)})
    assert found["at most 0.6 x the CPU of uvicorn/floor"] is met


@pytest.mark.parametrize(("seconds", "met"), [(1.2, True), (1.21, False)])
def test_a_tuned_process_is_compared_with_a_tuned_floor(seconds: float, met: bool) -> None:
    """The plain floor is not what it is judged by."""
    cells = {
        "gunicorn/floor": cell(9),
        "gunicorn/floor+tuned": cell(1),
        "gunicorn/uploadkit-flask+tuned": cell(seconds),
    }
    assert judged(LARGE, cells) == {"at most 1.2 x the CPU of gunicorn/floor+tuned": met}


@pytest.mark.parametrize(("seconds", "met"), [(2.3, True), (2.32, False)])
def test_a_digest_adds_at_most_a_third_more_than_hashlib(seconds: float, met: bool) -> None:
    """What it adds is the difference of two runs of the same round."""
    cells = {"uvicorn/uploadkit-asgi": cell(1), "uvicorn/uploadkit-asgi+digest": cell(seconds)}
    assert judged(LARGE, cells)["adds at most 1.3 x the CPU of bare hashlib"] is met


@pytest.mark.parametrize(
    ("scenario", "memory", "met"), [(LARGE, 7.9, True), (LARGE, 8, False), (AT_ONCE, 29.9, True), (AT_ONCE, 30, False)]
)
def test_memory_is_judged_by_the_uploads_at_once(scenario: Scenario, memory: float, met: bool) -> None:
    """Less than 8 MiB for one upload, less than 3 MiB for each of ten."""
    found = judged(scenario, {"uvicorn/uploadkit-asgi": cell(1, memory=memory)})
    [kept] = [kept for promise, kept in found.items() if promise.startswith("memory grows")]
    assert kept is met


@pytest.mark.parametrize(("wait", "met"), [(0.0199, True), (0.02, False)])
def test_another_route_answers_within_20_ms(wait: float, met: bool) -> None:
    """While a large file arrives."""
    assert judged(LARGE, {"uvicorn/uploadkit-asgi": cell(1, wait=wait)})["p99 of the other route under 20 ms"] is met


def test_small_forms_are_judged_by_requests_a_second() -> None:
    """As many as Starlette's form() is enough, as many as Flask is not."""
    cells = {name: cell(1) for name in ("uvicorn/uploadkit-starlette", "uvicorn/starlette-form", "gunicorn/flask")}
    assert judged(FORMS, cells) == {
        "at least the requests/s of uvicorn/starlette-form": True,
        "more requests/s than gunicorn/flask": False,
    }


def test_ours_that_has_failed_has_missed() -> None:
    """There is no speed to judge, and `--check` fails."""
    failed = Cell(failure="wrong: 0 of 1 files")
    assert judged(LARGE, {"uvicorn/uploadkit-asgi": failed}) == {"wrong: 0 of 1 files": False}


def test_who_is_not_there_is_listed_with_the_reason() -> None:
    """A peer that is not installed is a line of the table, and no error."""
    peer = replace(BY_NAME["gunicorn/flask"], distributions=("a-distribution-that-nobody-has",))
    assert peer.missing() == "not installed: a-distribution-that-nobody-has"
    line = table(FORMS, [peer], Result(cells={}, hashing=[])).splitlines()[-1]
    assert line.split(maxsplit=1) == ["gunicorn/flask", "not installed: a-distribution-that-nobody-has"]


def test_a_chart_is_well_formed_and_its_bars_are_in_proportion() -> None:
    """An SVG file with a title, a bar and two texts for each value, and colours for both kinds of page."""
    bars = [Bar(label=f"<{value}&>", value=value, text=str(value), kind="peer") for value in (1.0, 3.0, 2.0)]
    root = ElementTree.fromstring(chart("a < b", bars))
    assert root.tag == f"{SVG}svg"
    assert [element.text for element in root.iter(f"{SVG}title")] == ["a < b"]
    assert [text for text in _texts(root) if text.startswith("<")] == ["<1.0&>", "<3.0&>", "<2.0&>"]
    lengths = [float(rect.attrib["width"]) for rect in root.iter(f"{SVG}rect") if rect.attrib.get("rx") == "2"]
    assert lengths == pytest.approx([lengths[1] / 3, lengths[1], lengths[1] / 3 * 2], abs=0.1)
    assert "prefers-color-scheme: dark" in "".join(root.itertext())


def test_a_chart_of_nothing_is_a_chart() -> None:
    """No bar, and no division by it."""
    ElementTree.fromstring(chart("nothing", []))
    ElementTree.fromstring(chart("nothing", [Bar(label="zero", value=0.0, text="0", kind="floor")]))


def test_tables_and_charts_are_written_and_a_missed_target_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--markdown` names the charts as the page finds them; `--check` ends with 1."""
    monkeypatch.setattr(program, "measured", _twice_the_floor)
    monkeypatch.setattr(Contestant, "missing", lambda self: None)
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    arguments = ["--scenario", "large", "--contestant", "uvicorn/floor", "--contestant", "uvicorn/uploadkit-asgi"]
    arguments += [
        "--folder",
        str(Path(__file__).parent),
        "--markdown",
        str(page),
        "--charts",
        str(tmp_path / "docs" / "charts"),
    ]
    assert program.main([*arguments, "--check"]) == 1
    assert program.main(arguments) == 0
    text = page.read_text(encoding="utf-8")
    assert "](charts/large.svg)" in text
    assert "| uvicorn/uploadkit-asgi | 512 |" in text
    assert "MISSED   2.00  large, uvicorn/uploadkit-asgi: at most 0.6 x the CPU of uvicorn/floor" in (
        capsys.readouterr().out
    )
    for picture in ("large.svg", "large-memory.svg", "large-p99.svg"):
        ElementTree.parse(tmp_path / "docs" / "charts" / picture)


def test_a_name_that_nobody_has_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt pattern would measure nothing, and look as if all were well."""
    with pytest.raises(SystemExit):
        program.main(["--contestant", "uvicron/*"])
    assert "no contestant is called uvicron/*" in capsys.readouterr().err


def test_everybody_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With the scenarios."""
    assert program.main(["--list"]) == 0
    words = capsys.readouterr().out.split()
    assert {*scenarios(), *BY_NAME} <= set(words)


def _twice_the_floor(scenario: Scenario, lined_up: Sequence[Contestant], folder: Path, *, rounds: int) -> Result:
    return Result(cells={one.name: cell(1 if "floor" in one.name else 2) for one in lined_up}, hashing=[])


def _texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]
