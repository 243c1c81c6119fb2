"""What can be set of a service: by flags, by the environment, and in a file of TOML, in this order of precedence.

`Settings` is the one list: the flags of `uploadkit serve`, the names in the environment and the page of documentation
are made from it. No message has a secret in it, nor what is hidden.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, cast, get_args

try:
    from limits import RateLimitItem, parse_many
    from pydantic import (
        AliasChoices,
        AwareDatetime,
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        ValidationError,
        ValidationInfo,
        field_validator,
    )
    from pydantic_settings import (
        BaseSettings,
        NoDecode,
        SettingsConfigDict,
    )
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.service needs the extra `service`: pip install 'pyuploadkit[service]'", name=_missing.name
    ) from _missing

from ..content.scanning import ClamAV
from ..policy.accept import Accept
from ..policy.limits import parse_size

__all__ = [
    "FILE_VARIABLE",
    "PREFIX",
    "Loaded",
    "Setting",
    "Settings",
    "SettingsWrong",
    "TokenRule",
    "settings_of",
    "tokens_of",
    "without_password",
]

PREFIX: Final = "UPLOADKIT_"

FILE_VARIABLE: Final = "UPLOADKIT_CONFIG"
"""Names the file of settings in the environment, where no flag does."""


DEFAULT: Final = "default"
"""Where a setting was said of which nothing was said."""


class SettingsWrong(ValueError):
    """What was set cannot be meant: a line for each setting, with where it was said."""


def _words(value: object) -> object:
    """Several names in one text: as JSON, or with commas between them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json(value)
    return [word.strip() for word in value.split(",") if word.strip()]


def _json(value: object) -> object:
    """What stands in a text, as a variable of the environment has it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("it is no JSON") from None  # the value may be a secret


Words: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
MaybeWords: TypeAlias = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_words)]


SECRET_LENGTH: Final = 32
"""Characters of a secret that signs links, at least: as many bytes as a signature has."""


YEAR_SECONDS: Final = 365 * 24 * 60 * 60
"""Times are bounded by it, or by a hundred: clocks and dates take no number of any size."""


class TokenRule(BaseModel):
    """A bearer token, by its SHA-256 in hex: whose it is, and until when. `uploadkit token` makes them."""

    # A token that was written where its hash belongs is not shown.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    owner: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    expires_at: AwareDatetime | None = None


def tokens_of(text: str) -> tuple[TokenRule, ...]:
    """Those of a file: tables `[[tokens]]` of TOML, and nothing else. Raises `ValueError`, which shows none of them."""
    tables = tomllib.loads(text)
    if tables.keys() - {"tokens"} or not isinstance(tables.get("tokens", []), list):
        raise ValueError("there are tables [[tokens]] here, and nothing else")
    return tuple(_rule(number, table) for number, table in enumerate(tables.get("tokens", []), 1))


def tokens_in(file: Path) -> tuple[TokenRule, ...]:
    """Those of a file of this name. Raises `ValueError`, as `tokens_of`."""
    try:
        return tokens_of(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"tokens_file: {file} cannot be read: {error}") from error


def rates_of(text: str | None) -> Sequence[RateLimitItem]:
    """Of what is like "600/minute; 20/second"; without it there are none. Raises `ValueError`."""
    try:
        rates = [] if text is None else parse_many(text)
    except ValueError:
        raise ValueError(f"a rate is like 600/minute, or 600/minute; 20/second, and not {text!r}") from None
    if not all(rate.amount for rate in rates):
        raise ValueError(f'{text!r} would refuse every request: write "none" where there is no limit')
    return rates


def named(name: str, setting: str) -> Callable[..., Any]:
    """What `module:attribute` names; modules of the current folder come first. Raises `ValueError`, which names the
    setting."""
    module, _, attribute = name.partition(":")
    here = os.getcwd()
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # also whatever the module itself raises
        told = error if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{setting} is module:function, and {name!r} cannot be found: {told}") from error
    if not callable(found):
        raise ValueError(f"{setting} is module:function, and {name!r} cannot be called")
    return cast("Callable[..., Any]", found)


def _rule(number: int, table: object) -> TokenRule:
    try:
        return TokenRule.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(name) for name in first["loc"])
        raise ValueError(f"token {number}: {where}: {first['msg']}") from None


class Settings(BaseSettings):
    """Each has a default with which the service runs on one machine, for this machine alone."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # among them are secrets
        loc_by_alias=False,
        populate_by_name=True,
    )

    HIDDEN: ClassVar[frozenset[str]] = frozenset(
        {"tokens", "secret", "old_secrets", "metrics_token", "storage_options"}
    )
    """Neither shown nor taken as a flag, which every user of the machine can read."""

    # Where

    host: str = Field(default="127.0.0.1", description="where the service listens")
    port: int = Field(default=8000, ge=0, le=65535, description="the port, 0 for any that is free")
    data: Path = Field(default=Path("./uploadkit-data"), description="the folder for files, ledger, queue and keys")
    workers: int = Field(default=1, ge=1, le=256, description="how many web processes")
    jobs: bool = Field(default=True, description="whether a worker runs in the same command")
    grace_seconds: float = Field(
        default=30, ge=0, le=YEAR_SECONDS, description="how long uploads and jobs may take to end after SIGTERM"
    )

    # What it uses

    database_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("UPLOADKIT_DATABASE_URL", "DATABASE_URL", "database_url"),
        description="the ledger: PostgreSQL or SQLite; without it a SQLite file in the data folder",
    )
    redis_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("UPLOADKIT_REDIS_URL", "REDIS_URL", "redis_url"),
        description="queue and events: Redis or Valkey; without it a Valkey server of the service's own",
    )
    storage: str | None = Field(default=None, description="where files lie: s3://bucket/prefix or a folder")
    storage_options: Annotated[dict[str, Any], NoDecode, BeforeValidator(_json)] = Field(
        default={}, description="of S3: endpoint_url, key, secret and the like"
    )
    scanner: str | None = Field(
        default=None, description="a clamd that scans every upload: unix:///run/clamav/clamd.ctl"
    )
    steps: str | None = Field(
        default=None, description="module:function that is given the pipeline, to declare more steps"
    )

    # What may come in

    accept: MaybeWords = Field(default=None, description="media types that are taken; without it the usual ones")
    max_file_size: str = Field(default="2 GB", description="of one file")
    max_request_size: str = Field(default="4 GB", description="of one request")
    max_files: int = Field(default=100, ge=1, description="how many files one request may have")
    idle_seconds: float = Field(default=30, gt=0, le=YEAR_SECONDS, description="how long a client may send nothing")
    min_rate: str = Field(default="1 KiB", description="bytes a second that a client sends at least, after 10 seconds")
    direct_seconds: int = Field(
        default=86400, ge=60, le=7 * 86400, description="how long an upload straight into a bucket may take"
    )
    direct_sha256: bool = Field(
        default=True, description="read what came straight into a bucket back, to know its SHA-256"
    )
    expire_seconds: float | None = Field(
        default=None, gt=0, le=100 * YEAR_SECONDS, description="how long uploads are kept; without it, for ever"
    )

    resume_seconds: float = Field(
        default=86400,
        ge=1,
        le=YEAR_SECONDS,
        description="how long an upload in several requests may rest before it is given up",
    )

    # Who may

    tokens: Annotated[tuple[TokenRule, ...], NoDecode, BeforeValidator(_json)] = Field(
        default=(), description="bearer tokens, hashed: whose each is, and until when"
    )
    tokens_file: Path | None = Field(default=None, description="a TOML file of more tokens, read again when it changes")
    authenticate: str | None = Field(default=None, description="module:function that says whose a request is")
    open: bool = Field(default=False, description="serve everybody, also to other machines, without a token")
    quota_files: int | None = Field(default=None, ge=0, description="how many uploads an owner may have")
    quota_size: str | None = Field(default=None, description="how much an owner's uploads may take together")
    rate: str | None = Field(default="600/minute", description="how many requests an owner, or an address, may make")
    failed_rate: str | None = Field(
        default="60/minute", description="how many requests of an address may name no known caller"
    )
    uploads_at_once: int = Field(default=16, ge=1, description="how many requests of one owner may upload at a time")
    streams_at_once: int = Field(
        default=32, ge=1, description="how many streams of events one owner may follow at a time"
    )
    streams: int = Field(default=1000, ge=1, description="how many streams of events one web process serves at a time")
    cors_origins: Words = Field(default=(), description="origins whose pages may use the service")
    hosts: Words = Field(default=(), description="names by which the service may be called")
    trusted_proxies: Words = Field(
        default=(), description="addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    secret: str | None = Field(
        default=None, min_length=SECRET_LENGTH, description="signs links; without it a file in the data folder"
    )
    old_secrets: Words = Field(
        default=(), description="secrets of before: what they have signed holds until its time is over"
    )
    link_seconds: int = Field(default=3600, ge=60, le=100 * YEAR_SECONDS, description="how long a signed link holds")
    redirects: bool = Field(default=False, description="send who fetches a file to the bucket, where it lies in S3")

    # For operators

    log_format: Literal["text", "json"] = Field(default="text", description="how each request is logged")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="how much is logged")
    metrics_token: str | None = Field(default=None, description="the bearer token of /metrics")

    @field_validator("*", mode="before")
    @classmethod
    def _may_be_none(cls, value: object, info: ValidationInfo) -> object:
        """ "none" stands for no limit, and for what is not there, where neither a flag nor TOML can say so. An empty
        text, as of a variable that a shell did not have, could mean either, and means nothing."""
        field = cls.model_fields[info.field_name or ""]
        if value == "" and field.default != ():  # it would be no setting in the environment of other processes
            raise ValueError('it is empty: leave it out, or write "none" where that may be')
        if isinstance(value, bool) and field.annotation is not bool:  # as a number it would be 1, or 0
            raise ValueError("true and false are for switches, and it is none")
        is_optional = type(None) in get_args(field.annotation)
        return None if value == "none" and is_optional else value

    @field_validator("max_file_size", "max_request_size", "min_rate", "quota_size", mode="before")
    @classmethod
    def _may_be_bytes(cls, value: object) -> object:
        """A number, as TOML has it."""
        return str(value) if type(value) is int else value

    @field_validator("max_file_size", "max_request_size", "min_rate", "quota_size")
    @classmethod
    def _is_size(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and parse_size(value) == 0 and info.field_name in ("max_file_size", "max_request_size"):
            raise ValueError("0 would refuse every file")
        return value

    @field_validator("data", "tokens_file", "storage")
    @classmethod
    def _may_be_below_home(cls, value: Path | str | None) -> Path | str | None:
        """A shell knows what `~` is, and a file of TOML does not."""
        if value is None:
            return None
        found = os.path.expanduser(value)
        return Path(found) if isinstance(value, Path) else found

    @field_validator("storage")
    @classmethod
    def _is_place(cls, value: str | None) -> str | None:
        if value is not None and "://" in value and not _BUCKET.match(value):
            raise ValueError("files lie in s3://bucket, in s3://bucket/prefix, or in a folder")
        return value

    @field_validator("storage_options")
    @classmethod
    def _are_of_s3(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if value and "storage" in info.data and not _is_on_s3(info.data["storage"]):
            raise ValueError("they are of S3, and storage is no s3://bucket")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("a URL of Redis or Valkey begins with redis://, rediss:// or unix://")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        if value is not None:
            from ..records.database import parsed_url  # SQLAlchemy

            parsed_url(value)
        return value

    @field_validator("scanner")
    @classmethod
    def _is_scanner(cls, value: str | None) -> str | None:
        if value is not None:
            ClamAV(value)
        return value

    @field_validator("steps", "authenticate")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        if value is not None and not _FUNCTION.fullmatch(value):
            raise ValueError(f"it is written module:function, and not {value!r}")
        return value

    @field_validator("accept")
    @classmethod
    def _are_types(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if values is not None:
            if not values:
                raise ValueError("it is empty, which would refuse every file: leave it out for the usual types")
            Accept.of(list(values))
        return values

    @field_validator("rate", "failed_rate")
    @classmethod
    def _are_rates(cls, value: str | None) -> str | None:
        rates_of(value)
        return value

    @field_validator("old_secrets")
    @classmethod
    def _are_long(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(value) < SECRET_LENGTH for value in values):
            raise ValueError(f"a secret has at least {SECRET_LENGTH} characters")
        return values

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value != "*" and not _ORIGIN.fullmatch(value):
                raise ValueError(f"an origin is as browsers send it, as https://app.example.org, and not {value!r}")
        return values

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        """What is neither would never be that of a proxy, and all clients would be one."""
        for value in values:
            try:
                if value != "*":
                    ip_network(value)
            except ValueError as error:
                raise ValueError(f"a proxy is an address or a network, as 10.0.0.0/8: {error}") from None
        return values

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not _NAME.fullmatch(value):
                raise ValueError(f"a host is a name or an address without a port, and not {value!r}")
        return values

    @property
    def asks_nobody(self) -> bool:
        """Whether nobody has to say who he is."""
        return not self.tokens and self.tokens_file is None and self.authenticate is None

    @classmethod
    def load(cls, file: str | os.PathLike[str] | None = None, **flags: Any) -> Settings:
        """From flags, the environment, and a file where one is named, also by `UPLOADKIT_CONFIG`. A flag that is None
        says nothing. Raises `SettingsWrong`."""
        return Loaded.of(file, flags).settings

    def environment(self, others: Mapping[str, str]) -> dict[str, str]:
        """The variables `others`, in which `load` finds these settings and no other ones: for processes that are to
        have the same."""
        ours = {FILE_VARIABLE} | {name for setting in settings_of() for name in setting.variables}
        environment = {name: value for name, value in others.items() if name.upper() not in ours}
        for setting in settings_of():
            value = getattr(self, setting.name)
            if value != setting.default:
                environment[setting.variables[0]] = _as_text(value)
        return environment


def check(settings: Settings) -> None:
    """Whether what they name is there, and of use: what `serve` looks at before anything begins. Not in `Settings`: an
    application may bring another pipeline, and a worker asks for no tokens. Raises `ValueError`, which names the
    setting."""
    if settings.redirects and not _is_on_s3(settings.storage):
        raise ValueError("redirects: they are to a bucket, and storage is no s3://bucket")
    if settings.tokens_file is not None:
        tokens_in(settings.tokens_file)
    for setting in ("authenticate", "steps"):
        if (name := getattr(settings, setting)) is not None:
            named(name, setting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One of them, for who makes flags, pages and tables of all. `kind` is what its flag is like: a "switch" is
    `--open` or `--no-open`."""

    name: str
    description: str
    default: Any
    kind: Literal["switch", "text"]
    choices: tuple[str, ...] | None
    variables: tuple[str, ...]
    is_hidden: bool

    @property
    def flag(self) -> str | None:
        """None where it is taken from the environment and from a file alone."""
        return None if self.is_hidden else f"--{self.name.replace('_', '-')}"


def settings_of() -> Iterator[Setting]:
    """All of them, in the order in which they are shown."""
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names = [each for each in alias.choices if isinstance(each, str)] if isinstance(alias, AliasChoices) else []
        variables = tuple(each for each in names if each != name) or (f"{PREFIX}{name.upper()}",)
        choices = get_args(field.annotation) if isinstance(field.default, str) else ()
        yield Setting(
            name=name,
            description=field.description or "",
            default=field.default,
            kind="switch" if field.annotation is bool else "text",
            choices=tuple(each for each in choices if isinstance(each, str)) or None,
            variables=variables,
            is_hidden=name in Settings.HIDDEN,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, and where each was said, in words: "--port", "UPLOADKIT_PORT", "service.toml", "default".
    `misspelt` says which variables look like one of a setting and are none."""

    settings: Settings
    origins: Mapping[str, str]
    misspelt: tuple[str, ...]

    @classmethod
    def of(cls, file: str | os.PathLike[str] | None, flags: Mapping[str, Any]) -> Loaded:
        """See `Settings.load`."""
        path = file or os.environ.get(FILE_VARIABLE) or None
        said = {name: value for name, value in flags.items() if value is not None}
        written = {} if path is None else _written(Path(path))
        variables = {name.upper(): name for name, value in os.environ.items() if value}
        origins = {setting.name: _origin(setting, said, variables) for setting in settings_of()}
        for name in written:
            if origins[name] == DEFAULT:
                said[name], origins[name] = written[name], str(path)
        try:
            settings = Settings(**said)
        except ValidationError as error:
            raise SettingsWrong("\n".join(_problems(error, origins))) from None
        return cls(settings=settings, origins=origins, misspelt=tuple(_misspelt(variables)))

    def lines(self) -> Iterator[str]:
        """Each setting as a file of TOML has it, and where it was said. What is hidden is not shown."""
        for setting in settings_of():
            value, origin = getattr(self.settings, setting.name), self.origins[setting.name]
            if setting.is_hidden:
                yield f"# {setting.name} is {'set, and not shown' if value else 'not set'}  # {origin}"
            else:
                yield f"{setting.name} = {_as_toml(value)}  # {origin}"


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return re.sub(r"(?<=[?&])(password|sslpassword)=[^&]*", r"\1=***", re.sub(r"://([^:/@]*):.*@", r"://\1:***@", url))


def _written(path: Path) -> dict[str, Any]:
    """What a file says. Raises `SettingsWrong` where it cannot be read, or has a name that is none."""
    try:
        with path.open("rb") as file:
            written = tomllib.load(file)
    except OSError as error:
        raise SettingsWrong(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsWrong(f"{path} is no TOML: {error}") from None
    known = [setting.name for setting in settings_of()]
    strange = [f"{path}: {name} is no setting{_hint(name, known)}" for name in written if name not in known]
    if strange:
        raise SettingsWrong("\n".join(strange))
    return written


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else ""


def _misspelt(variables: Mapping[str, str]) -> Iterator[str]:
    """Others may have variables that begin alike: only what is very near is told."""
    known = [FILE_VARIABLE, *(name for setting in settings_of() for name in setting.variables)]
    for upper, name in variables.items():
        near = get_close_matches(upper, known, n=1, cutoff=0.85)
        if upper.startswith(PREFIX) and upper not in known and near:
            yield f"{name} is no setting: did you mean {near[0]}?"


def _origin(setting: Setting, said: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    if setting.name in said:
        flag = setting.flag or setting.name
        return flag.replace("--", "--no-", 1) if said[setting.name] is False else flag
    return next((variables[name] for name in setting.variables if name in variables), DEFAULT)


def _problems(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    """ "service.toml: tokens[0].sha256: should be ...", of each."""
    about = {setting.name: setting.description for setting in settings_of()}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        name, *inner = map(str, each["loc"])
        place = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in inner)
        origin = origins.get(name, DEFAULT)
        where = origin if origin.startswith("-") else f"{origin}: {name}"
        text = each["msg"].removeprefix("Value error, ")
        yield f"{where}{place}: {text[:1].lower()}{text[1:]} ({about.get(name, 'no setting')})"


def _as_text(value: object) -> str:
    """As a variable of the environment has it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return json.dumps([each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in value])
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _as_toml(value: object) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_as_toml(each) for each in value)}]"
    return json.dumps("none" if value is None else without_password(str(value)), ensure_ascii=False)


def _is_on_s3(storage: str | None) -> bool:
    return storage is not None and "://" in storage


_BUCKET = re.compile(r"s3a?://[^/]")
_FUNCTION = re.compile(r"\w+(\.\w+)*:\w+")
_NAME = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
