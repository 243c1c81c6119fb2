"""Smaller pictures of a file, as files beside it. Run it: python examples/thumbnails.py photo.jpg"""

from __future__ import annotations

import sys
from pathlib import Path

from uploadkit import DiskStorage
from uploadkit.content.variants import cover, inside, make_variants, width

SIZES = {
    "thumbnail": cover(200, 200, quality=80),
    "page": inside(800, 600),
    "wide": width(1280, format="webp"),
}


def main(picture: Path) -> None:
    made = make_variants(
        picture,
        SIZES,
        into=DiskStorage(picture.parent),
        key=lambda name, extension: f"{picture.stem}-{name}{extension}",
    )
    for variant in made.values():
        print(variant.key, variant.width, variant.height)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
