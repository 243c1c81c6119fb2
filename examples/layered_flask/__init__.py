"""Uploads in layers, in Flask's words: blueprints, functions before a request, views, services.

APP_TOKEN=secret flask --app examples/layered_flask/app.py run --port 8000
curl -H 'Authorization: Bearer secret' -F title=Holiday -F files=@photo.jpg http://127.0.0.1:8000/files
"""

from __future__ import annotations
