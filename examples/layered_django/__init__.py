"""Uploads in layers, in Django's words: urls, middleware, views, services.

APP_TOKEN=secret gunicorn --pythonpath examples layered_django.wsgi
curl -H 'Authorization: Bearer secret' -F title=Holiday -F files=@photo.jpg http://127.0.0.1:8000/files
"""

from __future__ import annotations
