"""Files from one storage to another: promoted, copied, listed. Run it: python examples/moving_files.py"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from uploadkit import DiskStorage, UploadedFile, Uploader, copy_object, promote, receive
from uploadkit.testing import FormBuilder

staging, media = DiskStorage("staging"), DiskStorage("media")
upload = Uploader(staging)
album = upload.array("photos")


def keep(photo: UploadedFile) -> UploadedFile:
    """Moves a photo to where it stays. May be called again after whatever went wrong."""
    return promote(photo, to=media, key=f"photos/{photo.key}")


def forget_old(age: timedelta) -> int:
    """Removes what was taken in and never promoted; returns how many."""
    before = datetime.now(UTC) - age
    old = [found.key for found in staging.list() if found.modified is not None and found.modified < before]
    for key in old:
        staging.delete(key)
    return len(old)


def main() -> None:
    form = FormBuilder().file("photos", b"sea", filename="sea.txt").file("photos", b"shore", filename="shore.txt")
    sea, shore = receive(album, form.content_type, [form.body])

    kept = keep(sea)
    print("kept     ", kept.filename, kept.size, kept.read())
    copy_object(kept.key, "cover.txt", source=media, target=media)
    copy_object(kept.key, f"backup/{kept.key}", source=media, target=staging)

    print("media    ", sorted(found.key.partition("/")[0] for found in media.list()))
    print("photos   ", [(found.size, found.key == kept.key) for found in media.list("photos/")])
    print("left over", shore.filename, forget_old(timedelta(0)))


if __name__ == "__main__":
    main()
