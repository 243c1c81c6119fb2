"""A form of Flask-WTF on uploadkit. Run it: flask --app examples/flask_wtf_app.py run

Without the line that sets `app.request_class` its first view is as Flask-WTF's own documentation has it.
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, flash, redirect, render_template_string, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import CSRFProtect, FlaskForm
from flask_wtf.file import FileAllowed, FileField, FileRequired
from werkzeug.utils import secure_filename
from wtforms import StringField
from wtforms.validators import DataRequired

from uploadkit import IMAGES, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.flask import request_class

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "for development alone")
CSRFProtect(app)

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"), accept=IMAGES)
app.request_class = request_class(upload.any(), errors_in_form=True)

pictures = Path("pictures")
pictures.mkdir(exist_ok=True)


class ProfileForm(FlaskForm):
    name = StringField(validators=[DataRequired()])
    avatar = FileField(validators=[FileRequired(), FileAllowed(["jpg", "jpeg", "png", "webp"], "Images only!")])


@app.route("/profile", methods=["GET", "POST"])
def profile() -> ResponseReturnValue:
    form = ProfileForm()
    if form.validate_on_submit():
        avatar = form.avatar.data
        avatar.save(pictures / secure_filename(avatar.filename))
        flash(f"Hello {form.name.data}")
        return redirect(url_for("profile"), 303)
    return render_template_string(PAGE, form=form)


@app.post("/kept")
def kept() -> ResponseReturnValue:
    avatar = request.files["avatar"]
    if not avatar:
        return {"error": "choose a picture"}, 422
    file: UploadedFile = avatar.keep()
    return {"key": file.key, "filename": file.filename, "content_type": file.content_type, "sha256": file.digest}


PAGE = """<!doctype html>
<html lang="en">
<title>Profile</title>
{% for message in get_flashed_messages() %}<p role="status">{{ message }}</p>{% endfor %}
<form method="post" enctype="multipart/form-data">
  {{ form.hidden_tag() }}
  {% for field in [form.name, form.avatar] %}
  <p>{{ field.label }} {{ field() }}{% for error in field.errors %} <strong>{{ error }}</strong>{% endfor %}</p>
  {% endfor %}
  <button>Save</button>
</form>
</html>
"""
