"""The bench of the ledger runs on both databases, and writes its table where it belongs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench.ledger import main
from tests.postgres import PostgresServer


@pytest.mark.needs("postgres")
def test_it_measures_both_databases(
    postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five kinds of calls in each, and no file is left."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- ledger: begin -->\n<!-- ledger: end -->\nafter\n")
    database = postgres.create()
    main(["--quick", "--postgres", postgres.url(database), "--folder", str(tmp_path), "--markdown", str(page)])
    postgres.drop(database)
    lines = re.findall(r"^\| (SQLite|PostgreSQL) \| .+ \| [\d,]+ \| [\d,]* \|$", page.read_text(), re.MULTILINE)
    assert lines == ["SQLite"] * 5 + ["PostgreSQL"] * 5
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert "| SQLite | `add` |" in capsys.readouterr().out
    assert [each.name for each in tmp_path.iterdir()] == ["page.md"]
