"""Routes: which request goes to which endpoint, and what stands before all of them."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from . import endpoints
from .dependencies import signed_in

router = APIRouter(prefix="/files", dependencies=[Depends(signed_in)])
router.add_api_route("", endpoints.add, methods=["POST"], status_code=201)
router.add_api_route("/{id}", endpoints.find, methods=["GET"])
router.add_api_route("/{id}/content", endpoints.content, methods=["GET"], name="content")
router.add_api_route("/{id}", endpoints.remove, methods=["DELETE"], status_code=204)
