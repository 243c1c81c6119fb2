"""How the tables of a ledger came to be, step by step, for Alembic. `versions` has one file for each step."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Brings the tables up to date, inside the connection's transaction."""
    config = scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def scripts() -> Config:
    """Where Alembic finds the steps."""
    config = Config()
    config.set_main_option("script_location", "uploadkit.records:migrations")
    return config
