"""A typed form in Flask. Run it: flask --app examples/typed_forms/flask_app.py run"""

from __future__ import annotations

from flask import Flask
from profile_form import Profile, answer, profile_form

from uploadkit.adapters.flask import receive

app = Flask(__name__)


@app.post("/profile")
@receive(profile_form)
def create(profile: Profile) -> dict[str, object]:
    return answer(profile)
