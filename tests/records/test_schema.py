"""The tables: what the migrations make is what the schema says, and a ledger knows its own version."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from tests.records.ledgers import Place, add

from uploadkit.records.ledger import Ledger
from uploadkit.records.migrations import scripts
from uploadkit.records.schema import VERSION, VERSION_TABLE, metadata


def test_the_migrations_make_the_tables_of_the_schema(ledger: Ledger) -> None:
    """By Alembic's judgement, and by the database's own description of every table, index and constraint."""
    with ledger._database.writing() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        migrated = described(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert described(connection) == migrated
        assert len(migrated) > 50


def described(connection: Connection) -> list[tuple[object, ...]]:
    """Every column, index and constraint of the ledger's tables, in the database's words."""
    if connection.dialect.name == "sqlite":
        made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE name LIKE '%uploadkit_%'"))
        lines = [(name, line.strip().rstrip(",")) for name, sql in made if sql for line in sql.splitlines()]
    else:
        queries = (
            "SELECT table_name, column_name, data_type, is_nullable, column_default, character_maximum_length, "
            "datetime_precision FROM information_schema.columns WHERE table_name LIKE 'uploadkit_%'",
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'uploadkit_%'",
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid::regclass::text LIKE 'uploadkit_%'",
        )
        lines = [tuple(row) for query in queries for row in connection.execute(text(query))]
    return sorted((line for line in lines if line[0] != VERSION_TABLE), key=repr)


def test_the_version_is_that_of_the_last_migration(ledger: Ledger) -> None:
    """It is written down, so that a process does not need Alembic to look."""
    directory = ScriptDirectory.from_config(scripts())
    assert directory.get_current_head() == VERSION
    assert all(len(script.revision) == 4 and script.revision.isdigit() for script in directory.walk_revisions())


def test_a_migration_can_be_made_again(ledger: Ledger) -> None:
    """It changes nothing, and nobody else's tables stand in its way."""
    add(ledger, "u")
    ledger.migrate()
    assert ledger.get("u").id == "u"


def test_what_a_migration_makes_it_can_remove(ledger: Ledger) -> None:
    """All of it."""
    from alembic import command

    with ledger._database.writing() as connection:
        config = scripts()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == [VERSION_TABLE]


def test_a_ledger_of_a_newer_version_is_left_alone(ledger: Ledger, place: Place) -> None:
    """Whoever has not been brought up to date says so at the first call, and at a migration too."""
    add(ledger, "u")
    with ledger._database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    older = place.ledger()
    for call in (older.count, older.migrate):
        with pytest.raises(RuntimeError, match="of a newer version of uploadkit: 9999, where this one knows"):
            call()
    assert ledger.get("u").id == "u", "who was there before goes on"


def test_tables_are_made_by_themselves_in_sqlite_alone(place: Place) -> None:
    """In PostgreSQL somebody has to say so: the error names the call."""
    ledger = place.ledger()
    if place.is_sqlite:
        assert ledger.count() == {}
        return
    with pytest.raises(RuntimeError, match=r"no tables of a ledger: Ledger\(url\).migrate\(\) makes them"):
        ledger.count()
    ledger.migrate()
    assert ledger.count() == {}
    with ledger._database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0000'"))
    with pytest.raises(
        RuntimeError, match=r"of an older version, 0000: Ledger\(url\).migrate\(\) brings it up to date"
    ):
        place.ledger().count()


def test_a_ledger_in_use_loads_no_alembic(place: Place) -> None:
    """A web process does not need it where the tables are there."""
    place.ledger().migrate()
    program = (
        "import sys; from uploadkit.records.ledger import Ledger; ledger = Ledger(sys.argv[1]); ledger.count(); "
        "ledger.close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, place.url], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("missing", "url", "text"),
    [
        (
            "sqlalchemy",
            "sqlite:///x.db",
            "uploadkit.records.ledger needs SQLAlchemy: pip install 'pyuploadkit[records]'",
        ),
        ("psycopg", "postgresql://h/d", "a ledger in PostgreSQL needs psycopg: pip install 'pyuploadkit[postgres]'"),
    ],
)
def test_what_is_not_installed_is_named(missing: str, url: str, text: str) -> None:
    """With the line that installs it."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from uploadkit.records.ledger import Ledger; Ledger({url!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {text}"
