"""Makes the audio and video samples of `media/` with ffmpeg, and `media/expected.json` with what ffprobe says of them.

Run it where ffmpeg is: python tests/samples/media.py. The files are committed, so that the tests need no ffmpeg; they
were made by 5.1 of Debian 12, which cannot itself write how a film is to be turned.
"""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "media"

PICTURE = "-f lavfi -i testsrc=size=64x48:rate=10:duration=1.5"
SOUND = "-f lavfi -i sine=frequency=440:sample_rate=22050:duration=1.4"
SPEECH = "-f lavfi -i sine=frequency=440:sample_rate=8000:duration=1.3"
BOTH = f"{PICTURE} {SOUND}"
EXACT = "-fflags +bitexact -flags:v +bitexact -flags:a +bitexact -map_metadata -1"

H264 = "-c:v libx264 -preset slow -crf 40 -g 5 -pix_fmt yuv420p"
AAC = "-c:a aac -b:a 16k"
MP4 = f"{H264} {AAC}"
FRAGMENTS = "-bf 0 -movflags +frag_keyframe"
VP8 = "-c:v libvpx -b:v 20k -g 5"
VORBIS = "-c:a libvorbis -q:a -1"
OPUS = "-c:a libopus -b:a 8k -ar 16000"
MP3 = "-c:a libmp3lame -b:a 16k"

SAMPLES = {
    # ISO media
    "index-last.mp4": f"{BOTH} {MP4}",
    "index-first.mp4": f"{BOTH} {MP4} -movflags +faststart",
    "upright.mp4": f"{BOTH} {MP4}",
    "upside-down.mp4": f"{BOTH} {MP4}",
    "upright.mov": f"{BOTH} {MP4}",
    "wide-pixels.mp4": f"{PICTURE} {H264} -aspect 16:9",
    "fragments.mp4": f"{BOTH} {MP4} {FRAGMENTS}+empty_moov",
    "fragments-after-film.mp4": f"{BOTH} {MP4} {FRAGMENTS}",
    "fragments-without-index.mp4": f"{BOTH} {MP4} {FRAGMENTS}+empty_moov+skip_trailer",
    "fragments-of-dash.mp4": f"{PICTURE} {H264} {FRAGMENTS}+empty_moov+dash+global_sidx+skip_trailer",
    "film.m4v": f"{BOTH} {MP4} -f ipod",
    "film.mov": f"{BOTH} {MP4}",
    "phone.3gp": f"{BOTH} {MP4}",
    "phone.3g2": f"{BOTH} {MP4}",
    "sound.m4a": f"{SOUND} {AAC}",
    # Matroska
    "film.mkv": f"{BOTH} {H264} {VORBIS}",
    "film.webm": f"{BOTH} {VP8} {VORBIS}",
    "wide-pixels.webm": f"{PICTURE} {VP8} -aspect 16:9",
    "streamed.webm": f"{BOTH} {VP8} {OPUS} -f webm pipe:",
    "sound.webm": f"{SOUND} {OPUS}",
    "sound.mka": f"{SOUND} {VORBIS}",
    # RIFF and AIFF
    "film.avi": f"{BOTH} -c:v mpeg4 -q:v 31 {MP3}",
    "titled.avi": f"{PICTURE} -c:v mpeg4 -q:v 31 -metadata title=odd",
    "plain.wav": f"{SPEECH} -c:a pcm_u8",
    "titled.wav": f"{SPEECH} -c:a pcm_u8 -metadata title=odd",
    "extensible.wav": f"{SPEECH} -c:a pcm_s24le -ac 1 -t 0.4",
    "float.wav": f"{SPEECH} -c:a pcm_f32le -t 0.3",
    "packed.wav": f"{SPEECH} -c:a adpcm_ima_wav",
    "streamed.wav": f"{SPEECH} -c:a pcm_u8 -f wav pipe:",
    "plain.aiff": f"{SPEECH} -c:a pcm_s16be -t 0.5",
    # FLAC and Ogg
    "sound.flac": f"{SPEECH} -c:a flac -t 0.6",
    "vorbis.ogg": f"{SOUND} {VORBIS}",
    "opus.opus": f"{SOUND} {OPUS}",
    "flac.ogg": f"{SPEECH} -c:a flac -f ogg",
    "theora.ogv": f"{BOTH} -c:v libtheora -q:v 1 -g 5 {VORBIS}",
    # MPEG audio
    "constant.mp3": f"{SOUND} {MP3} -write_xing 0",
    "constant-told.mp3": f"{SOUND} {MP3}",
    "varying.mp3": "-f lavfi -i aevalsrc=exprs=if(lt(t\\,2)\\,0\\,random(0)):sample_rate=22050:duration=4 "
    "-c:a libmp3lame -q:a 9 -write_xing 0",
    "varying-told.mp3": "-f lavfi -i aevalsrc=exprs=if(lt(t\\,2)\\,0\\,random(0)):sample_rate=22050:duration=4 "
    "-c:a libmp3lame -q:a 9",
    "cover.mp3": f"{SOUND} -f lavfi -i testsrc=size=64x48:rate=1:duration=1 -map 0 -map 1 -c:v mjpeg {MP3} "
    "-metadata title=sine -id3v2_version 3 -write_id3v1 1 -write_xing 0 -disposition:v attached_pic",
    "fast.mp3": "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=1.2 -ac 2 -c:a libmp3lame -b:a 32k",
    "sound.aac": f"{SOUND} {AAC} -f adts",
    # the rest
    "film.flv": f"{BOTH} -c:v flv -q:v 31 {MP3}",
    "streamed.flv": f"{BOTH} -c:v flv -q:v 31 {MP3} -flvflags no_duration_filesize -f flv pipe:",
    "film.wmv": f"{BOTH} -c:v wmv2 -q:v 31 -c:a wmav2 -b:a 24k",
    "sound.wma": f"{SOUND} -c:a wmav2 -b:a 24k",
    "film.mpg": f"{BOTH} -r 25 -c:v mpeg1video -q:v 31 -c:a mp2 -b:a 32k",
    "film.vob": f"{BOTH} -r 25 -c:v mpeg2video -q:v 31 -c:a mp2 -b:a 32k -f vob",
}

TURNED = {"upright.mp4": (0, 1, -1, 0), "upside-down.mp4": (-1, 0, 0, -1), "upright.mov": (0, -1, 1, 0)}
"""The first numbers of the matrix by which a player turns the film, as phones write it."""


def main() -> None:
    """Makes all of them anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, options in SAMPLES.items():
        make(FOLDER / name, options)
    told = {name: expected(FOLDER / name) for name in SAMPLES}
    text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(facts)}" for name, facts in told.items())
    (FOLDER / "expected.json").write_text("{\n" + text + "\n}\n", encoding="utf-8")


def make(path: Path, options: str) -> None:
    """What has `pipe:` is written as to a socket, so that nothing can be corrected at its beginning."""
    exact, piped = EXACT.split(), options.endswith("pipe:")
    words = options.removesuffix("pipe:").split()
    if "-metadata" in words:
        exact = exact[:-2]  # `-map_metadata -1` would drop it
    command = ["ffmpeg", "-v", "error", "-y", *words, *exact, "pipe:" if piped else str(path)]
    done = subprocess.run(command, check=True, capture_output=piped)
    if piped:
        path.write_bytes(done.stdout)
    if path.name in TURNED:
        turn(path, *TURNED[path.name])


def turn(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Writes another matrix into the first track, which is the film: ISO/IEC 14496-12, 8.3.2."""
    data = bytearray(path.read_bytes())
    struct.pack_into(">iiiiii", data, data.index(b"tkhd") + 44, a << 16, b << 16, 0, c << 16, d << 16, 0)
    path.write_bytes(data)


def expected(path: Path) -> dict[str, Any]:
    """The duration in seconds, None where the file does not tell it; the sides as they are seen; what it has."""
    told = probed(path, "-show_format", "-show_streams")
    films = [
        stream
        for stream in told["streams"]
        if stream["codec_type"] == "video" and not stream["disposition"]["attached_pic"]
    ]
    width, height = _sides(films[0]) if films else (None, None)
    return {
        "duration": _duration(path, told["format"]),
        "width": width,
        "height": height,
        "audio": any(stream["codec_type"] == "audio" for stream in told["streams"]),
        "video": bool(films),
    }


def _sides(film: dict[str, Any]) -> tuple[int, int]:
    width, height = film["width"], film["height"]
    across, down = map(int, film.get("sample_aspect_ratio", "1:1").split(":"))
    if across > 0:
        width = round(width * across / down)
    turned = sum(side.get("rotation", 0) for side in film.get("side_data_list", ()))
    return (height, width) if turned % 180 else (width, height)


def _duration(path: Path, told: dict[str, Any]) -> float | None:
    """MPEG audio has no header that tells it: ffprobe's estimate is none, and the packets are added up."""
    if path.suffix in (".mp3", ".aac"):
        packets = probed(path, "-show_packets", "-select_streams", "a")["packets"]
        return round(sum(float(packet["duration_time"]) for packet in packets), 3)
    return None if "duration" not in told else round(float(told["duration"]), 3)


def probed(path: Path, *words: str) -> dict[str, Any]:
    """What ffprobe answers."""
    command = ["ffprobe", "-v", "error", "-of", "json", *words, str(path)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer


if __name__ == "__main__":
    main()
