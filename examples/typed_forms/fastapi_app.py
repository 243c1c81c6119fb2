"""A typed form in FastAPI. Run it: uvicorn --app-dir examples/typed_forms fastapi_app:app"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from profile_form import Profile, answer, profile_form

from uploadkit.adapters.fastapi import receive

app = FastAPI()


@app.post("/profile")
async def create(profile: Annotated[Profile, receive(profile_form)]) -> dict[str, object]:
    return answer(profile)
