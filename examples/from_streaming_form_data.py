"""The way over from streaming-form-data, each step a route that takes the same form.

flask --app examples/from_streaming_form_data.py run
curl -F name=Ada -F avatar=@photo.jpg http://127.0.0.1:5000/before
"""

from __future__ import annotations

import secrets
from pathlib import Path

from flask import Flask, Response, request
from streaming_form_data import StreamingFormDataParser
from streaming_form_data.targets import FileTarget, ValueTarget
from streaming_form_data.validators import MaxSizeValidator

from uploadkit import IMAGES, DiskStorage, File, Limits, Submission, Text, Uploader, UploadError
from uploadkit.adapters.flask import receive
from uploadkit.adapters.problem import problem_body, problem_headers
from uploadkit.adapters.streaming_form_data import FormTargets

uploads = Path("uploads")
uploads.mkdir(exist_ok=True)
app = Flask(__name__)

upload = Uploader(DiskStorage(uploads), limits=Limits(file_size="5 MB"))
avatar_form = upload.single("avatar", accept=IMAGES)
profile_form = upload.fields(
    File("avatar", required=True, accept=IMAGES),
    Text("name", required=True, max_length=80),
)


@app.post("/before")
def before() -> dict[str, object]:
    name = ValueTarget(validator=MaxSizeValidator(80))
    avatar = FileTarget(str(uploads / secrets.token_hex()), validator=MaxSizeValidator(5_000_000))
    parser = StreamingFormDataParser(headers=dict(request.headers))
    parser.register("name", name)
    parser.register("avatar", avatar)
    while chunk := request.stream.read(1 << 16):
        parser.data_received(chunk)
    return {"name": name.value.decode(), "filename": avatar.multipart_filename}


@app.post("/one-target")
def one_target() -> dict[str, object]:
    name = ValueTarget(validator=MaxSizeValidator(80))
    with FormTargets(avatar_form) as form:
        parser = StreamingFormDataParser(headers=dict(request.headers))
        parser.register("name", name)
        parser.register("avatar", form.target("avatar"))
        while chunk := request.stream.read(1 << 16):
            parser.data_received(chunk)
        avatar = form.finish()
        return {"name": name.value.decode(), "filename": avatar.filename}


@app.post("/every-target")
def every_target() -> dict[str, object]:
    with FormTargets(profile_form) as form:
        parser = StreamingFormDataParser(headers=dict(request.headers))
        form.register(parser)
        while chunk := request.stream.read(1 << 16):
            parser.data_received(chunk)
        submission = form.finish()
        return {"name": submission.fields["name"], "filename": submission.files[0].filename}


@app.post("/after")
@receive(profile_form)
def after(submission: Submission) -> dict[str, object]:
    return {"name": submission.fields["name"], "filename": submission.files[0].filename}


@app.errorhandler(UploadError)
def refused(error: UploadError) -> Response:
    return Response(problem_body(error), error.status, problem_headers(error))
