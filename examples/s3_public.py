"""Pictures that everybody may see, behind a CDN, and papers that only their owner may. Run it: uvicorn s3_public:app"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from uploadkit import DOCUMENTS, IMAGES, S3Storage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)
bucket = os.environ.get("UPLOADS", "s3://uploads")
pictures = S3Storage(
    f"{bucket}/pictures",
    public_url=os.environ.get("CDN", "https://files.example-usercontent.com/pictures"),
    cache_control="public, max-age=31536000, immutable",
    name="pictures",
)
papers = S3Storage(f"{bucket}/papers", cache_control="private, no-store", name="papers")
picture_form = Uploader(pictures).single("picture", accept=IMAGES)
paper_form = Uploader(papers).single("paper", accept=DOCUMENTS)


@app.post("/pictures")
async def add_picture(picture: Annotated[UploadedFile, receive(picture_form)]) -> dict[str, str]:
    return {"url": picture.public_url()}


@app.post("/papers")
async def add_paper(paper: Annotated[UploadedFile, receive(paper_form)]) -> dict[str, str]:
    return {"key": paper.key}


@app.get("/papers/{key}")
def paper(key: str) -> RedirectResponse:
    """Ask here whether this user may have it."""
    return RedirectResponse(papers.sign_url(key, expires_seconds=60))
