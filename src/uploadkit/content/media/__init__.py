"""Audio and video: how long they last, and how large the picture is. Nothing is decoded, and no other package needed.

    media_info("film.mp4").duration

Each family of formats has a module: a walk over the structures that tell it, and over nothing else. It runs in this
process, since it calls no code but its own: whatever the bytes are, it reads at most 1 MiB of them through a `window`,
and what it cannot find is None.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from ...policy.signatures import HEAD_SIZE, detect
from ...storage.threads import in_thread
from ..sources import Source, opened_source
from .asf import read_asf
from .facts import Facts
from .flv import read_flv
from .iso import read_iso
from .matroska import read_matroska
from .mpeg import read_mpeg
from .mpeg_audio import read_mpeg_audio
from .riff import read_aiff, read_avi, read_wav
from .window import Window, WindowClosed
from .xiph import read_flac, read_ogg

__all__ = ["MediaInfo", "amedia_info", "media_info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What a medium says of itself; None where it does not, or where the file is no audio and no video.

    `duration` is in seconds, of the longest track. `width` and `height` are in pixels and as the film is to be seen:
    turned as its track says, and with pixels that are not square taken into account where the container tells of them.
    `audio` and `video` say whether there is such a track; a cover is no video.
    """

    duration: float | None = None
    width: int | None = None
    height: int | None = None
    audio: bool = False
    video: bool = False


def media_info(source: Source) -> MediaInfo:
    """What is known of an audio or video file without decoding it. Whatever the bytes are, they raise nothing.

    Raises what opening and reading `source` raises: `OSError`, or `ObjectMissing` and `StorageFailed` for an upload. A
    file is left at the position where it was.
    """
    with opened_source(source) as file:
        at = file.tell()
        try:
            return _info_of(file)
        finally:
            file.seek(at)


async def amedia_info(source: Source) -> MediaInfo:
    """The async twin of `media_info`."""
    return await in_thread(media_info, source)


def _info_of(file: BinaryIO) -> MediaInfo:
    """A walk that the window ends early has told what it had found until then."""
    facts = Facts()
    with suppress(WindowClosed):
        window = Window(file)
        reader = _READERS.get(detect(window.up_to(HEAD_SIZE, at=0)))
        if reader is not None:
            reader(window, facts)
    return MediaInfo(
        duration=facts.duration, width=facts.width, height=facts.height, audio=facts.audio, video=facts.video
    )


_ISO_MEDIA = ("video/mp4", "audio/mp4", "video/x-m4v", "video/quicktime", "video/3gpp", "video/3gpp2")

_READERS: dict[str, Callable[[Window, Facts], None]] = {
    **dict.fromkeys(_ISO_MEDIA, read_iso),
    **dict.fromkeys(("video/webm", "audio/webm", "video/matroska", "audio/matroska"), read_matroska),
    **dict.fromkeys(("video/x-ms-wmv", "audio/x-ms-wma"), read_asf),
    **dict.fromkeys(("video/ogg", "audio/ogg"), read_ogg),
    **dict.fromkeys(("audio/mpeg", "audio/aac"), read_mpeg_audio),
    "video/x-msvideo": read_avi,
    "audio/wav": read_wav,
    "audio/x-aiff": read_aiff,
    "audio/flac": read_flac,
    "video/x-flv": read_flv,
    "video/mpeg": read_mpeg,
}
