"""The bench of S3: what is stored is looked at, the S3 that costs nothing counts well, and targets are judged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bench.end_to_end.forms import MIB, Load
from bench.end_to_end.measure import Cell, Run
from bench.s3.__main__ import main
from bench.s3.contestants import Contestant, Role, contestants
from bench.s3.measure import _around, measured
from bench.s3.null import Line
from bench.s3.report import markdown, table
from bench.s3.scenarios import Scenario, scenarios
from bench.s3.source import Source
from bench.s3.stores import BUCKET, NULL, WEED, Store, standing
from bench.s3.targets import verdicts

pytestmark = pytest.mark.needs("linux")

BY_NAME = {one.name: one for one in contestants()}
LARGE = scenarios()["large"]
TINY = Scenario(name="tiny", load=Load(requests=2, size=6 * MIB, connections=2), store=NULL, rounds=1, growth_mib=64)
FORGER = Contestant(name="memory/forger", role=Role.MEMORY, application="tests.bench.s3.forger")


def cell(seconds: float, *, memory: float = 1) -> Cell:
    run = Run(cpu=seconds, wall=seconds, growth=round(memory * MIB))
    return Cell(runs=[run, run])


def test_who_sends_what_it_should_has_a_speed(tmp_path: Path) -> None:
    """uploadkit in a server and boto3 from memory, by their real commands."""
    chosen = [BY_NAME[name] for name in ("fastapi/uploadkit", "memory/boto3")]
    cells = measured(TINY, chosen, tmp_path, tmp_path, rounds=1)
    assert [each.failure for each in cells.values()] == [None, None]
    assert all(each.runs[0].wall > 0 and each.runs[0].behind > 0 for each in cells.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak  # each starts an S3 and an application
@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("flips a bit", "wrong: what is stored is not what was sent"),
        ("stores nothing", "wrong: objects of [] bytes"),
        ("stores twice", f"wrong: objects of {[6 * MIB] * 2} bytes"),
        ("leaves an upload open", "wrong: 1 uploads are still open"),
        ("fails", "failed: ValueError('there is a reason for it')"),
    ],
)
def test_whoever_does_not_do_it_right_has_failed(
    deed: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong byte, an object too few or too many, an upload that nobody ended, an error: none has a speed."""
    monkeypatch.setenv("FORGER", deed)
    scenario = replace(TINY, load=Load(requests=1, size=6 * MIB), store=WEED)
    cells = measured(scenario, [FORGER], tmp_path, tmp_path, rounds=1)
    failure = cells[FORGER.name].failure
    assert failure is not None
    assert failure.startswith(reason)
    assert reason.partition(":")[0] in table(scenario, [FORGER], cells)


def test_the_s3_that_costs_nothing_counts_what_it_is_sent(null: Store) -> None:
    """Small objects and parts, each with its size; what is deleted or given up is gone."""
    s3 = null.client
    s3.put_object(Bucket=BUCKET, Key="small", Body=b"12345")
    begun = s3.create_multipart_upload(Bucket=BUCKET, Key="large")
    given_up = s3.create_multipart_upload(Bucket=BUCKET, Key="given up")
    place = {"Bucket": BUCKET, "Key": "large", "UploadId": begun["UploadId"]}
    for number in (1, 2):
        s3.upload_part(**place, PartNumber=number, Body=bytes(1000 * number))
    assert len(s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]) == 2
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"ETag": "0", "PartNumber": 1}]})
    s3.abort_multipart_upload(Bucket=BUCKET, Key="given up", UploadId=given_up["UploadId"])
    assert s3.head_object(Bucket=BUCKET, Key="large")["ContentLength"] == 3000
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    s3.delete_object(Bucket=BUCKET, Key="small")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["large"]


def test_a_line_takes_its_time() -> None:
    """So many MiB a second of all together; a line of any speed takes none."""
    start = time.monotonic()
    Line(0).carry(2**40)
    line = Line(100)
    for _ in range(8):
        line.carry(MIB)
    assert time.monotonic() - start >= 0.08


def test_a_source_is_a_file_over_its_pieces() -> None:
    """It reads across their seams, from everywhere, and ends where they end."""
    whole = bytes(range(10))
    source = Source([memoryview(whole[:3]), memoryview(b""), memoryview(whole[3:4]), memoryview(whole[4:])])
    for start in range(11):
        for size in (1, 4, 20):
            source.seek(start)
            assert source.read(size) == whole[start : start + size]
    assert source.seek(-2, 2) == 8
    assert source.read() == whole[8:]


def test_those_that_are_compared_run_one_after_the_other() -> None:
    """In every round, but where the ring is cut; and each round begins elsewhere."""
    ring = contestants()
    orders = [_around(ring, number) for number in range(len(ring))]
    assert len({order[0].name for order in orders}) > len(ring) // 2
    for ours in (one for one in ring if one.role is Role.OURS):
        for rival in ours.rivals:
            places = [[one.name for one in order] for order in orders]
            assert sum(abs(names.index(ours.name) - names.index(rival)) == 1 for names in places) >= len(ring) - 1


@pytest.mark.parametrize(("seconds", "met"), [(1.11, True), (1.12, False)])
def test_ours_has_nine_tenths_of_the_speed_from_memory(seconds: float, met: bool) -> None:
    """Of boto3, which has no server before it."""
    assert judged({"memory/boto3": cell(1), "fastapi/uploadkit": cell(seconds)})[0] is met


@pytest.mark.parametrize(("seconds", "met"), [(1.5, True), (1.49, False)])
def test_ours_is_half_as_fast_again_as_the_usual_way(seconds: float, met: bool) -> None:
    """Behind the same server."""
    assert judged({"flask/usual": cell(seconds), "flask/uploadkit": cell(1)})[0] is met


@pytest.mark.parametrize(("memory", "met"), [(63.9, True), (64, False)])
def test_memory_is_judged(memory: float, met: bool) -> None:
    """Everywhere, with or without a rival."""
    assert judged({"flask/uploadkit": cell(1, memory=memory)}) == [met]


def test_where_s3_costs_nothing_no_speed_is_judged() -> None:
    """What is seen there is the price of who sends."""
    cells = {"memory/boto3": cell(1), "fastapi/uploadkit": cell(9)}
    assert judged(cells, scenarios()["large/null"]) == [True]


def test_ours_that_has_failed_has_missed() -> None:
    """There is no speed to judge, and `--check` fails."""
    assert judged({"flask/uploadkit": Cell(failure="wrong")}) == [False]


def test_a_page_has_the_tables_and_what_was_missed() -> None:
    """A contestant that has failed has its reason for a row."""
    cells = {"memory/boto3": cell(1), "fastapi/uploadkit": cell(9), "flask/usual": Cell(failure="wrong | at all")}
    chosen = [BY_NAME[name] for name in cells]
    found = verdicts([LARGE], chosen, {"large": cells})
    page = markdown([LARGE], chosen, {"large": cells}, found, disk="ext4", memory="tmpfs")
    assert "### One file of 1 GiB, to SeaweedFS" in page
    assert "| flask/usual | wrong / at all |" in page
    assert "x the MiB/s of memory/boto3 | 0.11 | missed |" in page


def test_what_there_is_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list`, and a name that nobody has."""
    assert main(["--list"]) == 0
    assert "fastapi/uploadkit" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--contestant", "nobody"])


def judged(cells: dict[str, Cell], scenario: Scenario = LARGE) -> list[bool]:
    found = verdicts([scenario], [BY_NAME[name] for name in cells], {scenario.name: cells})
    return [verdict.met for verdict in found]


@pytest.fixture
def null(tmp_path: Path) -> Iterator[Store]:
    with standing(NULL, tmp_path) as store:
        yield store
