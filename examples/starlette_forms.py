"""Two endpoints of Starlette as they are written without uploadkit, served by it. Run it:

uvicorn --app-dir examples starlette_forms:app
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, Uploader
from uploadkit.adapters.starlette import StoredFile, request_form

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


@request_form(upload.any(accept="text/csv"))
async def count(request: Request) -> Response:
    async with request.form() as form:
        table = form.get("table")
        if not isinstance(table, UploadFile):
            return JSONResponse({"error": "a table is needed"}, 422)
        lines = (await table.read()).count(b"\n")
        return JSONResponse({"filename": table.filename, "lines": lines})


@request_form(upload.any(accept=[IMAGES, DOCUMENTS]))
async def profile(request: Request) -> Response:
    async with request.form() as form:
        avatar = form.get("avatar")
        if not isinstance(avatar, StoredFile):
            return JSONResponse({"error": "an avatar is needed"}, 422)
        file = avatar.keep()
    return JSONResponse(
        {"filename": file.filename, "content_type": file.content_type, "size": file.size, "sha256": file.digest}
    )


app = Starlette(routes=[Route("/count", count, methods=["POST"]), Route("/profile", profile, methods=["POST"])])
