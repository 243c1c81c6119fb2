"""The example of direct uploads that a pipeline remembers, with a real bucket."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import requests
from tests.docs.documents import ROOT
from tests.storage.s3.places import place_on
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import KEY, REGION, SECRET, S3Server

from uploadkit.errors import RecordMissing
from uploadkit.testing import sample


def test_an_upload_is_its_owners_and_is_worked_on(
    weed: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else finds none."""
    data = sample("video/mp4", size=3000)
    monkeypatch.chdir(tmp_path)
    with place_on(weed) as place:
        for name, value in {
            "BUCKET": place.url,
            "S3_ENDPOINT": place.server.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
        }.items():
            monkeypatch.setenv(name, value)
        example = runpy.run_path(str(ROOT / "examples" / "direct_pipeline.py"))
        anns = example["uploads_of"]("ann")
        form = anns.begin("film.mp4", "video/mp4", len(data))
        sent = requests.post(form.url, data=form.fields, files={"file": ("film.mp4", data)}, timeout=20)
        assert sent.status_code in (200, 204)
        with pytest.raises(RecordMissing):
            example["uploads_of"]("bob").finish(form.token)
        file = anns.finish(form.token)
        record = example["pipeline"].ledger.get(form.id)
        assert (record.owner, str(record.state), record.key) == ("ann", "completed", file.key)
        assert (place.keys(), place.uploads()) == ([file.key], [])
        example["pipeline"].close()
        example["storage"].close()
