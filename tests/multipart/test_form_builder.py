"""The form builder of `uploadkit.testing`: its bytes are the ones browsers send."""

from __future__ import annotations

import pytest

from uploadkit.testing.forms import FormBuilder

from .outcomes import Part, in_pieces, outcome, parser_of, parts_of


def read(form: FormBuilder) -> list[Part]:
    """The parts that our parser finds."""
    seen = outcome(lambda: parser_of(form.content_type), in_pieces(form.body, 7))
    assert seen.failure is None
    return parts_of(seen)


def test_a_form_is_written_as_browsers_write_it() -> None:
    """Byte by byte what Chromium sends, but for the boundary's name."""
    form = (
        FormBuilder(boundary="b")
        .text("title", "Größe")
        .file("f", b"\0\xff", filename="a.png", content_type="image/png")
    )
    assert form.content_type == "multipart/form-data; boundary=b"
    assert form.body == (
        b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nGr\xc3\xb6\xc3\x9fe\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        b"\0\xff\r\n--b--\r\n"
    )


def test_names_are_escaped_as_the_html_standard_says() -> None:
    """A quote, CR and LF are percent-encoded, and nothing else is: neither a backslash nor a percent sign."""
    form = FormBuilder(boundary="b").file('a"\r\n\\%', b"", filename='"\u20ac;\r\n')
    head = form.body.split(b"\r\n")[1]
    assert head == 'Content-Disposition: form-data; name="a%22%0D%0A\\%"; filename="%22\u20ac;%0D%0A"'.encode()


def test_a_quote_comes_back_and_a_line_end_stays_encoded() -> None:
    """The parser takes back what is safe to take back."""
    form = FormBuilder().text('a"\r\n', 'say "x"\r\n')
    assert read(form) == [Part('a"%0D%0A', b'say "x"\r\n')]


def test_an_empty_form_is_its_close_delimiter() -> None:
    """A form without parts is a form."""
    assert FormBuilder(boundary="b").body == b"--b--\r\n"
    assert read(FormBuilder()) == []


def test_a_file_input_in_which_nothing_was_chosen() -> None:
    """Browsers send it with an empty filename and no data."""
    form = FormBuilder().file("avatar", b"", filename="")
    assert read(form) == [Part("avatar", b"", "", "application/octet-stream")]


def test_a_part_may_have_no_type_and_a_text_may_have_one() -> None:
    """curl and scripts send what browsers do not."""
    form = (
        FormBuilder().file("f", b"1", filename="x", content_type=None).text("j", "{}", content_type="application/json")
    )
    assert read(form) == [Part("f", b"1", "x"), Part("j", b"{}", None, "application/json")]


def test_a_disposition_may_be_written_by_hand() -> None:
    """What no browser sends is sent as it is."""
    form = FormBuilder(boundary="b").part("form-data; name=a; filename*=utf-8''%E2%82%AC", b"1")
    assert b"\r\nContent-Disposition: form-data; name=a; filename*=utf-8''%E2%82%AC\r\n\r\n1\r\n" in form.body
    assert read(form) == [Part("a", b"1", "\u20ac")]


def test_a_boundary_is_one_that_no_part_holds() -> None:
    """A form inside a form is data."""
    inner = FormBuilder().text("a", "1")
    middle = FormBuilder().file("inner", inner.body, filename="x")
    outer = FormBuilder().file("middle", middle.body, filename="y").text(inner.boundary, "")
    assert len({inner.boundary, middle.boundary, outer.boundary}) == 3
    assert read(outer) == [Part("middle", middle.body, "y", "application/octet-stream"), Part(inner.boundary)]
    assert read(middle) == [Part("inner", inner.body, "x", "application/octet-stream")]


def test_the_same_calls_make_the_same_bytes() -> None:
    """A test that fails fails again."""
    first, second = (FormBuilder().text("a", "1").file("b", b"2", filename="c") for _ in range(2))
    assert (first.content_type, first.body) == (second.content_type, second.body)


@pytest.mark.parametrize("boundary", ["a b", "a:b", "(a)", "=?", "a/b,c"])
def test_a_boundary_that_is_no_token_is_quoted(boundary: str) -> None:
    """RFC 2045 wants quotes around it."""
    form = FormBuilder(boundary=boundary).text("a", "1")
    assert form.content_type == f'multipart/form-data; boundary="{boundary}"'
    assert read(form) == [Part("a", b"1")]


def test_a_boundary_is_taken_as_it_is_also_where_the_data_holds_it() -> None:
    """A test may build what is ambiguous."""
    form = FormBuilder(boundary="b").text("a", '1\r\n--b\r\nContent-Disposition: form-data; name="c"\r\n\r\n2')
    assert read(form) == [Part("a", b"1"), Part("c", b"2")]
