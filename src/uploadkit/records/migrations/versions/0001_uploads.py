"""Uploads, their moves, what was done to them and is to be told, what comes in several requests, and who works."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "uploadkit_uploads",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("previous", sa.String(16)),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.Column("field", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("client_filename", sa.String, nullable=False),
        sa.Column("content_type", sa.String, nullable=False),
        sa.Column("declared_type", sa.String),
        sa.Column("size", sa.BigInteger),
        sa.Column("reserved", sa.BigInteger),
        sa.Column("sha256", sa.String(64)),
        sa.Column("storage", sa.String(255)),
        sa.Column("key", sa.String(1024)),
        sa.Column("batch", sa.String(64)),
        sa.Column("owner", sa.String(255)),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("priority", sa.Integer),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("reason", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_uploadkit_uploads"),
    )
    _index("uploadkit_uploads", "state", "changed_at")
    _index("uploadkit_uploads", "owner", "created_at")
    _index("uploadkit_uploads", "owner", "state", "size", "reserved")
    _index("uploadkit_uploads", "created_at", "id")
    _index("uploadkit_uploads", "batch")
    _index("uploadkit_uploads", "expires_at")
    _index("uploadkit_uploads", "storage", "key")
    op.create_index(
        "uq_uploadkit_uploads_owner_idempotency_key", "uploadkit_uploads", ["owner", "idempotency_key"], unique=True
    )
    of_nobody = sa.column("owner").is_(None)
    op.create_index(
        "uq_uploadkit_uploads_idempotency_key",
        "uploadkit_uploads",
        ["idempotency_key"],
        unique=True,
        sqlite_where=of_nobody,
        postgresql_where=of_nobody,
    )
    op.create_table(
        "uploadkit_moves",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("upload", sa.String(64), nullable=False),
        sa.Column("before", sa.String(16)),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("reason", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_uploadkit_moves"),
        _of_upload("uploadkit_moves"),
    )
    _index("uploadkit_moves", "upload")
    op.create_table(
        "uploadkit_results",
        sa.Column("upload", sa.String(64), nullable=False),
        sa.Column("processor", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("token", sa.String(32)),
        sa.Column("claimed_until", _MOMENT),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("done_at", _MOMENT),
        sa.Column("told", sa.JSON),
        sa.PrimaryKeyConstraint("upload", "processor", "digest", name="pk_uploadkit_results"),
        _of_upload("uploadkit_results"),
    )
    not_done = sa.column("done_at").is_(None)
    op.create_index(
        "ix_uploadkit_results_claimed_until",
        "uploadkit_results",
        ["claimed_until"],
        sqlite_where=not_done,
        postgresql_where=not_done,
    )
    op.create_table(
        "uploadkit_objects",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("upload", sa.String(64), nullable=False),
        sa.Column("processor", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("storage", sa.String(255), nullable=False),
        sa.Column("key", sa.String(1024), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploadkit_objects"),
        sa.ForeignKeyConstraint(
            ["upload", "processor", "digest"],
            [f"uploadkit_results.{name}" for name in ("upload", "processor", "digest")],
            name="fk_uploadkit_objects_upload_processor_digest",
            ondelete="CASCADE",
        ),
    )
    _index("uploadkit_objects", "upload", "processor", "digest")
    _index("uploadkit_objects", "storage", "key")
    op.create_table(
        "uploadkit_resumables",
        sa.Column("upload", sa.String(64), nullable=False),
        sa.Column("length", sa.BigInteger),
        sa.Column("storage", sa.String(255), nullable=False),
        sa.Column("kept", sa.String, nullable=False),
        sa.Column("told", sa.JSON, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("token", sa.String(32)),
        sa.Column("held_at", _MOMENT),
        sa.Column("held_until", _MOMENT),
        sa.Column("wanted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("upload", name="pk_uploadkit_resumables"),
        _of_upload("uploadkit_resumables"),
    )
    _index("uploadkit_resumables", "expires_at")
    op.create_table(
        "uploadkit_outbox",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("upload", sa.String(64), nullable=False),
        sa.Column("fact", sa.JSON, nullable=False),
        sa.Column("taken_until", _MOMENT),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploadkit_outbox"),
        sqlite_autoincrement=True,
    )
    _index("uploadkit_outbox", "upload", "id")
    op.create_table(
        "uploadkit_workers",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("queues", sa.JSON, nullable=False),
        sa.Column("began_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploadkit_workers"),
    )


def downgrade() -> None:
    """Removes them, and what is in them."""
    for table in ("workers", "outbox", "resumables", "objects", "results", "moves", "uploads"):
        op.drop_table(f"uploadkit_{table}")


def _index(table: str, *columns: str) -> None:
    op.create_index("_".join(("ix", table, *columns)), table, [*columns])


def _of_upload(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["upload"], ["uploadkit_uploads.id"], name=f"fk_{table}_upload", ondelete="CASCADE")
