"""Documents by LibreOffice, written into the folder that is named. `make.py` runs it with the system's Python, since
for its `uno` there is no wheel:

    /usr/bin/python3 office.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import uno
from com.sun.star.beans import PropertyValue

TEXT = {
    "doc": "MS Word 97",
    "docx": "MS Word 2007 XML",
    "fodt": "OpenDocument Text Flat XML",
    "odt": "writer8",
    "pdf": "writer_pdf_Export",
    "rtf": "Rich Text Format",
}
TABLE = {"ods": "calc8", "xls": "MS Excel 97", "xlsx": "Calc MS Excel 2007 XML"}
SLIDES = {"odp": "impress8", "ppt": "MS PowerPoint 97", "pptx": "Impress MS PowerPoint 2007 XML"}

CALC = "47BBB4CB-CE4C-4E80-a591-42d9ae74950f"
"""The class of a table that is put into something else."""


class Office:
    """A LibreOffice of its own, without a window."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        profile = (self.folder / ".profile").as_uri()
        words = ["--headless", "--norestore", "--accept=pipe,name=make;urp;", f"-env:UserInstallation={profile}"]
        self.process = subprocess.Popen(["soffice", *words])
        self.desktop = self._desktop()

    def _desktop(self) -> Any:
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
        while self.process.poll() is None:
            with suppress(Exception):  # it is not there yet
                context = resolver.resolve("uno:pipe,name=make;urp;StarOffice.ComponentContext")
                return context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
            time.sleep(0.5)
        raise SystemExit("soffice did not start")

    def new(self, kind: str) -> Any:
        return self.desktop.loadComponentFromURL(f"private:factory/{kind}", "_blank", 0, settings(Hidden=True))

    def convert(self, source: str, target: str, written: str) -> None:
        document = self.desktop.loadComponentFromURL(
            (self.folder / source).as_uri(), "_blank", 0, settings(Hidden=True)
        )
        self.save(document, target, written)
        document.close(True)

    def save(self, document: Any, name: str, written: str, **words: str) -> None:
        document.storeToURL((self.folder / name).as_uri(), settings(FilterName=written, **words))

    def close(self) -> None:
        with suppress(Exception):  # it hangs up before it answers
            self.desktop.terminate()
        self.process.wait()


def settings(**words: Any) -> tuple[Any, ...]:
    made = []
    for name, value in words.items():
        each = PropertyValue()
        each.Name, each.Value = name, value
        made.append(each)
    return tuple(made)


def with_basic(document: Any) -> None:
    libraries = document.BasicLibraries
    if not libraries.hasByName("Standard"):
        libraries.createLibrary("Standard")
    libraries.getByName("Standard").insertByName("Module1", 'Sub Main\n MsgBox "hello"\nEnd Sub\n')


def texts(office: Office) -> None:
    letter = office.new("swriter")
    letter.Text.String = "A letter"
    for ending, written in TEXT.items():
        office.save(letter, f"letter.{ending}", written)
    for ending in ("odt", "doc"):
        office.save(letter, f"locked.{ending}", TEXT[ending], Password="secret")
    with_basic(letter)
    for ending in ("odt", "fodt"):
        office.save(letter, f"macro.{ending}", TEXT[ending])
    letter.close(True)

    holding = office.new("swriter")
    inside = holding.createInstance("com.sun.star.text.TextEmbeddedObject")
    inside.CLSID = CALC
    holding.Text.insertTextContent(holding.Text.createTextCursor(), inside, False)
    for ending in ("doc", "docx", "odt", "fodt"):
        office.save(holding, f"embedded.{ending}", TEXT[ending])
    holding.close(True)


def tables(office: Office) -> None:
    table = office.new("scalc")
    table.Sheets.getByIndex(0).getCellByPosition(0, 0).Formula = "=1+1"
    table.Sheets.insertNewByName("Other", 1)
    for ending, written in TABLE.items():
        office.save(table, f"table.{ending}", written)
    office.save(table, "locked.xls", TABLE["xls"], Password="secret")
    with_basic(table)
    office.save(table, "macro.ods", TABLE["ods"])
    table.close(True)
    office.convert("macro.xlsm", "macro.xls", TABLE["xls"])


def slides(office: Office) -> None:
    shown = office.new("simpress")
    for ending, written in SLIDES.items():
        office.save(shown, f"slides.{ending}", written)
    inside = shown.createInstance("com.sun.star.drawing.OLE2Shape")
    shown.DrawPages.getByIndex(0).add(inside)
    inside.CLSID = CALC
    office.save(shown, "embedded.ppt", SLIDES["ppt"])
    shown.close(True)


if __name__ == "__main__":
    libreoffice = Office(Path(sys.argv[1]))
    texts(libreoffice)
    tables(libreoffice)
    slides(libreoffice)
    libreoffice.close()
