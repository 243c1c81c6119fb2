"""The names of clients are made safe in every script, and keys cannot be guessed."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uploadkit.policy.filenames import extension_of_name, random_key, safe_filename

from .promises import check_safe

# ruff: noqa: RUF001  # characters that look like others are what these tests are about

KEPT = [
    "photo.jpg",
    "résumé.pdf",
    "отчёт.pdf",
    "会议：最终？.docx",
    "データ（最新）.csv",
    "تقرير.pdf",
    "दस्तावेज़.txt",
    "דוח.pdf",
    "รายงาน.pdf",
    "😀.png",
    "👩🏽.png",
    "a b.txt",
    "a.b.c.tar.gz",
    "my%20file.pdf",
    "100%.txt",
    "100%25.txt",
    "50% off.pdf",
    "README",
    "it's (1) [x] {y} & z + $1; #2, @3=4!.txt",
    "_.txt",
    "a-~.txt",
    "console.log",
    "nullable.txt",
    "com10.txt",
    "com.txt",
    "contact.con",
    "x" * 255,
    "é" * 125 + ".jpeg",
]


@pytest.mark.parametrize("name", KEPT)
def test_a_harmless_name_stays_as_it_is(name: str) -> None:
    """Names are kept in whatever script they are written."""
    assert safe_filename(name) == name


MADE_SAFE = {
    "C:\\fakepath\\photo.jpg": "photo.jpg",
    "/etc/passwd": "passwd",
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "a/b\\c.txt": "c.txt",
    "C:photo.jpg": "C_photo.jpg",
    "re\u0301sume\u0301.pdf": "résumé.pdf",
    'a<b>c:d"e|f?g*h.txt': "a_b_c_d_e_f_g_h.txt",
    "nul\x00byte.txt": "nulbyte.txt",
    "line\r\nbreak.txt": "linebreak.txt",
    "tab\there.txt": "tabhere.txt",
    "delete\x7f\x80.txt": "delete.txt",
    "gnp.\u202egpj.exe": "gnp.gpj.exe",
    "a\u200b\u200d\ufeffb.txt": "ab.txt",
    "e\u200d\u0301.txt": "é.txt",
    "line\u2028paragraph\u2029.txt": "lineparagraph.txt",
    "10.15\u202fAM.png": "10.15 AM.png",
    "a\u00a0b\u3000c.txt": "a b c.txt",
    "lone\ud800surrogate.txt": "lonesurrogate.txt",
    ".htaccess": "htaccess",
    "...hidden": "hidden",
    "-rf": "rf",
    "--help.txt": "help.txt",
    "~root": "root",
    " . - ~ x": "x",
    "  name.txt  ": "name.txt",
    "name.txt...": "name.txt",
    "name.txt. . .": "name.txt",
    "…and more.txt": "and more.txt",
    "～wide.txt": "wide.txt",
    "shell.php…": "shell.php",
    "con": "_con",
    "CON.txt": "_CON.txt",
    "nul.tar.gz": "_nul.tar.gz",
    "aux .txt": "_aux .txt",
    "Com1.jpg": "_Com1.jpg",
    "lpt9": "_lpt9",
    "com¹.txt": "_com¹.txt",
    "ＣＯＮ.txt": "_ＣＯＮ.txt",
    "CONIN$": "_CONIN$",
    "c\u200bon": "_con",
    "a／b＼c.txt": "a_b_c.txt",
    "℀.txt": "_.txt",
    "a%2fb.txt": "a_2fb.txt",
    "a%2Fb.txt": "a_2Fb.txt",
    "%5C%5cserver.txt": "_5C_5cserver.txt",
    "a%00.txt": "a_00.txt",
    "a%0d%0a.txt": "a_0d_0a.txt",
    "a%252fb.txt": "a_252fb.txt",
    "a%25252525252fb.txt": "a_25252525252fb.txt",
    "a%%32%66b.txt": "a__32_66b.txt",
    "a％2fb.txt": "a_2fb.txt",
    "a%②fb.txt": "a_②fb.txt",
    "100%20%2f.txt": "100_20_2f.txt",
    "???.txt": "___.txt",
}


@pytest.mark.parametrize("name", MADE_SAFE, ids=ascii)
def test_a_harmful_name_is_made_safe(name: str) -> None:
    """What is dangerous goes, and what the name says stays."""
    assert safe_filename(name) == MADE_SAFE[name]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "...", " ", " . ", "~", "-", "…", "/", "a/", "a\\", "a/..", "\x00", "\u202e", "\ud800"],
    ids=ascii,
)
def test_a_name_of_which_nothing_is_left_is_refused(name: str) -> None:
    """An empty name is never given back."""
    with pytest.raises(ValueError, match="nothing is left"):
        safe_filename(name)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("x" * 300 + ".jpg", "x" * 251 + ".jpg"),
        ("x" * 300, "x" * 255),
        ("é" * 200 + ".jpeg", "é" * 125 + ".jpeg"),
        ("😀" * 100 + ".png", "😀" * 62 + ".png"),
        ("x" * 300 + ".tar.gz", "x" * 252 + ".gz"),
        ("x." + "y" * 300, "x." + "y" * 253),
        ("x" * 200 + "." + "y" * 100, "x" * 200 + "." + "y" * 54),
        ("x" * 250 + "." * 50, "x" * 250),
        ("x" * 254 + " " * 50 + "y", "x" * 254),
        ("con" + " " * 300 + ".txt", "_con" + " " * 247 + ".txt"),
    ],
    ids=lambda name: f"{name[:4]}...{name[-4:]}",
)
def test_a_long_name_is_cut_and_keeps_its_extension(name: str, cut: str) -> None:
    """A name has at most 255 bytes in UTF-8, no half character, and the extension that it had."""
    assert safe_filename(name) == cut


NASTY = './\\ -~%25fc0:<>"|?*\x00\n\u202e\u200b\u0301\u0338／＼．％﹪…。\ud800conulaxprtm1¹$\u3000é\ufb01\u212a'
NAMES = st.text(max_size=40) | st.text(NASTY, max_size=40) | st.text(st.characters(), min_size=100, max_size=300)
NAMES |= st.builds("{}{}{}".format, NAMES, st.sampled_from(["con", "%2f", "%252F", "../", "．．／", ".php"]), NAMES)


@given(NAMES)
@example("<\u0338.txt")
@example("con" + "\u3000" * 90 + ".txt")
@example("%" + "25" * 200 + "2f")
@example("x" * 254 + "ﷺ")
def test_a_safe_name_keeps_every_promise(name: str) -> None:
    """Whatever the client sends, and however the name is decoded, normalized or compared afterwards."""
    try:
        safe = safe_filename(name)
    except ValueError:
        return
    check_safe(safe)


@given(NAMES)
def test_the_extension_that_is_judged_is_the_one_that_is_shown(name: str) -> None:
    """A name and its safe form have the same extension."""
    extension = extension_of_name(name)
    try:
        safe = safe_filename(name)
    except ValueError:
        assert extension == ""
        return
    assert extension == extension_of_name(safe)
    assert safe.lower().endswith(extension)


def test_no_other_character_turns_into_a_separator() -> None:
    """The lookalikes of slashes that are replaced are all that Unicode has."""
    for char in filter(unicodedata.decomposition, map(chr, range(sys.maxunicode + 1))):
        if set(unicodedata.normalize("NFKC", char)) & {"/", "\\"}:
            assert safe_filename(f"a{char}b") == "a_b"


def test_safe_names_can_be_saved(tmp_path: Path) -> None:
    """Every name of the tables names one file of the folder."""
    names = {*KEPT, *MADE_SAFE.values()}
    for name in names:
        (tmp_path / name).touch(exist_ok=False)
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("photo.jpg", ".jpg"),
        ("PHOTO.JPG", ".jpg"),
        ("a.tar.gz", ".gz"),
        ("shell.php.jpg", ".jpg"),
        ("photo.jpg.", ".jpg"),
        ("photo.jpg ", ".jpg"),
        ("C:\\a.b\\photo", ""),
        ("a.b/photo", ""),
        ("photo", ""),
        (".htaccess", ""),
        ("", ""),
        ("..", ""),
        ("v1.2", ""),
        ("Mr. Smith", ""),
        ("report.final version", ""),
        ("a.7z", ".7z"),
        ("a.mp3", ".mp3"),
        ("a.jpg~", ".jpg~"),
        ("shell.php::$DATA", ".php__$data"),
        ("shell.php%00.jpg", ".jpg"),
        ("отчёт.ДОК", ".док"),
    ],
)
def test_the_extension_of_a_name_is_its_last(name: str, extension: str) -> None:
    """Versions and sentences have none."""
    assert extension_of_name(name) == extension


def test_a_key_is_random_and_has_the_extension_that_is_asked_for() -> None:
    """128 bits from the system's source, in hexadecimal."""
    keys = {random_key(".jpg") for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}\.jpg", key) for key in keys)
    assert re.fullmatch(r"[0-9a-f]{32}", random_key(""))
