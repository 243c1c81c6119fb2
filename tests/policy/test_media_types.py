"""The tables of media types agree with each other."""

from __future__ import annotations

import re

import pytest

from uploadkit.policy import media_types
from uploadkit.policy.media_types import (
    ACTIVE,
    ALIASES,
    EXTENSIONS,
    OCTET_STREAM,
    ZIP_KINDS,
    canonical,
    contradicts,
    extension_of,
    told_by_extension,
    types_of,
)


def test_types_are_written_in_one_way() -> None:
    """Lower-case media types, and lower-case extensions with their dot."""
    for media_type, extensions in EXTENSIONS.items():
        assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", media_type)
        assert all(re.fullmatch(r"\.[a-z0-9]+", extension) for extension in extensions)
        assert len(set(extensions)) == len(extensions)


def test_an_alias_means_a_known_type_and_is_none_itself() -> None:
    """A name that is resolved is resolved once."""
    assert set(ALIASES.values()) <= EXTENSIONS.keys() | {OCTET_STREAM}
    assert ALIASES.keys() & EXTENSIONS.keys() == set()


def test_the_sets_hold_known_types() -> None:
    """A type that is misspelled in a set would be a hole in it."""
    assert EXTENSIONS.keys() >= ACTIVE
    assert EXTENSIONS.keys() >= ZIP_KINDS
    for told, kinds in media_types._TOLD_BY_EXTENSION.items():
        assert EXTENSIONS.keys() >= {told, *kinds}
    for declared, meant in media_types._DECLARED_FOR.items():
        assert EXTENSIONS.keys() >= {declared, *meant}


def test_the_extension_of_a_type_agrees_with_it() -> None:
    """A key has an extension by which the type is found again."""
    for media_type, extensions in EXTENSIONS.items():
        if extensions:
            assert media_type in types_of(extension_of(media_type))


@pytest.mark.parametrize(
    ("media_type", "extension"),
    [
        ("image/jpeg", ".jpg"),
        ("text/plain", ".txt"),
        ("text/html", ".html"),
        ("audio/ogg", ".ogg"),
        (OCTET_STREAM, ""),
        ("application/x-httpd-php", ""),  # never one that a server would run
        ("application/x-ole-storage", ""),
        ("no/such", ""),
    ],
)
def test_keys_have_one_extension_for_a_type(media_type: str, extension: str) -> None:
    """What is not recognised has none."""
    assert extension_of(media_type) == extension


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("IMAGE/JPEG", "image/jpeg"),
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        (" text/plain; charset=utf-8", "text/plain"),
        ("application/x-zip-compressed", "application/zip"),
        ("audio/mp3", "audio/mpeg"),
        ("text/xml", "application/xml"),
        ("binary/octet-stream", OCTET_STREAM),
        ("x-made/up", "x-made/up"),
        ("", ""),
    ],
)
def test_a_type_has_one_name(written: str, name: str) -> None:
    """Case, parameters and older names make no difference."""
    assert canonical(written) == name


@pytest.mark.parametrize(
    ("shown", "extension", "told"),
    [
        ("text/plain", ".csv", "text/csv"),
        ("text/plain", ".md", "text/markdown"),
        ("text/plain", ".tsv", "text/tab-separated-values"),
        ("text/plain", ".log", "text/plain"),
        ("text/plain", ".yaml", "application/yaml"),
        ("text/csv", ".txt", "text/plain"),
        ("text/csv", "", "text/csv"),
        ("application/json", ".txt", "text/plain"),
        ("application/json", ".geojson", "application/geo+json"),
        ("application/json", ".jsonl", "application/x-ndjson"),
        ("text/plain", ".json", "text/plain"),  # it does not look like JSON
        ("text/plain", ".ics", "text/plain"),
        ("text/plain", ".jpg", "text/plain"),
        ("text/plain", ".html", "text/plain"),
        ("text/plain", ".svg", "text/plain"),
        ("text/plain", ".php", "text/plain"),
        ("text/html", ".txt", "text/html"),
        ("image/svg+xml", ".txt", "image/svg+xml"),
        ("application/xml", ".txt", "application/xml"),
        ("video/mp4", ".m4a", "audio/mp4"),
        ("video/mp4", ".mp4", "video/mp4"),
        ("audio/mp4", ".mp4", "audio/mp4"),
        ("video/x-m4v", ".mp4", "video/mp4"),
        ("application/x-ole-storage", ".doc", "application/msword"),
        ("application/x-ole-storage", ".exe", "application/x-ole-storage"),
        ("application/zip", ".docx", "application/zip"),
        ("image/png", ".jpg", "image/png"),
        (OCTET_STREAM, ".txt", OCTET_STREAM),
    ],
)
def test_an_extension_tells_kinds_of_a_family_apart_and_nothing_else(shown: str, extension: str, told: str) -> None:
    """Text may be called by the kinds of text, and never by a kind that a browser runs where it was not shown."""
    assert told_by_extension(shown, extension) == told


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        ("", "image/png"),
        ("application/octet-stream", "image/webp"),
        ("binary/octet-stream", "image/webp"),
        ("image/x-png", "image/png"),
        ("text/plain", "text/csv"),
        ("text/csv", "text/plain"),
        ("application/vnd.ms-excel", "text/csv"),
        ("application/csv", "text/csv"),
        ("application/json", "text/plain"),
        ("application/msword", "application/rtf"),
        ("application/x-zip-compressed", "application/epub+zip"),
        ("audio/webm", "video/webm"),
        ("video/webm", "audio/webm"),
        ("audio/x-m4a", "audio/mp4"),
        ("application/ogg", "audio/ogg"),
        ("image/heif", "image/heic"),
        ("text/xml", "image/svg+xml"),
        ("application/x-blender", OCTET_STREAM),
    ],
)
def test_clients_that_mean_the_same_do_not_contradict(declared: str, shown: str) -> None:
    """What browsers and other clients were seen to declare is no contradiction."""
    assert not contradicts(declared, shown)


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        ("image/png", "image/jpeg"),
        ("image/jpeg", "text/plain"),
        ("text/html", "text/plain"),
        ("text/csv", "application/vnd.ms-excel"),
        ("application/rtf", "application/msword"),
        ("application/epub+zip", "application/zip"),
        ("application/pdf", OCTET_STREAM),
        ("jpg", "image/jpeg"),
    ],
)
def test_clients_that_mean_something_else_contradict(declared: str, shown: str) -> None:
    """A statement that is made has to be true."""
    assert contradicts(declared, shown)
