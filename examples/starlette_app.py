"""One upload in Starlette. Run it: uvicorn --app-dir examples starlette_app:app"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.starlette import receive

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


@receive(upload.single("avatar", accept=[IMAGES, DOCUMENTS]))
async def profile(request: Request, avatar: UploadedFile) -> JSONResponse:
    return JSONResponse(
        {
            "filename": avatar.filename,
            "content_type": avatar.content_type,
            "size": avatar.size,
            "sha256": avatar.digest,
        }
    )


app = Starlette(routes=[Route("/profile", profile, methods=["POST"])])
