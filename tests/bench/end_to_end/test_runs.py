"""A run over real sockets: what is stored is looked at, and whoever stores anything else has no speed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bench.end_to_end.contestants import Contestant, Role, contestants
from bench.end_to_end.forms import KIB, MIB, Load
from bench.end_to_end.measure import Cell, Result, Run, cpu, growth, measured, p99, wall
from bench.end_to_end.processes import peak, resident
from bench.end_to_end.report import table
from bench.end_to_end.scenarios import Scenario
from bench.end_to_end.servers import Kind

pytestmark = pytest.mark.needs("linux")

TEXTS = Scenario(name="tiny", load=Load(requests=5, size=30 * KIB, texts=True, connections=2), rounds=1, small=True)
FILES = Scenario(name="files", load=Load(requests=3, size=MIB + 1, connections=3), rounds=1, asks=True)

FORGER = Kind(
    name="forger",
    command=lambda app, port: [sys.executable, str(Path(__file__).with_name("forger.py")), str(port), app],
    versions=lambda: {"python": "any"},
)
DEEDS = ("is honest", "flips a bit", "stores nothing", "stores twice", "makes texts up", "fails", "does not start")


def test_a_server_that_stores_what_it_should_has_a_speed(real: Result) -> None:
    """uploadkit and the floor under uvicorn, by their real commands."""
    for cell in real.cells.values():
        assert cell.failure is None
        assert cell.median(cpu) > 0
        assert cell.median(wall) > 0
        assert cell.median(growth) >= 0


def test_hashing_is_measured_beside_a_digest(real: Result) -> None:
    """The cost of a digest is compared with the same bytes in bare hashlib, in the same round."""
    assert len(real.hashing) == 1


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("flips a bit", "wrong: 0 of 3 files stored as they were sent, 3 in all"),
        ("stores nothing", "wrong: 0 of 3 files stored as they were sent, 0 in all"),
        ("stores twice", "wrong: 3 of 3 files stored as they were sent, 6 in all"),
        ("makes texts up", "wrong: the text values"),
        ("fails", "failed: answered 500"),
        ("does not start", "there is a reason for it"),
    ],
)
def test_whoever_does_not_do_it_right_has_failed(forged: Result, deed: str, reason: str) -> None:
    """A wrong byte, a file too few or too many, a wrong text, a status, a server that ends: none has a speed."""
    cell = forged.cells[f"forger/{deed}"]
    assert cell.failure is not None
    assert cell.failure.startswith(reason)
    assert str(cell.median(cpu)) == "nan"
    [line] = [line for line in table(FILES, forgers(), forged).splitlines() if deed in line]
    assert reason in line


def test_another_route_is_asked_meanwhile(forged: Result) -> None:
    """Its waits are of the run."""
    honest = forged.cells["forger/is honest"]
    assert honest.failure is None
    assert all(0 < wait < 10 for wait in honest.runs[0].waits)


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    """What a run stores and what it warms the disk with is removed."""
    honest, *_ = forgers()
    measured(TEXTS, [honest], tmp_path, rounds=1)
    assert list(tmp_path.iterdir()) == []


def test_peaks_are_of_all_processes_together() -> None:
    """A process's peak is not below what it holds now."""
    me = [*map(int, Path("/proc/self/stat").read_text().split()[:1])]
    assert peak(me) >= resident(me) > MIB
    assert peak(me * 2) >= 2 * resident(me)


def test_ratios_are_those_of_one_round() -> None:
    """A machine that is slow for a round is slow for both."""
    ours, theirs = Cell(), Cell()
    for factor in (1, 5, 2):
        ours.runs.append(_run(3.0 * factor))
        theirs.runs.append(_run(2.0 * factor))
    assert ours.ratio(theirs, cpu) == 1.5
    theirs.failure = "wrong"
    assert str(ours.ratio(theirs, cpu)) == "nan"


def test_a_percentile_is_a_wait_that_happened() -> None:
    """p99 of a hundred waits is the second longest."""
    waits = tuple(number / 1000 for number in range(100, 0, -1))
    assert p99(_run(1.0, waits)) == 0.099


def forgers() -> list[Contestant]:
    return [Contestant(server=FORGER, called=deed, role=Role.PEER, application=deed) for deed in DEEDS]


def _run(seconds: float, waits: tuple[float, ...] = ()) -> Run:
    return Run(cpu=seconds, wall=seconds, growth=0, waits=waits)


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return measured(FILES, forgers(), tmp_path_factory.mktemp("forged"), rounds=1)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Result:
    wanted = ("uvicorn/floor", "uvicorn/uploadkit-asgi+digest")
    lined_up = [one for one in contestants() if one.name in wanted]
    return measured(TEXTS, lined_up, tmp_path_factory.mktemp("real"), rounds=1)
