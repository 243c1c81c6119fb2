"""glibc's allocator, which by default gives large buffers back to the kernel and asks for them again, page by page."""

from __future__ import annotations

import os

_BLOCK = 16 << 20


def tune_allocator() -> bool:
    """Lets this process keep the memory of buffers up to 16 MiB for the next ones. Whether that could be done.

    Call it once when the process starts. Servers read bodies in chunks of some 256 KB, for which glibc maps, trims
    and unmaps memory again and again: more than half of what receiving an upload costs. It learns from what is freed
    (mallopt(3), "M_MMAP_THRESHOLD", dynamic adjustment): one block of 16 MiB, allocated and freed here and never
    touched, teaches it to keep as much. It holds for the whole process, not for uploads alone, which may then keep up
    to 32 MiB that it does not use. Where the C library is not glibc nothing is done.
    """
    if not _is_glibc():
        return False
    bytearray(_BLOCK)
    return True


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # no such name, or no such function
        return False
