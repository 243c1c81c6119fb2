"""The examples for fsspec: an application over one of its filesystems, and SFTP to one host alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from examples.fsspec_sftp import uploads_on
from tests.adapters.servers import gunicorn, running
from tests.storage.fsspec.sftp import sftp_server
from tests.storage.kinds import get, put

from uploadkit.errors import StorageFailed
from uploadkit.testing import FormBuilder

JPEG = b"\xff\xd8\xff\xe0" + bytes(1000)


def test_the_application_answers_with_what_it_has_stored(tmp_path: Path) -> None:
    """Over the filesystem that the environment names."""
    form = FormBuilder().file("photo", JPEG, filename="a.jpg", content_type="image/jpeg")
    with running(gunicorn("fsspec_app:app", adapter="flask"), tmp_path, UPLOADS="memory://photos") as server:
        answer = server.post("photos", form)
    assert (answer.status, answer.json) == (200, {"filename": "a.jpg", "size": 1004, "begins": "ffd8ff"})


@pytest.mark.needs("sshd")
def test_a_storage_over_sftp_talks_to_the_host_that_it_was_told(tmp_path: Path) -> None:
    """Another host key is no connection, and nothing is sent."""
    pytest.importorskip("fsspec", "2026.9.0", reason="an older one takes every host key")
    with sftp_server(tmp_path / "ssh") as server:
        shown = subprocess.run(
            ["ssh-keygen", "-lf", tmp_path / "ssh" / "host_key.pub"], capture_output=True, text=True, check=True
        )
        login = {name: server.options[name] for name in ("port", "username", "key_filename", "look_for_keys")}
        storage = uploads_on(server.url(tmp_path / "root"), shown.stdout.split()[1], **login)
        assert get(storage, put(storage, "key")) == b"data"
        storage.close()

        other = uploads_on(server.url(tmp_path / "other"), "SHA256:of-another", **login)
        with pytest.raises(StorageFailed) as raised:
            put(other, "key")
        assert not raised.value.retryable
    assert not (tmp_path / "other").exists()
