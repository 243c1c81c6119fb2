"""What can be set of a service: by flags, by the environment, and in a file of TOML, in this order of precedence.

`Settings` is the one list: the flags of `uploadkit serve`, the names in the environment and the page of documentation
are made from it.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

try:
    from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.service needs the extra `service`: pip install 'pyuploadkit[service]'", name=_missing.name
    ) from _missing

from ..policy.limits import parse_size

__all__ = ["Settings", "TokenRule", "tokens_of"]

PREFIX = "UPLOADKIT_"


class TokenRule(BaseModel):
    """A bearer token, by its SHA-256 in hex: whose it is, and until when. `uploadkit token` makes them."""

    # A token that was written where its hash belongs is not shown.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    owner: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    expires_at: AwareDatetime | None = None


def tokens_of(text: str) -> tuple[TokenRule, ...]:
    """Those of a file: tables `[[tokens]]` of TOML, and nothing else. Raises `ValueError`, which shows none of them."""
    tables = tomllib.loads(text)
    if tables.keys() - {"tokens"} or not isinstance(tables.get("tokens", []), list):
        raise ValueError("there are tables [[tokens]] here, and nothing else")
    return tuple(_rule(number, table) for number, table in enumerate(tables.get("tokens", []), 1))


def _rule(number: int, table: object) -> TokenRule:
    try:
        return TokenRule.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(name) for name in first["loc"])
        raise ValueError(f"token {number}: {where}: {first['msg']}") from None


class Settings(BaseSettings):
    """Each has a default with which the service runs on one machine, for this machine alone."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # among them are secrets
    )

    # Where

    host: str = Field("127.0.0.1", description="where the service listens")
    port: int = Field(8000, ge=0, le=65535, description="the port, 0 for any that is free")
    data: Path = Field(Path("./uploadkit-data"), description="the folder for files, ledger, queue and keys")
    workers: int = Field(1, ge=1, le=256, description="how many web processes")
    jobs: bool = Field(True, description="whether a worker runs in the same command")
    grace_seconds: float = Field(30, ge=0, description="how long uploads and jobs may take to end after SIGTERM")

    # What it uses

    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("UPLOADKIT_DATABASE_URL", "DATABASE_URL", "database_url"),
        description="the ledger: PostgreSQL or SQLite; without it a SQLite file in the data folder",
    )
    redis_url: str | None = Field(
        None,
        validation_alias=AliasChoices("UPLOADKIT_REDIS_URL", "REDIS_URL", "redis_url"),
        description="queue and events: Redis or Valkey; without it a Valkey server of the service's own",
    )
    storage: str | None = Field(None, description="where files lie: s3://bucket/prefix or a folder")
    storage_options: dict[str, Any] = Field({}, description="of S3: endpoint_url, key, secret and the like")
    scanner: str | None = Field(None, description="a clamd that scans every upload: unix:///run/clamav/clamd.ctl")
    steps: str | None = Field(None, description="module:function that is given the pipeline, to declare more steps")

    # What may come in

    accept: tuple[str, ...] | None = Field(None, description="media types that are taken; without it the usual ones")
    max_file_size: str = Field("2 GB", description="of one file")
    max_request_size: str = Field("4 GB", description="of one request")
    max_files: int = Field(100, ge=1, description="how many files one request may have")
    idle_seconds: float = Field(30, gt=0, description="how long a client may send nothing")
    min_rate: str = Field("1 KiB", description="bytes a second that a client sends at least, after 10 seconds")
    expire_seconds: float | None = Field(None, gt=0, description="how long uploads are kept; without it, for ever")

    # Who may

    tokens: tuple[TokenRule, ...] = Field((), description="bearer tokens, hashed")
    tokens_file: Path | None = Field(None, description="a TOML file of more tokens, read again when it changes")
    authenticate: str | None = Field(None, description="module:function that says whose a request is")
    open: bool = Field(False, description="serve everybody, also to other machines, without a token")
    quota_files: int | None = Field(None, ge=0, description="how many uploads an owner may have")
    quota_size: str | None = Field(None, description="how much an owner's uploads may take together")
    rate: str | None = Field("600/minute", description="how many requests an owner, or an address, may make")
    failed_rate: str | None = Field("60/minute", description="how many requests of an address may name no known caller")
    uploads_at_once: int = Field(16, ge=1, description="how many requests of one owner may upload at a time")
    streams_at_once: int = Field(32, ge=1, description="how many streams of events one owner may follow at a time")
    streams: int = Field(1000, ge=1, description="how many streams of events one web process serves at a time")
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may use the service")
    hosts: tuple[str, ...] = Field((), description="names by which the service may be called")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    secret: str | None = Field(None, min_length=32, description="signs links; without it a file in the data folder")
    old_secrets: tuple[Annotated[str, Field(min_length=32)], ...] = Field(
        (), description="secrets of before: what they have signed holds until its time is over"
    )
    link_seconds: int = Field(3600, ge=60, description="how long a signed link holds")
    redirects: bool = Field(False, description="send who fetches a file to the bucket, where it lies in S3")

    # For operators

    log_format: Literal["text", "json"] = Field("text", description="how each request is logged")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    metrics_token: str | None = Field(None, description="the bearer token of /metrics")

    @field_validator("max_file_size", "max_request_size", "min_rate", "quota_size")
    @classmethod
    def _is_size(cls, value: str | None) -> str | None:
        if value is not None:
            parse_size(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value != "*" and not _ORIGIN.fullmatch(value):
                raise ValueError(f"an origin is as browsers send it, as https://app.example.org, and not {value!r}")
        return values

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not _NAME.fullmatch(value):
                raise ValueError(f"a host is a name or an address without a port, and not {value!r}")
        return values

    @classmethod
    def load(cls, file: str | os.PathLike[str] | None = None, **flags: Any) -> Settings:
        """From flags, the environment, and a file where one is named. Raises `ValueError` for what cannot be meant."""
        source = SettingsConfigDict() if file is None else SettingsConfigDict(toml_file=Path(file))
        config = type("Settings", (cls,), {"model_config": source})
        loaded: Settings = config(**{name: value for name, value in flags.items() if value is not None})
        return loaded

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


_NAME = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
