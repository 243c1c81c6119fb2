"""The tables of a ledger. `migrations` makes them, and a test holds the two equal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

VERSION: Final = "0001"
"""The last of the migrations. Their numbers have four digits, so that of two the greater one is the newer one."""

VERSION_TABLE: Final = "uploadkit_version"
"""Where a ledger says which it has. Not Alembic's own name: that is the application's, in the same database."""

ID_LENGTH: Final = 64

KEY_LENGTH: Final = 1024
"""S3's own limit; PostgreSQL has no index of more than 2700 bytes."""


class Moment(TypeDecorator[datetime]):
    """A moment with its time zone, in UTC. SQLite keeps none, so that it is taken off there, and put on again."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = DateTime(timezone=True)
    cache_ok: bool | None = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """A moment without a zone is a mistake of the program: nobody knows when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment has a time zone: {value!r}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text that both databases take: SQLite heeds no length, and PostgreSQL keeps no NUL."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = String
    cache_ok: bool | None = True

    def __init__(self, most: int | None = None) -> None:
        super().__init__(most)
        self.most: int | None = most

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if self.most is not None and len(value) > self.most:
            raise ValueError(f"longer than {self.most} characters: {value[:40]!r}…")
        if "\0" in value:
            raise ValueError(f"text with a NUL: {value[:40]!r}")
        return str(value)  # a state is more than that


# SQLite counts by itself only in a column that is called INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _of_upload(**words: Any) -> Column[str]:
    return Column("upload", Words(64), ForeignKey("uploadkit_uploads.id", ondelete="CASCADE"), nullable=False, **words)


uploads: Final = Table(
    "uploadkit_uploads",
    metadata,
    Column("id", Words(ID_LENGTH), primary_key=True),
    Column("state", Words(16), nullable=False),
    Column("previous", Words(16)),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("field", Words, nullable=False),
    Column("filename", Words, nullable=False),
    Column("client_filename", Words, nullable=False),
    Column("content_type", Words, nullable=False),
    Column("declared_type", Words),
    Column("size", BigInteger),
    Column("reserved", BigInteger),
    Column("sha256", Words(64)),
    Column("storage", Words(255)),
    Column("key", Words(KEY_LENGTH)),
    Column("batch", Words(64)),
    Column("owner", Words(255)),
    Column("idempotency_key", Words(255)),
    Column("priority", Integer),
    Column("tags", JSON, nullable=False),
    Column("expires_at", Moment),
    Column("reason", Words),
    Index(None, "state", "changed_at"),
    Index(None, "owner", "created_at"),
    Index(None, "owner", "state", "size", "reserved"),  # what an owner has is counted in the index alone
    Index(None, "created_at", "id"),
    Index(None, "batch"),
    Index(None, "expires_at"),
    Index(None, "storage", "key"),
    Index("uq_uploadkit_uploads_owner_idempotency_key", "owner", "idempotency_key", unique=True),
)
# To a database no NULL is equal to another: what belongs to nobody needs an index of its own.
Index(
    "uq_uploadkit_uploads_idempotency_key",
    uploads.c.idempotency_key,
    unique=True,
    sqlite_where=uploads.c.owner.is_(None),
    postgresql_where=uploads.c.owner.is_(None),
)

moves: Final = Table(
    "uploadkit_moves",
    metadata,
    Column("id", _Number, primary_key=True),
    _of_upload(index=True),
    Column("before", Words(16)),
    Column("after", Words(16), nullable=False),
    Column("at", Moment, nullable=False),
    Column("reason", Words),
)

results: Final = Table(
    "uploadkit_results",
    metadata,
    _of_upload(primary_key=True),
    Column("processor", Words(200), primary_key=True),
    Column("digest", Words(64), primary_key=True),
    Column("token", Words(32)),
    Column("claimed_until", Moment),
    Column("attempts", Integer, nullable=False),
    Column("done_at", Moment),
    Column("told", JSON),
)
# What is not done is little beside what is.
Index(
    "ix_uploadkit_results_claimed_until",
    results.c.claimed_until,
    sqlite_where=results.c.done_at.is_(None),
    postgresql_where=results.c.done_at.is_(None),
)

# The objects that are named in `told`, so that one finds by an object whose it is. They go with the row of results.
objects: Final = Table(
    "uploadkit_objects",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("upload", Words(64), nullable=False),
    Column("processor", Words(200), nullable=False),
    Column("digest", Words(64), nullable=False),
    Column("storage", Words(255), nullable=False),
    Column("key", Words(KEY_LENGTH), nullable=False),
    ForeignKeyConstraint(["upload", "processor", "digest"], list(results.primary_key), ondelete="CASCADE"),
    Index(None, "upload", "processor", "digest"),
    Index(None, "storage", "key"),
)

# What comes in several requests, and who is at it: `held_at` is when that was last taken or extended.
resumables: Final = Table(
    "uploadkit_resumables",
    metadata,
    _of_upload(primary_key=True),
    Column("length", BigInteger),
    Column("storage", Words(255), nullable=False),
    Column("kept", Words, nullable=False),
    Column("told", JSON, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("token", Words(32)),
    Column("held_at", Moment),
    Column("held_until", Moment),
    Column("wanted", Boolean, nullable=False),
    Index(None, "expires_at"),
)

workers: Final = Table(
    "uploadkit_workers",
    metadata,
    Column("id", Words(64), primary_key=True),
    Column("host", Words(255), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("queues", JSON, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

outbox: Final = Table(
    "uploadkit_outbox",
    metadata,
    Column("id", _Number, primary_key=True),
    # No foreign key: that an upload is gone is told when its record is.
    Column("upload", Words(64), nullable=False),
    Column("fact", JSON, nullable=False),
    Column("taken_until", Moment),
    Column("attempts", Integer, nullable=False),
    Index(None, "upload", "id"),
    # A number is never given again: who was slow to tell a fact removes that one, and no later one.
    sqlite_autoincrement=True,
)


def may_be(text: str, most: int) -> bool:
    """Whether a column of so many characters takes it."""
    try:
        return len(text) <= most and "\0" not in text and text.encode() is not None
    except UnicodeEncodeError:  # a name of a file that is no text
        return False
