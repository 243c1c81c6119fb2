"""What uploadkit sees in files, without a form. Run it: python examples/inspecting.py FILE..."""

from __future__ import annotations

import sys

from uploadkit import DOCUMENTS, IMAGES
from uploadkit.content.inspection import Result, inspect_file


def main() -> None:
    for path in sys.argv[1:]:
        seen = inspect_file(path, accept=[IMAGES, DOCUMENTS])
        print(path, seen.content_type, seen.result.value)
        for verdict in (seen.agreement, *seen.checks):
            if verdict.result is not Result.PASSED:
                print(" ", verdict.check, verdict.text)


if __name__ == "__main__":
    main()
