"""The command, as it is installed, on files as a folder has them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject
from tests.content.clamd import eicar, running

from uploadkit.cli import main

COMMAND = [str(Path(sys.executable).with_name("uploadkit"))]
SECONDS = 60

KEYS = [
    *("path", "error", "result", "client_filename", "filename", "size", "named_type", "declared_type", "content_type"),
    *("agreement", "checks", "image", "document", "archive", "media"),
]
VERDICT_KEYS = ["check", "result", "code", "text"]

pytestmark = pytest.mark.skipif(not os.access(COMMAND[0], os.X_OK), reason="uploadkit is not installed here")


def run(
    *words: str | bytes | Path,
    command: list[str] = COMMAND,
    given: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """The command with these words; its output goes through pipes."""
    settings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "TERM")}
    return subprocess.run(
        [*command, *words],
        input=given,
        capture_output=True,
        timeout=SECONDS,
        env={**settings, "COLUMNS": "200", **(env or {})},
    )


def seen(*words: str | bytes | Path, status: int = 0, given: bytes = b"") -> list[dict[str, Any]]:
    """What `inspect --json` tells of each file."""
    done = run("inspect", "--json", *words, given=given)
    assert done.returncode == status, (done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(verdicts: list[dict[str, Any]]) -> dict[str, tuple[str, str | None]]:
    """Result and code of each check."""
    return {verdict["check"]: (verdict["result"], verdict["code"]) for verdict in verdicts}


def picture(form: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, form)
    return out.getvalue()


def zipped(entries: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def letter() -> bytes:
    """A PDF of two pages, with a script and with a title that would write to a terminal."""
    out, writer = io.BytesIO(), PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_blank_page(100, 100)
    action = {NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.alert(1)")}
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(action)
    writer.add_metadata({"/Title": "Red \x1b[31m \x07 [blue]end"})
    writer.write(out)
    return out.getvalue()


MACROS = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>", "word/vbaProject.bin": b"Sub"}


FILES: dict[str, tuple[bytes, str, str, dict[str, Any]]] = {
    # Its bytes, the type they show, whether that agrees with the name, and what each check says.
    "bomb.zip": (zipped({"zeros": bytes(20_000_000)}), "application/zip", "passed", {"ArchiveCheck": "ArchiveCheck"}),
    "cut.png": (picture("PNG")[:60], "image/png", "passed", {"ImageCheck": "image_damaged"}),
    "eicar.txt": (eicar(), "text/plain", "passed", {}),
    "empty": (b"", "application/octet-stream", "passed", {}),
    "empty.txt": (b"", "application/octet-stream", "refused", {}),
    "letter.docm": (
        zipped(MACROS),
        "application/vnd.ms-word.document.macroenabled.12",
        "passed",
        {"ArchiveCheck": None, "DocumentCheck": "DocumentCheck"},
    ),
    "letter.pdf": (letter(), "application/pdf", "passed", {"DocumentCheck": "DocumentCheck"}),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic", "passed", {"ImageCheck": "image_format"}),
    "photo.jpg": (picture("JPEG"), "image/jpeg", "passed", {"ImageCheck": None}),
    "photos.zip": (zipped({"one": b"1"}), "application/zip", "passed", {"ArchiveCheck": None}),
    "png.jpg": (picture("PNG"), "image/png", "refused", {"ImageCheck": "image_extension"}),
    "style.css": (b"body { color: teal }", "text/css", "passed", {}),
}


def test_files_are_shown_as_what_they_are(tmp_path: Path) -> None:
    """Their types by their bytes, whether those agree, and what the checks for such a type say: a code is a refusal."""
    for name, (data, *_) in FILES.items():
        tmp_path.joinpath(name).write_bytes(data)
    found = seen(*(tmp_path / name for name in FILES), status=1)
    for each, (name, (data, content_type, agreement, checks)) in zip(found, FILES.items(), strict=True):
        assert (each["path"], each["client_filename"], each["size"]) == (str(tmp_path / name), name, len(data))
        assert (each["content_type"], each["agreement"]["result"]) == (content_type, agreement), name
        assert told(each["checks"]) == {
            check: ("passed" if code is None else "refused", code) for check, code in checks.items()
        }
        passes = agreement == "passed" and not any(checks.values())
        assert each["result"] == ("passed" if passes else "refused"), name
    pdf = next(each["document"] for each in found if each["filename"] == "letter.pdf")
    assert (pdf["pages"], pdf["flags"]) == (2, ["javascript"])


def test_an_object_has_the_same_keys_whatever_the_file_is(tmp_path: Path) -> None:
    """One line for each file that is named, in their order, those that cannot be read with them."""
    for name, data in (("a.png", picture("PNG")), ("b.docm", zipped(MACROS)), ("c.txt", b"text")):
        tmp_path.joinpath(name).write_bytes(data)
    names = [tmp_path / name for name in ("a.png", "b.docm", "c.txt", "missing")]
    found = seen(*names, status=2)
    assert [each["path"] for each in found] == list(map(str, names))
    assert [list(each) for each in found] == [KEYS] * 4
    assert [each["error"] for each in found] == [None, None, None, "No such file or directory"]
    assert [list(verdict) for each in found[:3] for verdict in (each["agreement"], *each["checks"])] == [
        VERDICT_KEYS
    ] * 6
    assert found[0]["image"] == {
        "format": "png",
        "width": 40,
        "height": 30,
        "frames": 1,
        "orientation": 1,
        "taken_at": None,
    }
    assert found[1]["document"] == {"flags": ["macros"], "pages": None, "title": None}
    assert found[1]["archive"] == {"entries": 3, "size": 15, "depth": 1}
    assert (found[2]["image"], found[2]["document"], found[2]["archive"]) == (None, None, None)
    assert {each: found[3][each] for each in KEYS[2:]} == dict.fromkeys(KEYS[2:])


@pytest.mark.parametrize("rich", [True, False], ids=["table", "without rich"])
def test_people_are_shown_the_same(tmp_path: Path, rich: bool) -> None:
    """In a table with rich; without it in plain lines, and a hint at how to have it."""
    tmp_path.joinpath("photo.jpg").write_bytes(picture("PNG"))
    done = run("inspect", tmp_path / "photo.jpg", command=COMMAND if rich else without("rich"))
    assert done.returncode == 1
    lines = [" ".join(line.replace("│", " ").split()) for line in done.stdout.decode().splitlines()]
    assert [line for line in lines if not line.startswith(("╭", "╰"))] == [
        str(tmp_path / "photo.jpg"),
        f"size {len(picture('PNG'))} bytes",
        "declared image/jpeg, by its name",
        "detected image/png",
        "safe name photo.jpg",
        "agreement refused: is image/png, and its name ends in '.jpg'",
        "ImageCheck refused, image_extension: is a picture of format PNG, and its name says otherwise",
        "image PNG, 40 x 30 pixels",
    ]
    assert ("╭" in done.stdout.decode()) is rich
    assert done.stderr.decode() == ("" if rich else "uploadkit: for tables, pip install 'pyuploadkit[cli]'\n")


def test_json_needs_no_extra(tmp_path: Path) -> None:
    """And says what each check would need that was not made. That is status 2: nobody has refused the file."""
    for name, data in (("a.png", picture("PNG")), ("b.pdf", letter()), ("c.docm", zipped(MACROS))):
        tmp_path.joinpath(name).write_bytes(data)
    done = run("inspect", "--json", *sorted(tmp_path.iterdir()), command=without("rich", "PIL", "pypdf"))
    assert (done.returncode, done.stderr) == (2, b"")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["result"] for each in found] == ["not_run"] * 3
    last = [each["checks"][-1] for each in found]
    assert [verdict["text"] for verdict in last] == [
        "uploadkit.content.images needs Pillow: pip install 'pyuploadkit[images]'",
        *["uploadkit.content.documents needs pypdf: pip install 'pyuploadkit[documents]'"] * 2,
    ]
    assert found[2]["document"]["flags"] == ["macros"]  # to know that takes no pypdf
    assert told(found[2]["checks"])["ArchiveCheck"] == ("passed", None)


def test_what_is_no_file_is_said_to_be_none_and_the_others_are_shown(tmp_path: Path) -> None:
    """Missing, unreadable for everybody, a folder, a pipe that nobody writes into: nothing is waited for."""
    folder, pipe, loop, good = (tmp_path / name for name in ("folder", "pipe", "loop", "good.txt"))
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    good.write_text("text")
    done = run("inspect", tmp_path / "missing", folder, pipe, loop, "/dev/null", good)
    assert done.returncode == 2
    said = [line.partition(": ")[2].rpartition(": ") for line in done.stderr.decode().splitlines()]
    assert [(path, why) for path, _, why in said] == [
        (str(tmp_path / "missing"), "No such file or directory"),
        (str(folder), "Is a directory"),
        (str(pipe), "Not a plain file"),
        (str(loop), "Too many levels of symbolic links"),
        ("/dev/null", "Not a plain file"),
    ]
    assert "text/plain" in done.stdout.decode()


# Root may read every file, by a capability that it can lay down.
UNPRIVILEGED = """
import ctypes, sys
from uploadkit.cli import main
version, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
if ctypes.CDLL(None).capset(version, none) != 0:
    sys.exit("it has kept its capabilities")
sys.exit(main())
"""


@pytest.mark.needs("linux")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """Says so."""
    path = tmp_path / "secret.txt"
    path.touch(mode=0)
    done = run("inspect", path, command=[sys.executable, "-c", UNPRIVILEGED])
    assert (done.returncode, done.stderr.decode()) == (2, f"uploadkit: {path}: Permission denied\n")


def test_standard_input(tmp_path: Path) -> None:
    """Is inspected under the name that is given, and has none without."""
    [found] = seen("--name", "photo.png", "-", given=picture("PNG"))
    assert (found["path"], found["client_filename"], found["image"]["width"]) == ("-", "photo.png", 40)
    assert told(found["checks"]) == {"ImageCheck": ("passed", None)}
    [found] = seen("-", given=zipped({"one": b"1"}))
    assert (found["client_filename"], found["filename"], found["named_type"]) == ("", None, None)
    assert (found["agreement"]["result"], found["archive"]["entries"]) == ("passed", 1)


def test_a_client_and_a_field_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The type that is declared, the name, and a rule in all the ways in which `accept` is written."""
    path = tmp_path / "0f3a"
    path.write_text("some text")

    def tried(*words: str, status: int = 0) -> dict[str, Any]:
        assert main(["inspect", "--json", *words, str(path)]) == status
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    found = tried("--type", "image/gif", status=1)
    assert found["agreement"]["text"] == "is text/plain, and was declared as 'image/gif'"
    assert found["declared_type"] == "image/gif"
    found = tried("--name", "../../notes.TXT")
    assert (found["filename"], found["named_type"]) == ("notes.TXT", "text/plain")
    for rule in ("DOCUMENTS", "text/*", "text/plain", ".txt"):
        tried("--accept", ".png", "--accept", rule)
    found = tried("--accept", "IMAGES", status=1)
    assert found["agreement"]["text"] == "is text/plain, which the field does not accept"


@pytest.mark.needs("clamd")
def test_a_file_is_scanned(tmp_path: Path) -> None:
    """The operator is told what it is infected with, and why it could not be scanned."""
    path = tmp_path / "eicar.txt"
    path.write_bytes(eicar())
    clean = tmp_path / "clean.txt"
    clean.write_text("nothing")
    with running(tmp_path / "clamd") as daemon:
        one, other = seen("--scan", daemon.unix, path, clean, status=1)
        assert one["checks"] == [
            {
                "check": "ClamAV",
                "result": "refused",
                "code": "ClamAV",
                "text": "is infected: Uploadkit.Test.Eicar.UNOFFICIAL",
            }
        ]
        assert told(other["checks"]) == {"ClamAV": ("passed", None)}
    [found] = seen("--scan", daemon.unix, clean, status=2)
    assert (found["result"], found["checks"][0]["code"]) == ("not_run", None)
    assert found["checks"][0]["text"]


HOSTILE_NAMES = (
    "\x1b[31mred\x1b]0;title\x07.txt",
    "\u202egnp.exe\u2066",
    "[red]loud[bold] [link=example.com]:smile:.txt",
    "\x9b2J\r\n\u2028next\t.txt",
)


@pytest.mark.parametrize("rich", [True, False], ids=["table", "without rich"])
def test_names_cannot_write_to_the_terminal(tmp_path: Path, rich: bool) -> None:
    """Escapes, bidi controls and line breaks are written out, markup and emoji stand as they are."""
    paths = [os.fsencode(tmp_path / name) for name in HOSTILE_NAMES] + [os.fsencode(tmp_path) + b"/\xff\xfe.txt"]
    for path in paths:
        Path(os.fsdecode(path)).write_bytes(b"text")
    missing = [path + b"missing" for path in paths]
    done = run("inspect", *paths, *missing, command=COMMAND if rich else without("rich"))
    assert done.returncode == 2
    for output in (done.stdout.decode(), done.stderr.decode()):
        assert {char for char in output if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")} == {"\n"}
        assert "\\x1b[31mred\\x1b]0;title\\x07.txt" in output
        assert "\\u202egnp.exe" in output
        assert HOSTILE_NAMES[2] in output
        assert "\\udcff\\udcfe.txt" in output


def test_a_title_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """That of a PDF, in colours too: what is coloured is a result, and nothing else."""
    path = tmp_path / "letter.pdf"
    path.write_bytes(letter())
    done = run("inspect", path, env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert b"title 'Red  [31m   [blue]end'" in done.stdout
    assert b"\x1b[1;31mrefused" in done.stdout
    assert b"\x1b[31m" not in done.stdout
    assert b"\x07" not in done.stdout


def test_a_name_that_looks_like_an_option_cannot_write_to_the_terminal_either() -> None:
    """A shell puts it where a `*` stood. Behind `--` it is a file."""
    done = run("inspect", "--\x1b[31m.txt", "file")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert b"\\x1b[31m.txt" in done.stderr
    assert b"No such file" in run("inspect", "--", "--\x1b[31m.txt").stderr


def test_a_folder_of_two_hundred_files(tmp_path: Path) -> None:
    """In their order; one that is refused among them is the status."""
    for number in range(200):
        tmp_path.joinpath(f"{number:03}.png").write_bytes(picture("JPEG" if number == 77 else "PNG"))
    found = seen(*sorted(tmp_path.iterdir()), status=1)
    assert [each["filename"] for each in found] == [f"{number:03}.png" for number in range(200)]
    assert [each["filename"] for each in found if each["result"] != "passed"] == ["077.png"]


def test_whoever_reads_may_stop(tmp_path: Path) -> None:
    """As `head` does, without a traceback."""
    path = tmp_path / "a.txt"
    path.write_text("text")
    command = [*COMMAND, "inspect", *[str(path)] * 2000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 2


@pytest.mark.needs("linux")
@pytest.mark.parametrize("rich", [True, False], ids=["table", "without rich"])
def test_output_that_cannot_be_written_is_trouble(tmp_path: Path, rich: bool) -> None:
    """A disk that is full is told in a line; that must not look like a file that is refused."""
    path = tmp_path / "a.txt"
    path.write_text("text")
    command = COMMAND if rich else without("rich")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*command, "inspect", path], stdout=full, stderr=subprocess.PIPE, timeout=SECONDS)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1] == "uploadkit: standard output: No space left on device"


@pytest.mark.parametrize(
    ("redirections", "status", "said"),
    [
        ("<&-", 2, "uploadkit: -: Bad file descriptor"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
    ],
)
def test_streams_may_be_closed(tmp_path: Path, redirections: str, status: int, said: str) -> None:
    """As cron jobs and daemons have them: what is written goes nowhere, and what is to be read is not there."""
    script = f'exec "$0" inspect - {redirections}'
    done = subprocess.run(["sh", "-c", script, *COMMAND], input=b"text", capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stderr.decode().strip()) == (status, said)


MEASURED = """
import re, sys
from pathlib import Path
from uploadkit.cli import main
status = main()
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.needs("linux")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A film of 20 GB of which the disk has nothing, and an archive that is read to its end."""
    film, archive = tmp_path / "film.mp4", tmp_path / "zeros.tar"
    with film.open("wb") as file:
        file.write(b"\0\0\0\x18ftypisom\0\0\0\0isommp42")
        file.truncate(20 * 10**9)
    with archive.open("wb") as file:
        header = tarfile.TarInfo("zeros")
        header.size = 128 * 2**20
        file.write(header.tobuf())
        file.truncate(512 + header.size + 1024)
    for words in ([film], [archive], ["--name", "zeros.tar", "-"]):
        command = [sys.executable, "-c", MEASURED, "inspect", "--json", *words]
        with archive.open("rb") as given:
            done = subprocess.run(command, stdin=given, capture_output=True, timeout=SECONDS)
        assert done.returncode == 0
        assert int(done.stderr) < 64 * 1024, "KiB"


def test_help_and_version() -> None:
    """They help, with examples; no command, and what is none, is a wrong use."""
    assert b"inspect" in run("--help").stdout
    assert run("--version").stdout.startswith(b"uploadkit 0.")
    assert run("--version").stdout == run("--version", command=[sys.executable, "-m", "uploadkit"]).stdout
    said = run("inspect", "--help").stdout.decode()
    assert "uploadkit inspect --accept IMAGES --accept .pdf photo.jpg" in said


def test_help_needs_no_optional_package() -> None:
    """Each command imports what it needs when it runs."""
    packages = ("PIL", "alembic", "bullmq", "fsspec", "pypdf", "redis", "rich", "s3fs", "sqlalchemy")
    done = run("--help", command=without(*packages))
    assert (done.returncode, done.stdout) == (0, run("--help").stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["inspct"], "invalid choice: 'inspct'"),
        (["--bogus"], "usage: uploadkit [-h] [--version] COMMAND"),
        (["inspect", "--bogus", "a"], "uploadkit inspect: error: unrecognized arguments: --bogus"),
        (["inspect"], "the following arguments are required: FILE"),
        (["inspect", "--accept", ".nope", "a"], "argument --accept: unknown extension '.nope'"),
        (["inspect", "--accept", "*", "a"], "takes every type; leave accept out for that"),
        (["inspect", "--scan", "localhost", "a"], "argument --scan: 'localhost' is no address of a clamd"),
        (["inspect", "--name", "a", "b", "c"], "--name is of one FILE, and there are more"),
    ],
)
def test_wrong_use_says_what_is_wrong(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With status 2, and nothing done."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    done = capsys.readouterr()
    assert (ended.value.code, done.out) == (2, "")
    assert said in " ".join(done.err.split())


def without(*packages: str) -> list[str]:
    """The command where these are not installed."""
    missing = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))"
    return [sys.executable, "-c", f"{missing}; from uploadkit.cli import main; sys.exit(main())"]
