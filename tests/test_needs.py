"""A test that needs what is not there is left out and named at the end, and under CI it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import needs

TEST = """
import pytest

@pytest.mark.needs("moon")
def test_on_the_moon(): pass

@pytest.mark.needs("ground")
def test_on_the_ground(): pass
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 passed, 1 skipped"), ("true", "1 passed, 1 error")])
def test_what_is_left_out_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ci: str, outcome: str
) -> None:
    """The end of a run says which need was not met, why it matters and how to meet it."""
    moon = needs.Need(met=lambda: False, reason="there is no air here", install="apt-get install moon")
    ground = needs.Need(met=lambda: True, reason="it is there", install="nothing")
    monkeypatch.setattr(needs, "NEEDS", {"moon": moon, "ground": ground})
    monkeypatch.setenv("CI", ci)
    (tmp_path / "test_moon.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = ignore")
    pytest.main(["-p", "no:cacheprovider", "--import-mode=importlib", str(tmp_path)], plugins=[needs])
    report = capsys.readouterr().out
    assert outcome in report
    assert "moon: 1 test; there is no air here\n    apt-get install moon\n" in report
    assert "ground:" not in report
    assert ("Failed: needs moon: there is no air here; apt-get install moon" in report) == (ci == "true")
