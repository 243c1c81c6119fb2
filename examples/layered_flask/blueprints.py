"""Routes: which request goes to which view, and what stands before all of them."""

from __future__ import annotations

from flask import Blueprint

from . import views
from .before import sign_in

files = Blueprint("files", __name__, url_prefix="/files")
files.before_request(sign_in)
files.add_url_rule("", view_func=views.add, methods=["POST"])
files.add_url_rule("/<id>", view_func=views.find, methods=["GET"])
files.add_url_rule("/<id>/content", view_func=views.content, methods=["GET"])
files.add_url_rule("/<id>", view_func=views.remove, methods=["DELETE"])
