"""What Alembic runs for each command: the migrations, over the connection that `upgrade` has been given."""

from __future__ import annotations

from alembic import context

from uploadkit.records.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
