"""The pipeline of the service by a name, for its worker: settings are those of the environment."""

from __future__ import annotations

from uploadkit.service.parts import pipeline_of
from uploadkit.service.settings import Settings

pipeline = pipeline_of(Settings.load())
