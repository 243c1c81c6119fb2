"""A gallery in the manner of Multer's: a page that takes pictures by form and by curl, and shows them.

    python examples/gallery.py
    curl -F photos=@cat.jpg -F photos=@dog.webp http://127.0.0.1:8000/photos

The pictures are kept in ./uploads, under keys that uploadkit makes; what a client calls them is shown, never used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from flask import Flask, redirect, render_template_string, request, send_from_directory, url_for
from flask.typing import ResponseReturnValue
from werkzeug import Response

from uploadkit import IMAGES, DiskStorage, Limits, UploadedFile, Uploader, UploadError
from uploadkit.adapters.flask import receive

root = Path("uploads").absolute()
app = Flask(__name__)
upload = Uploader(DiskStorage(root), limits=Limits(file_size="10 MB"), accept=IMAGES)


@app.get("/")
def page() -> str:
    return render_template_string(PAGE, pictures=_newest_first(), error=None)


@app.post("/photos")
@receive(upload.array("photos", max_count=12, required=True), raise_errors=True)
def add(photos: list[UploadedFile]) -> ResponseReturnValue:
    if _wants_page():
        return redirect(url_for("page"), 303)
    return {
        "photos": [
            {
                "url": url_for("picture", key=photo.key),
                "filename": photo.filename,
                "content_type": photo.content_type,
                "size": photo.size,
                "sha256": photo.digest,
            }
            for photo in photos
        ],
    }


@app.get("/photos/<key>")
def picture(key: str) -> Response:
    response = send_from_directory(root, key)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@app.errorhandler(UploadError)
def refused(error: UploadError) -> ResponseReturnValue:
    if _wants_page():
        return render_template_string(PAGE, pictures=_newest_first(), error=str(error)), error.status
    return error.problem(), error.status, {"Content-Type": "application/problem+json"}


def _wants_page() -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _newest_first() -> list[tuple[str, int]]:
    """Key and size of every picture. Names that begin with a dot are the storage's own."""
    files = [(file.name, file.stat()) for file in root.glob("[!.]*")]
    files.sort(key=lambda file: file[1].st_mtime, reverse=True)
    return [(key, found.st_size) for key, found in files]


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gallery</title>
<style>
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --accent: #2f6feb }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem }
  h1 { font-size: 1.5rem; margin: 0 0 1rem }
  form { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; padding: 1rem; border: 1px dashed var(--line);
         border-radius: .75rem }
  label { display: grid; gap: .25rem; font-size: .875rem; flex: 1 1 14rem }
  input { font: inherit; min-width: 0 }
  button { font: inherit; padding: .45rem 1.1rem; border: 0; border-radius: .4rem; cursor: pointer;
           color: #fff; background: var(--accent) }
  [role=alert] { padding: .6rem 1rem; border-radius: .5rem; color: #fff; background: #b3261e }
  ul { list-style: none; display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: .75rem;
       padding: 0; margin: 1.5rem 0 }
  img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .6rem;
        border: 1px solid var(--line) }
  footer, small, .empty { font-size: .875rem; opacity: .75 }
  code { font-size: .8125rem; overflow-wrap: anywhere }
</style>
<h1>Gallery</h1>
{% if error %}<p role="alert">{{ error }}. Nothing was stored.</p>{% endif %}
<form method="post" action="{{ url_for('add') }}" enctype="multipart/form-data">
  <label>Pictures, at most 12 of 10 MB <input type="file" name="photos" accept="image/*" multiple required></label>
  <button>Upload</button>
</form>
{% if pictures %}
<ul>
  {% for key, size in pictures %}
  <li><a href="{{ url_for('picture', key=key) }}"><img src="{{ url_for('picture', key=key) }}" alt="{{ key }}"
    loading="lazy"></a><small>{{ size | filesizeformat }}</small></li>
  {% endfor %}
</ul>
{% else %}<p class="empty">No pictures yet.</p>{% endif %}
<footer>Or from a terminal: <code>curl -F photos=@cat.jpg {{ url_for('add', _external=True) }}</code></footer>
</html>
"""


def main() -> None:
    options = argparse.ArgumentParser(description="A gallery: a page that takes pictures and shows them.")
    options.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    options.add_argument("--port", type=int, default=8000, help="the port (default: %(default)s)")
    chosen = options.parse_args()
    print(f"Gallery on http://{chosen.host}:{chosen.port}/ , pictures in {root}")
    app.run(chosen.host, chosen.port)


if __name__ == "__main__":
    main()
