"""Draws the pictures of the explanations into `pictures/`: `python docs/pictures.py`. A test compares.

They follow the light or dark scheme of the reader's system, load nothing, and say in their title what they show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

from uploadkit.records.lifecycle import MOVES, State

FOLDER = Path(__file__).with_name("pictures")

STYLE = """
  text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
  .code { font-family: ui-monospace, monospace; font-size: 12px }
  .strong { font-weight: 600 }
  .faint { fill: #59636e }
  .ground { fill: #ffffff; stroke: #d1d9e0 }
  .box { fill: #ddf4ff; stroke: #0969da }
  .good { fill: #dafbe1; stroke: #1a7f37 }
  .bad { fill: #ffebe9; stroke: #cf222e }
  .plain { fill: #f6f8fa; stroke: #afb8c1 }
  .line { stroke: #59636e; fill: none }
  .head { fill: #59636e }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .ground { fill: #0d1117; stroke: #3d444d }
    .box { fill: #121d2f; stroke: #4493f8 }
    .good { fill: #12261e; stroke: #3fb950 }
    .bad { fill: #25171c; stroke: #f85149 }
    .plain { fill: #151b23; stroke: #6e7681 }
    .line { stroke: #9198a1 }
    .head { fill: #9198a1 }
  }
"""


def way_of_the_data() -> str:
    """Each step of a request, and on the right what the death of the process after it leaves."""
    steps = [
        ("adapter: the body, as it arrives", "plain", "nothing"),
        ("capacity: a place in this process, or a wait in line", "plain", "nothing"),
        ("parser: bytes become parts", "box", "nothing"),
        ("policy: limits before each write; type, filter and key at the first bytes", "box", "nothing"),
        ("stage every file", "box", "nothing visible; named staging files go at the next start"),
        ("the form has ended well, and every check agrees", "box", "the same"),
        ("publish all", "good", "some files of the request may be published"),
        ("handler: if it raises, its files are removed", "good", "files that no handler saw to its end"),
        ("answer", "plain", "the files, as they should be"),
    ]
    left_head = "If the process dies after it, there is left"
    drawn = [_text(24, 34, "What happens", "strong"), _text(532, 34, left_head, "strong")]
    for at, (step, kind, left) in enumerate(steps):
        top = 50 + at * 52
        drawn += [_box(24, top, 488, 34, kind), _text(38, top + 22, step), _text(532, top + 22, left, "faint")]
        if at:
            drawn.append(_arrow(268, top - 18, 268, top - 2))
    return _picture(940, 50 + len(steps) * 52, "The way of the data, and what a death at each step leaves", drawn)


def life_of_a_file() -> str:
    """The states of a file in a storage, and what moves it from one to the next."""
    boxes = [("open", 24, 60, "plain"), ("staged", 294, 60, "box"), ("published", 564, 60, "good")]
    boxes += [("discarded: nothing is left", 159, 200, "bad"), ("removed", 564, 200, "bad")]
    causes = "a limit, a refusal, a cut body, a client that is gone, cancellation, a full disk"
    drawn = []
    for name, left, top, kind in boxes:
        width = 270 if name.startswith("discarded") else 150
        drawn += [_box(left, top, width, 40, kind), _text(left + width / 2, top + 25, name, "strong", middle=True)]
    drawn += [
        _arrow(174, 80, 290, 80), _text(232, 70, "stage()", "code", middle=True),
        _arrow(444, 80, 560, 80), _text(502, 70, "commit()", "code", middle=True),
        _text(369, 30, "all bytes are down, nobody sees it", "faint", middle=True),
        _text(639, 30, "whole, under its key", "faint", middle=True),
        _arrow(99, 100, 220, 196), _text(76, 160, "discard()", "code", middle=True),
        _arrow(369, 100, 330, 196), _text(392, 160, "discard()", "code"),
        _text(294, 268, causes, "faint", middle=True),
        _arrow(639, 100, 639, 196), _text(650, 160, "delete()", "code"),
        _text(639, 290, "the handler raised, or somebody asked", "faint", middle=True),
    ]  # fmt: skip
    return _picture(860, 310, "The life of a file: open, staged, published, and how each ends", drawn)


def form_and_events() -> str:
    """A form as it is on the wire, and the events that the parser makes of it."""
    lines = [
        ("--x", "", "box"),
        ('Content-Disposition: form-data; name="title"', "", "plain"),
        ("", 'PartBegin(name="title")', "plain"),
        ("The sea", 'b"The sea"', "good"),
        ("--x", "PartEnd()", "box"),
        ('Content-Disposition: form-data; name="photo"; filename="sea.png"', "", "plain"),
        ("Content-Type: image/png", "", "plain"),
        ("", 'PartBegin(name="photo", filename="sea.png", ...)', "plain"),
        ("…89 50 4e 47 0d 0a 1a 0a …", "bytes, chunk by chunk: none is kept", "good"),
        ("--x--", "PartEnd(), FormEnd()", "box"),
    ]
    drawn = [_text(24, 34, "On the wire (each line ends with CRLF)", "strong"), _text(560, 34, "Events", "strong")]
    for at, (line, event, kind) in enumerate(lines):
        top = 48 + at * 30
        drawn += [_box(24, top, 500, 24, kind), _text(34, top + 16, line, "code")]
        if event:
            drawn += [_arrow(528, top + 12, 552, top + 12), _text(560, top + 16, event, "code")]
    return _picture(920, 48 + len(lines) * 30 + 14, "A form on the wire, and the parser's events", drawn)


def life_of_an_upload() -> str:
    """The states of an upload's record, and an arrow for every move that the table has."""
    middles = {
        State.RECEIVING: (100, 200, "plain"),
        State.STAGED: (310, 80, "box"),
        State.PROCESSING: (530, 210, "box"),
        State.COMPLETED: (760, 80, "good"),
        State.REJECTED: (310, 350, "bad"),
        State.FAILED: (530, 320, "bad"),
        State.QUARANTINED: (760, 250, "bad"),
    }
    drawn = []
    for before, (x, y, _) in middles.items():
        for after in (state for state in middles if state in MOVES[before]):
            to_x, to_y, _ = middles[after]
            drawn.append(_between((x, y), (to_x, to_y), aside=6 if before in MOVES[after] else 0))
    for state, (x, y, kind) in middles.items():
        drawn += [_box(x - 65, y - 20, 130, 40, kind), _text(x, y + 5, state, "strong", middle=True)]
    for at, state in enumerate(state for state in State if state not in middles):
        top = 410 + 50 * at
        others = [before for before in State if before is not state and state not in MOVES[before]]
        said = "from every other state" + (f" but {', '.join(others)}" if others else "")
        drawn += [_box(35, top, 130, 34, "plain"), _text(100, top + 22, state, "strong", middle=True)]
        drawn.append(_text(180, top + 22, said, "faint"))
    return _picture(860, 510, "The life of an upload: its states, and the moves between them", drawn)


PICTURES: dict[str, Callable[[], str]] = {
    "way-of-the-data.svg": way_of_the_data,
    "life-of-a-file.svg": life_of_a_file,
    "form-and-events.svg": form_and_events,
    "life-of-an-upload.svg": life_of_an_upload,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")


def _picture(width: int, height: int, title: str, drawn: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    ground = f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>'
    lines = [
        f'{head} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        ground,
        *drawn,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _box(left: float, top: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{left}" y="{top}" width="{width}" height="{height}" rx="5"/>'


def _text(left: float, top: float, text: str, kind: str = "", *, middle: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text class="{kind}" x="{left}" y="{top}"{anchor}>{escape(text)}</text>'


def _between(start: tuple[float, float], end: tuple[float, float], *, aside: float) -> str:
    """An arrow from box to box, of 130 by 40 around these middles, and a little to its right."""
    (x, y), (to_x, to_y) = start, end
    length = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
    across, down = (to_x - x) / length, (to_y - y) / length
    inside = min(67 / abs(across) if across else length, 22 / abs(down) if down else length)
    x, y, to_x, to_y = x - aside * down, y + aside * across, to_x - aside * down, to_y + aside * across
    points = x + inside * across, y + inside * down, to_x - inside * across, to_y - inside * down
    return _arrow(*(round(each, 1) for each in points))


def _arrow(left: float, top: float, right: float, bottom: float) -> str:
    length = ((right - left) ** 2 + (bottom - top) ** 2) ** 0.5
    across, down = (right - left) / length, (bottom - top) / length
    foot_x, foot_y = right - 8 * across, bottom - 8 * down
    points = [(right, bottom), (foot_x - 4 * down, foot_y + 4 * across), (foot_x + 4 * down, foot_y - 4 * across)]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    line = f'<path class="line" d="M{left},{top} L{foot_x:.1f},{foot_y:.1f}"/>'
    return f'{line}<polygon class="head" points="{head}"/>'


if __name__ == "__main__":
    main()
