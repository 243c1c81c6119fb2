"""`ImageCheck` on pictures as people send them and on files that are none: what is let in, what refuses, what stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from tests.content.pictures import BAD, GOOD, JPEG, PNG, animated, drawn, real_bomb, written

from uploadkit import DiskStorage, FileRefused, IncomingFile, MemoryStorage, UploadedFile, Uploader, receive
from uploadkit.content.images import FORMATS, ImageCheck
from uploadkit.content.sandbox import Sandbox, default_sandbox
from uploadkit.policy.signatures import detect
from uploadkit.testing import FormBuilder, assert_no_leaks


def sent(storage: MemoryStorage | DiskStorage, data: bytes, filename: str, check: ImageCheck) -> UploadedFile:
    """What comes of a form with this file."""
    form = FormBuilder().file("photo", data, filename=filename)
    return receive(Uploader(storage).single("photo", check=check), form.content_type, [form.body])


def incoming(data: bytes, filename: str) -> IncomingFile:
    head = data[:8192]
    return IncomingFile(
        id="1",
        field="photo",
        filename=filename,
        client_filename=filename,
        content_type=detect(head),
        declared_type=None,
        head=head,
    )


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_is_let_in(name: str) -> None:
    """Whatever phones, cameras and programs write."""
    filename, make = GOOD[name]
    data, storage = make(), MemoryStorage()  # made once: a profile of colours has the second in which it was made
    with assert_no_leaks(storage):
        stored = sent(storage, data, filename, ImageCheck())
    assert stored.read() == data


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_good_picture_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    """By the filter that says why, with the type that was found, and no path in the text."""
    filename, code, make = BAD[name]
    storage = DiskStorage(tmp_path)
    with assert_no_leaks(storage), pytest.raises(FileRefused) as refused:
        sent(storage, make(), filename, ImageCheck())
    assert refused.value.filter == code
    assert refused.value.field == "photo"
    assert refused.value.status == (415 if code in ("image_format", "image_extension") else 422)
    assert refused.value.detected == detect(make()[:8192])
    assert str(refused.value).startswith("file 'photo' ")
    assert [*storage.list()] == []


@pytest.mark.needs("linux")
@pytest.mark.parametrize("name", BAD)
def test_a_verdict_takes_little(name: str) -> None:
    """At most half a second of the child's processor and 16 MiB of this process, for a file that is hostile."""
    filename, code, make = BAD[name]
    data = make()
    file, sandbox = incoming(data, filename), default_sandbox()
    check = ImageCheck(sandbox=sandbox)
    check.examine(incoming(PNG, "a.png"), BytesIO(PNG))  # now there is a child, and it has imported what it needs
    before = processor_seconds(sandbox)
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused) as refused:
            check.examine(file, BytesIO(data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.filter == code
    assert processor_seconds(sandbox) - before <= 0.5
    assert peak <= 16 * 2**20


def processor_seconds(sandbox: Sandbox) -> float:
    """Of its children until now."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in sandbox.pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_that_is_named_is_let_in_and_no_other(format: str) -> None:
    """Every format that can be read can be named."""
    data = written(drawn(), format.upper())
    ImageCheck(formats=[format]).examine(incoming(data, f"a.{format}"), BytesIO(data))
    others = [name for name in FORMATS if name != format]
    with pytest.raises(FileRefused) as refused:
        ImageCheck(formats=others).examine(incoming(data, f"a.{format}"), BytesIO(data))
    assert refused.value.filter == "image_format"


def test_frames_are_counted_in_formats_that_only_their_decoder_knows() -> None:
    """Of AVIF no more are counted than may be."""
    data = animated("AVIF", 6, (16, 16))
    ImageCheck(max_frames=6).examine(incoming(data, "a.avif"), BytesIO(data))
    with pytest.raises(FileRefused) as refused:
        ImageCheck(max_frames=5).examine(incoming(data, "a.avif"), BytesIO(data))
    assert refused.value.filter == "image_max_frames"


def test_the_most_pixels_fit_into_the_memory_of_a_child() -> None:
    """Of WebP as well, whose decoder holds a picture three times: 7071 x 7071 that are seen through, in 34 bytes."""
    data = bytes.fromhex("524946461a000000574542505650384c0d0000002f9e9be716071011118888fe0700")
    sandbox = Sandbox(processes=1)
    ImageCheck(sandbox=sandbox).examine(incoming(data, "a.webp"), BytesIO(data))
    sandbox.close()


def test_a_limit_that_is_exactly_reached_is_fine() -> None:
    """60 x 40 pixels: one less of anything refuses it."""
    fits = ImageCheck(max_pixels=2400, max_side=60, min_side=40)
    fits.examine(incoming(JPEG, "a.jpg"), BytesIO(JPEG))
    for tighter, code in (
        (ImageCheck(max_pixels=2399), "image_max_pixels"),
        (ImageCheck(max_side=59), "image_max_side"),
        (ImageCheck(min_side=41), "image_min_side"),
    ):
        with pytest.raises(FileRefused) as refused:
            tighter.examine(incoming(JPEG, "a.jpg"), BytesIO(JPEG))
        assert refused.value.filter == code
        assert "60 x 40" in str(refused.value)


def test_a_bomb_that_may_be_that_large_ends_its_child_and_not_this_process() -> None:
    """Where the limits let 196 million pixels through, the memory of a child does not."""
    sandbox = Sandbox(processes=1, memory="64 MiB")
    check = ImageCheck(max_pixels=10**9, sandbox=sandbox)
    with pytest.raises(FileRefused, match="takes too much memory to decode") as refused:
        check.examine(incoming(real_bomb(), "a.png"), BytesIO(real_bomb()))
    assert refused.value.filter == "image_cost"
    check.examine(incoming(PNG, "a.png"), BytesIO(PNG))  # by another child
    sandbox.close()


def test_a_picture_that_takes_too_long_ends_its_child() -> None:
    """Where a child has no time left, the file is refused and the next one is looked at by another child."""
    sandbox = Sandbox(processes=1, seconds=0.001)
    with pytest.raises(FileRefused, match="takes too long to decode") as refused:
        ImageCheck(sandbox=sandbox).examine(incoming(PNG, "a.png"), BytesIO(PNG))
    assert refused.value.filter == "image_cost"
    assert sandbox.pids == []
    sandbox.close()


def test_a_file_is_looked_at_whole_wherever_it_stands(tmp_path: Path) -> None:
    """A file of this machine is handed on as its descriptor, and its position stays; any other is copied."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        file.seek(7)
        ImageCheck().examine(incoming(PNG, "a.png"), file)
        assert file.read() == PNG[7:]
    held = BytesIO(PNG)
    held.seek(7)
    ImageCheck().examine(incoming(PNG, "a.png"), held)


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ({"formats": []}, ValueError),
        ({"formats": ["heic"]}, ValueError),
        ({"formats": "png"}, TypeError),
        ({"max_pixels": 0}, ValueError),
        ({"max_side": 10, "min_side": 11}, ValueError),
    ],
)
def test_a_rule_that_makes_no_sense_is_told_at_once(rules: dict[str, object], error: type[Exception]) -> None:
    """When the check is made, not at the first upload."""
    with pytest.raises(error):
        ImageCheck(**rules)  # type: ignore[arg-type]


def test_two_checks_of_the_same_rules_are_equal() -> None:
    """A check is a value, and may stand in a specification that is compared."""
    assert ImageCheck(formats=["JPG", "png"]) == ImageCheck(formats=("jpeg", "png"))


def test_many_threads_share_few_children() -> None:
    """More pictures at once than children: each waits its turn, and every verdict is right."""
    sandbox = Sandbox(processes=2)
    check = ImageCheck(sandbox=sandbox)

    def verdict(at: int) -> bool:
        data = PNG if at % 2 else PNG[:60]
        try:
            check.examine(incoming(data, "a.png"), BytesIO(data))
        except FileRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(verdict, range(40))] == [bool(at % 2) for at in range(40)]
    assert len(sandbox.pids) <= 2
    sandbox.close()


def test_the_parent_never_imports_pillow() -> None:
    """No decoder is in the process that serves requests."""
    program = (
        "import sys, io; from tests.content.pictures import PNG\n"
        "for name in [*sys.modules]:\n    if name.startswith('PIL'): del sys.modules[name]\n"
        "from uploadkit.content.images import image_info; from uploadkit.content.variants import make_variants\n"
        "from uploadkit import MemoryStorage\n"
        "print(image_info(io.BytesIO(PNG)).width, len(make_variants(io.BytesIO(PNG), into=MemoryStorage())))\n"
        "print([name for name in sys.modules if name.startswith('PIL')])"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split("\n")[:2] == ["60 3", "[]"]
