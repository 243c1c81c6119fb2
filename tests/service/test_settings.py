"""What can be set of a service, by whom it was said, and what is told of it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from uploadkit.service.settings import Loaded, Settings, SettingsWrong, check, settings_of, without_password

HASH = "0" * 64


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without what is set where the tests run."""
    for setting in settings_of():
        for name in setting.variables:
            monkeypatch.delenv(name, raising=False)
    return monkeypatch


def written(folder: Path, text: str) -> Path:
    file = folder / "service.toml"
    file.write_text(text)
    return file


def complaint(file: Path | None = None, /, **flags: object) -> list[str]:
    """The lines of it."""
    with pytest.raises(SettingsWrong) as wrong:
        Loaded.of(file, flags)
    return str(wrong.value).splitlines()


def test_flags_come_before_the_environment_and_that_before_the_file(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = written(tmp_path, 'port = 1\nworkers = 2\nmax_files = 3\ndatabase_url = "sqlite:///file"\n')
    environment.setenv("UPLOADKIT_PORT", "10")
    environment.setenv("UPLOADKIT_WORKERS", "20")
    environment.setenv("DATABASE_URL", "sqlite:///variable")
    loaded = Loaded.of(file, {"port": "100", "database_url": "sqlite:///flag", "jobs": False, "host": None})
    settings, origins = loaded.settings, loaded.origins
    assert (settings.port, settings.workers, settings.max_files) == (100, 20, 3)
    assert (settings.database_url, settings.jobs, settings.host) == ("sqlite:///flag", False, "127.0.0.1")
    assert (origins["port"], origins["workers"], origins["max_files"]) == ("--port", "UPLOADKIT_WORKERS", str(file))
    assert (origins["database_url"], origins["jobs"], origins["host"]) == ("--database-url", "--no-jobs", "default")


def test_the_file_may_be_named_in_the_environment(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("UPLOADKIT_CONFIG", str(written(tmp_path, "port = 1")))
    assert Settings.load().port == 1


@pytest.mark.parametrize("name", ["UPLOADKIT_REDIS_URL", "REDIS_URL", "redis_url"])
def test_servers_have_the_names_that_platforms_give_them(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "redis://host") if name != "redis_url" else None
    flags = {"redis_url": "redis://host"} if name == "redis_url" else {}
    assert Settings.load(**flags).redis_url == "redis://host"


def test_our_name_comes_before_theirs(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_URL", "redis://theirs")
    environment.setenv("UPLOADKIT_REDIS_URL", "redis://ours")
    loaded = Loaded.of(None, {})
    assert (loaded.settings.redis_url, loaded.origins["redis_url"]) == ("redis://ours", "UPLOADKIT_REDIS_URL")


def test_an_empty_variable_says_nothing(environment: pytest.MonkeyPatch) -> None:
    """As files for containers have them."""
    environment.setenv("UPLOADKIT_PORT", "")
    environment.setenv("REDIS_URL", "")
    loaded = Loaded.of(None, {})
    assert (loaded.settings.port, loaded.settings.redis_url, loaded.origins["redis_url"]) == (8000, None, "default")


@pytest.mark.parametrize("name", ["authenticate", "tokens_file", "host", "redis_url", "metrics_token", "accept"])
def test_an_empty_text_is_refused(tmp_path: Path, name: str) -> None:
    """It would count as a setting in the parent, and as none in its processes: the one would take an empty
    `authenticate` for somebody who is asked, and the others let everybody in."""
    [told] = complaint(written(tmp_path, f'{name} = ""'))
    assert told.startswith(f"{tmp_path}/service.toml: {name}: it is empty")
    assert complaint(**{name: ""})[0].partition(": ")[2]


def test_a_size_may_be_a_number_of_bytes(tmp_path: Path) -> None:
    settings = Settings.load(written(tmp_path, "max_file_size = 5000000\nquota_size = 0\n"))
    assert (settings.max_file_size, settings.quota_size) == ("5000000", "0")
    [told] = complaint(written(tmp_path, "max_file_size = -1"))
    assert "max_file_size: not a size: '-1'" in told


@pytest.mark.parametrize("text", ["proxy.example.org", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1:80"])
def test_what_can_be_no_proxy_is_refused(text: str) -> None:
    """It would be passed over in silence, and all clients would be counted as one."""
    [told] = complaint(trusted_proxies=text)
    assert told.startswith("--trusted-proxies: a proxy is an address or a network, as 10.0.0.0/8: ")
    assert text in told


def test_proxies() -> None:
    assert Settings.load(trusted_proxies="127.0.0.1, ::1,10.0.0.0/8").trusted_proxies[1:] == ("::1", "10.0.0.0/8")
    assert Settings.load(trusted_proxies="*").trusted_proxies == ("*",)


@pytest.mark.parametrize("name", ["expire_seconds", "grace_seconds", "idle_seconds", "link_seconds"])
@pytest.mark.parametrize("text", ["inf", "nan", "10000000000000000"])
def test_no_time_is_longer_than_dates_are(name: str, text: str) -> None:
    """Every upload would fail by it, or the end of the service."""
    assert complaint(**{name: text})[0].startswith(f"--{name.replace('_', '-')}: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('rate = "0/minute"', "rate: '0/minute' would refuse every request: write \"none\" where there is no limit"),
        ('rate = "600/minute; 0 per hour"', "would refuse every request"),
        ('failed_rate = "0/minute"', "failed_rate: '0/minute' would refuse every request"),
        ('rate = "often"', "rate: a rate is like 600/minute, or 600/minute; 20/second, and not 'often'"),
        ('max_file_size = "0"', "max_file_size: 0 would refuse every file"),
        ('max_request_size = "0 MB"', "max_request_size: 0 would refuse every file"),
        ("accept = []", "accept: it is empty, which would refuse every file"),
        ('accept = ["nonsense"]', "accept: 'nonsense' is no media type"),
        ("max_files = true", "max_files: true and false are for switches, and it is none"),
        ("grace_seconds = false", "grace_seconds: true and false are for switches"),
        ('storage = "gs://x/y"', "storage: files lie in s3://bucket, in s3://bucket/prefix, or in a folder"),
        ('storage = "s3://"', "storage: files lie in s3://bucket"),
        ('storage_options = {key = "a"}', "storage_options: they are of S3, and storage is no s3://bucket"),
        ('storage = "media"\nstorage_options = {key = "a"}', "storage_options: they are of S3"),
        ('redis_url = "http://x"', "redis_url: a URL of Redis or Valkey begins with redis://, rediss:// or"),
        ('redis_url = "postgresql://h/d"', "redis_url: a URL of Redis or Valkey begins"),
        ('database_url = "mysql://u:pw@h/d"', "database_url: a ledger is kept in SQLite or PostgreSQL, not in mysql"),
        ('scanner = "localhost"', "scanner: 'localhost' is no address of a clamd"),
        ('authenticate = "json"', "authenticate: it is written module:function, and not 'json'"),
        ('authenticate = "json:"', "authenticate: it is written module:function, and not 'json:'"),
        ('steps = "a b:c"', "steps: it is written module:function, and not 'a b:c'"),
    ],
)
def test_what_would_refuse_everything_or_be_of_no_effect_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """With the name of its setting, and nothing that is not shown."""
    [line] = complaint(written(tmp_path, text))
    assert line.startswith(f"{tmp_path}/service.toml: ")
    assert told in line
    assert "pw" not in line


def test_what_may_be_none_or_nothing_may_still(tmp_path: Path) -> None:
    text = 'rate = "none"\nmin_rate = "0"\nstorage = "s3://bucket/a"\nstorage_options = {key = "a"}\njobs = false\n'
    settings = Settings.load(written(tmp_path, text), accept="none")
    assert (settings.rate, settings.min_rate, settings.storage_options) == (None, "0", {"key": "a"})
    assert (settings.accept, settings.jobs) == (None, False)
    assert Settings(storage_options={}).storage is None


def test_a_folder_may_be_below_home(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In TOML no shell has written it out."""
    environment.setenv("HOME", str(tmp_path))
    settings = Settings.load(written(tmp_path, 'data = "~/x"\nstorage = "~/y"\ntokens_file = "~/z"\nhost = "~"'))
    assert (settings.data, settings.storage) == (tmp_path / "x", f"{tmp_path}/y")
    assert (settings.tokens_file, settings.host) == (tmp_path / "z", "~")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"authenticate": "nomod:fn"}, "authenticate is module:function, and 'nomod:fn' cannot be found: No module"),
        ({"authenticate": "json:nothing"}, "authenticate is module:function, and 'json:nothing' cannot be found: mod"),
        ({"authenticate": "json:__name__"}, "authenticate is module:function, and 'json:__name__' cannot be called"),
        ({"steps": "broken:steps"}, "steps is module:function, and 'broken:steps' cannot be found: KeyError: 'gone'"),
        ({"tokens_file": "/nowhere/tokens"}, "tokens_file: /nowhere/tokens cannot be read: [Errno 2] No such file"),
        ({"redirects": True}, "redirects: they are to a bucket, and storage is no s3://bucket"),
        ({"redirects": True, "storage": "media"}, "redirects: they are to a bucket"),
    ],
)
def test_what_is_named_and_not_there_is_told(
    environment: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    environment.chdir(tmp_path)
    environment.setattr(sys, "path", list(sys.path))
    (tmp_path / "broken.py").write_text("{}['gone']")
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        check(Settings(**settings))


def test_what_is_named_is_found_in_the_folder_of_the_service(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.chdir(tmp_path)
    environment.setattr(sys, "path", list(sys.path))
    (tmp_path / "ours_of_this_test.py").write_text("def owner(request): ...")
    (tmp_path / "tokens.toml").write_text("")
    file = tmp_path / "tokens.toml"
    check(Settings(authenticate="ours_of_this_test:owner", tokens_file=file, redirects=True, storage="s3://bucket"))


def test_several_names_may_be_none(tmp_path: Path) -> None:
    assert Settings.load(written(tmp_path, 'hosts = ["a"]'), hosts="").hosts == ()


@pytest.mark.parametrize("text", ["image/*, .pdf", '["image/*", ".pdf"]'])
def test_several_names_are_one_text_with_commas(environment: pytest.MonkeyPatch, text: str) -> None:
    environment.setenv("UPLOADKIT_ACCEPT", text)
    assert Settings.load(hosts="a.example,b.example").hosts == ("a.example", "b.example")
    assert Settings.load().accept == ("image/*", ".pdf")


def test_no_limit_is_said_by_a_word(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TOML has no null, nor has a flag."""
    assert Settings.load(rate="none").rate is None
    assert Settings.load(written(tmp_path, 'rate = "none"')).rate is None
    assert "none" in complaint(max_file_size="none")[0]


def test_every_line_of_a_complaint_says_where_it_was_said(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = written(tmp_path, f'min_rate = "fast"\n[[tokens]]\nowner = "ann"\nsha256 = "{HASH}"\nuntil = 1\n')
    environment.setenv("UPLOADKIT_WORKERS", "many")
    assert complaint(file, port="70000", log_level="loud") == [
        "--port: input should be less than or equal to 65535 (the port, 0 for any that is free)",
        "UPLOADKIT_WORKERS: workers: input should be a valid integer, unable to parse string as an integer "
        "(how many web processes)",
        f"{file}: min_rate: not a size: 'fast'; write bytes, or a number with one of B, KB, MB, GB, KiB, MiB, GiB "
        "(bytes a second that a client sends at least, after 10 seconds)",
        f"{file}: tokens[0].until: extra inputs are not permitted (bearer tokens, hashed: whose each is, and until "
        "when)",
        "--log-level: input should be 'debug', 'info', 'warning' or 'error' (how much is logged)",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_file_sise = 1\nport = 1", "max_file_sise is no setting: did you mean max_file_size?"),
        ("[server]\nport = 1", "server is no setting"),
        ("port = ", "is no TOML: Invalid value (at end of document)"),
        ("port = '\xff'".encode("latin-1").decode("utf-8", "surrogateescape"), "is no TOML: 'utf-8' codec can't"),
    ],
)
def test_a_file_that_cannot_be_meant(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "service.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    [line] = complaint(file)
    assert line.startswith(str(file))
    assert told in line


def test_a_file_that_is_not_there() -> None:
    assert complaint(Path("/nowhere/service.toml")) == ["/nowhere/service.toml: No such file or directory"]


def test_a_misspelt_variable_is_told_and_those_of_others_are_not(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("UPLOADKIT_MAX_FILESIZE", "1")
    environment.setenv("UPLOADKIT_SOAK", "1")
    assert Loaded.of(None, {}).misspelt == (
        "UPLOADKIT_MAX_FILESIZE is no setting: did you mean UPLOADKIT_MAX_FILE_SIZE?",
    )


SECRET = "s3cret-s3cret-s3cret-s3cret-s3cret"


def test_no_secret_is_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("UPLOADKIT_SECRET", SECRET)
    environment.setenv("UPLOADKIT_METRICS_TOKEN", SECRET)
    environment.setenv("UPLOADKIT_STORAGE", "s3://bucket")
    environment.setenv("UPLOADKIT_STORAGE_OPTIONS", f'{{"secret": "{SECRET}"}}')
    environment.setenv("DATABASE_URL", f"postgresql://ann:{SECRET}@host/uploads?sslpassword={SECRET}&a=b")
    lines = list(Loaded.of(None, {"redis_url": f"rediss://:{SECRET}@host"}).lines())
    assert SECRET not in "\n".join(lines)
    assert "# secret is set, and not shown  # UPLOADKIT_SECRET" in lines
    assert 'database_url = "postgresql://ann:***@host/uploads?sslpassword=***&a=b"  # DATABASE_URL' in lines
    assert 'redis_url = "rediss://:***@host"  # --redis-url' in lines


@pytest.mark.parametrize(
    "variables",
    [
        {"UPLOADKIT_SECRET": SECRET[:20]},
        {"UPLOADKIT_STORAGE_OPTIONS": f'{{"secret": "{SECRET}"'},
        {"UPLOADKIT_TOKENS": f'[{{"owner": "ann", "sha256": "{SECRET}"}}]'},
        {"UPLOADKIT_TOKENS": f'{{"token": "{SECRET}"}}'},
    ],
)
def test_no_complaint_has_a_secret_in_it(environment: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    assert SECRET[:20] not in "\n".join(complaint())
    with pytest.raises(ValueError, match="Settings") as wrong:
        Settings()
    assert SECRET[:20] not in str(wrong.value)


def test_what_is_shown_may_be_written_into_a_file(tmp_path: Path) -> None:
    said = Loaded.of(None, {"accept": "image/*,.pdf", "open": True, "rate": "none", "expire_seconds": "1.5"})
    assert Settings.load(written(tmp_path, "\n".join(said.lines()))) == said.settings


TOML = f"""
port = 1
storage = "s3://bucket"
[storage_options]
a = 1
[[tokens]]
owner = "a, b"
sha256 = "{HASH}"
"""


def test_other_processes_find_the_same_settings(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the environment, or a file that it names, said beside them."""
    file = written(tmp_path, TOML)
    environment.setenv("UPLOADKIT_CONFIG", str(file))
    environment.setenv("UPLOADKIT_WORKERS", "3")
    environment.setenv("REDIS_URL", "redis://host")
    environment.setenv("OTHERS", "1")
    settings = Settings.load(
        port="8000", redis_url="none", rate="none", accept="image/*,.pdf", open=True, jobs=False, hosts="a.example"
    )
    variables = settings.environment(os.environ)
    for name in list(os.environ):
        environment.delenv(name)
    for name, value in variables.items():
        environment.setenv(name, value)
    assert Settings.load() == settings
    assert variables["OTHERS"] == "1"
    assert not {"UPLOADKIT_CONFIG", "REDIS_URL", "UPLOADKIT_PORT"} & variables.keys()


def test_every_setting_is_described_and_what_is_secret_is_no_flag() -> None:
    for setting in settings_of():
        assert setting.description, setting.name
        assert setting.flag == "--tokens-file" or not re.search("token|secret|options", setting.flag or "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:1/0", "redis://host:1/0"),
        ("redis://:a@host", "redis://:***@host"),
        ("postgresql://u:p:w@h/d", "postgresql://u:***@h/d"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock"),
    ],
)
def test_passwords_of_urls_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
