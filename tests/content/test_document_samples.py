"""Documents by the tools that people have: LibreOffice, XlsxWriter, reportlab, Pillow, pypdf, qpdf. None is made here:
`tests/samples/documents/make.py` has made them.
"""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from tests.content.test_documents import DOCUMENTS

from uploadkit.content.archives import ArchiveCheck
from uploadkit.content.documents import Flag, read_document
from uploadkit.content.sandbox import Sandbox

MACROS, JAVASCRIPT, LAUNCH, EMBEDDED, UNREADABLE = Flag

with tarfile.open(Path(__file__).parents[1] / "samples/documents/documents.tar.xz") as kept:
    SAMPLES = {member.name: file.read() for member in kept if (file := kept.extractfile(member)) is not None}

KINDS = {
    None: """
        letter.doc letter.docx letter.fodt letter.odt letter.pdf letter.rtf slides.odp slides.ppt slides.pptx
        table.ods table.xls table.xlsx picture.pdf report.pdf report-locked-for-changes.pdf
        letter-aes-locked-for-changes.pdf letter-behind-junk.pdf letter-linearized.pdf letter-packed.pdf
        letter-updated.pdf
    """,
    MACROS: """
        macro.doc macro.docm macro.fodt macro.ods macro.odt macro.ppt macro.pptm macro.xls macro.xlsm
        excel4-shown.xls excel4-hidden.xls excel4-very-hidden.xls
    """,
    JAVASCRIPT: """
        javascript.pdf javascript-escaped.pdf javascript-in-a-note.pdf javascript-on-opening.pdf javascript-packed.pdf
        javascript-updated.pdf javascript-packed-aes-locked-for-changes.pdf
    """,
    LAUNCH: "launch.pdf launch-packed.pdf",
    EMBEDDED: "attachment.pdf attachment-packed.pdf embedded.doc embedded.docx embedded.fodt embedded.odt embedded.ppt",
    UNREADABLE: """
        locked.doc locked.docx locked.odt locked.xls locked.xlsx letter-aes-locked.pdf report-locked.pdf
        javascript-packed-aes-locked.pdf
    """,
}
EXPECTED = {name: {flag} if flag else set() for flag, names in KINDS.items() for name in names.split()}


def test_every_sample_is_expected_to_be_something() -> None:
    """None is forgotten."""
    assert {*SAMPLES} == {*EXPECTED}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_document_of_a_tool_is_what_it_is(name: str) -> None:
    """Nothing that does something is missed, and nothing is seen that is not there."""
    found = read_document(io.BytesIO(SAMPLES[name]))
    assert found.flags == EXPECTED[name]
    assert (found.pages == 1) == (name.endswith(".pdf") and UNREADABLE not in found.flags)


def test_the_title_is_what_the_author_wrote() -> None:
    """Of a PDF that is locked for changes too."""
    for name in ("report.pdf", "report-locked-for-changes.pdf"):
        assert read_document(io.BytesIO(SAMPLES[name])).title == "A report"


@pytest.mark.parametrize("name", [name for name in EXPECTED if SAMPLES[name].startswith(b"PK")])
def test_office_files_are_archives_in_order(name: str) -> None:
    """The check for archives, which the documents advise to put beside, has nothing against them."""
    assert ArchiveCheck().measure(io.BytesIO(SAMPLES[name])).depth <= 2


@pytest.fixture(scope="module")
def warm() -> Sandbox:
    """One child that has read a document of each kind."""
    sandbox = Sandbox(processes=1)
    warm_up(sandbox)
    return sandbox


@pytest.mark.needs("linux")
@pytest.mark.parametrize("name", [*DOCUMENTS, *EXPECTED])
def test_a_verdict_takes_little(name: str, warm: Sandbox) -> None:
    """At most half a second of the child's processor and 16 MiB of this process, for a file that is hostile, too."""
    data = SAMPLES[name] if name in SAMPLES else DOCUMENTS[name][0]()
    seconds, peak = taken(data, warm) or taken(data, warm) or (1, 0)
    assert seconds <= 0.5
    assert peak <= 16 * 2**20


def taken(data: bytes, warm: Sandbox) -> tuple[float, int] | None:
    """Seconds of the child's processor and bytes of this process. None where the child was replaced meanwhile, as it is
    after many calls; then there is another one that is warm."""
    pids, before = warm.pids, processor_seconds(warm)
    tracemalloc.start()
    try:
        read_document(io.BytesIO(data), sandbox=warm)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    seconds = processor_seconds(warm) - before
    if warm.pids == pids:
        return seconds, peak
    warm_up(warm)
    return None


def warm_up(sandbox: Sandbox) -> None:
    """By a document of each kind."""
    for name in ("letter.pdf", "letter.doc", "letter.rtf", "letter-aes-locked-for-changes.pdf"):
        read_document(io.BytesIO(SAMPLES[name]), sandbox=sandbox)


def processor_seconds(sandbox: Sandbox) -> float:
    """Of its children until now."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in sandbox.pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")
