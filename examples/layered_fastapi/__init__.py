"""Uploads in layers, in FastAPI's words: routers, dependencies, endpoints, services.

APP_TOKEN=secret uvicorn --app-dir examples layered_fastapi.main:app
curl -H 'Authorization: Bearer secret' -F title=Holiday -F files=@photo.jpg http://127.0.0.1:8000/files
"""

from __future__ import annotations
