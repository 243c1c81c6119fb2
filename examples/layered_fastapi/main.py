"""The application: the layers put together, and how errors are answered. uploadkit answers its own."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .routers import router
from .services import NoSuchFile

app = FastAPI()
app.include_router(router)


@app.exception_handler(NoSuchFile)
async def no_such_file(request: Request, error: NoSuchFile) -> JSONResponse:
    return await refused(request, HTTPException(404, "there is no such file"))


@app.exception_handler(HTTPException)
async def refused(request: Request, error: HTTPException) -> JSONResponse:
    problem = {"type": "about:blank", "status": error.status_code, "detail": error.detail}
    return JSONResponse(problem, error.status_code, error.headers, "application/problem+json")
