"""A form in a page that shows what was refused beside its field, with and without JavaScript.

Run it: flask --app examples/form_page.py run --port 8000
"""

from __future__ import annotations

from flask import Flask, redirect, render_template_string, request
from flask.typing import ResponseReturnValue

from uploadkit import IMAGES, DiskStorage, File, Limits, Submission, Text, Uploader, UploadError
from uploadkit.adapters.flask import receive

app = Flask(__name__)
upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))
profile_form = upload.fields(
    Text("name", required=True, max_length=40),
    File("avatar", required=True, accept=IMAGES),
)


@app.get("/")
def page() -> str:
    return render_template_string(PAGE, error=None)


@app.post("/")
@receive(profile_form, raise_errors=True)
def save(form: Submission) -> ResponseReturnValue:
    return redirect("/?saved", 303)


@app.errorhandler(UploadError)
def refused(error: UploadError) -> ResponseReturnValue:
    if request.headers.get("Accept") == "application/problem+json":  # the script below asks so
        return error.problem(), error.status, {"Content-Type": "application/problem+json"}
    return render_template_string(PAGE, error=error), error.status


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Profile</title>
<form method="post" enctype="multipart/form-data">
  {% for name, label, kind in [("name", "Name", "text"), ("avatar", "Picture", "file")] %}
  <p><label>{{ label }} <input type="{{ kind }}" name="{{ name }}"></label>
    <strong role="alert" data-for="{{ name }}">{% if error and error.field == name %}{{ error }}{% endif %}</strong></p>
  {% endfor %}
  <p><strong role="alert" data-for="">{% if error and not error.field %}{{ error }}{% endif %}</strong></p>
  <button>Save</button>
</form>
<script>
  const form = document.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = { Accept: "application/problem+json" };
    const answer = await fetch("", { method: "POST", body: new FormData(form), headers });
    if (answer.ok) { location = answer.url; return; }
    const problem = await answer.json();
    for (const alert of form.querySelectorAll("[role=alert]"))
      alert.textContent = alert.dataset.for === (problem.field ?? "") ? problem.detail : "";
  });
</script>
</html>
"""
