from __future__ import annotations

import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ops.errors import InvalidValue, NotFound
from tasks.load_settings import SettingsError, load_settings
from tasks.settings import Settings

HIDDEN = "xoxb-do-not-tell"
GROUPS = (
    "alerting, budgets, channels, component_costs, database, database_url, evaluation, home, month_timezone, plans, "
    "prefect_port, prices, receiver, savings, services, slack, sources, storage, tenant, vendors, warming"
)
EVERYTHING = """\
tenant: acme
month_timezone: Europe/Berlin
sources:
  - name: gateway
    path: logs/*.jsonl
  - {name: notes, kind: csv, path: notes.csv, columns: {occurred_at: time}, timezone: UTC}
services:
  - {name: assistant, replicas: 4}
channels:
  - {name: ops, kind: slack, target: C1, tiers: [critical]}
plans:
  bold: {steps: [50, 100]}
alerting: {spend_floor_usd: 2.50}
slack: {bot_token: xoxb-do-not-tell}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and nothing of ours in the environment."""
    for name in [name for name in os.environ if name.startswith("WATCHKEEPER_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(yaml: str) -> list[str]:
    Path("watchkeeper.yaml").write_text(yaml)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    lines = [str(problem) for problem in caught.value.problems]
    assert lines == str(caught.value).splitlines()
    return lines


def test_settings_without_any_file_or_variable_are_the_defaults() -> None:
    settings = load_settings()
    assert settings == Settings()
    assert settings.database_url is None
    assert settings.zone == ZoneInfo("UTC")
    assert not settings.slack_ready
    assert [channel.kind for channel in settings.channels] == ["console"]


def test_settings_of_a_whole_file_are_read(folder: Path) -> None:
    (folder / "watchkeeper.yaml").write_text(EVERYTHING)
    settings = load_settings()
    assert settings.tenant == "acme"
    assert settings.zone == ZoneInfo("Europe/Berlin")
    assert [(source.name, source.kind) for source in settings.sources] == [("gateway", "litellm"), ("notes", "csv")]
    assert settings.services[0].replicas == 4
    assert settings.channels[0].tiers == {"critical"}
    assert settings.plans["bold"].steps == (50, 100)
    assert settings.alerting.spend_floor_usd == Decimal("2.5")
    assert settings.slack_ready


@pytest.mark.parametrize(
    ("variable", "dotenv", "yaml", "expected"),
    [
        pytest.param("env", "dotenv", "yaml", "env", id="the environment beats all"),
        pytest.param(None, "dotenv", "yaml", "dotenv", id="a .env file beats the YAML file"),
        pytest.param(None, None, "yaml", "yaml", id="the YAML file beats the default"),
        pytest.param(None, None, None, "default", id="the default is the last"),
    ],
)
def test_settings_precedence(
    variable: str | None, dotenv: str | None, yaml: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv("WATCHKEEPER_TENANT", variable)
    if dotenv:
        Path(".env").write_text(f"WATCHKEEPER_TENANT={dotenv}\n")
    if yaml:
        Path("watchkeeper.yaml").write_text(f"tenant: {yaml}\n")
    assert load_settings().tenant == expected
    assert load_settings(tenant="argument").tenant == "argument"


@pytest.mark.parametrize("file", [".env", "watchkeeper.yaml"])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "WATCHKEEPER_DATABASE_URL"])
def test_settings_database_url_in_the_environment_beats_the_one_in(
    file: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "DATABASE_URL=postgresql://file\n" if file == ".env" else "database_url: postgresql://file\n"
    Path(file).write_text(line)
    assert opened(load_settings()) == "postgresql://file"
    monkeypatch.setenv(variable, "postgresql://environment")
    assert opened(load_settings()) == "postgresql://environment"


def opened(settings: Settings) -> str:
    assert settings.database_url
    return settings.database_url.get_secret_value()


def test_settings_nested_variables_change_one_field_of_a_group_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("watchkeeper.yaml").write_text("warming: {max_entries: 5, ttl_hours: 2}\n")
    monkeypatch.setenv("WATCHKEEPER_WARMING__TTL_HOURS", "3")
    warming = load_settings().warming
    assert (warming.max_entries, warming.ttl_hours) == (5, 3)


def test_settings_take_a_whole_list_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_SERVICES", '[{"name": "assistant", "replicas": 0}]')
    assert [(service.name, service.replicas) for service in load_settings().services] == [("assistant", 0)]


def test_settings_leave_alone_what_an_application_keeps_in_its_dotenv_file() -> None:
    Path(".env").write_text(f"OPENAI_API_KEY={HIDDEN}\nHOME=/nowhere\nWATCHKEEPER_TENANT=acme\n")
    assert load_settings().tenant == "acme"


@pytest.mark.parametrize("given", ["~/watch", "watch"])
def test_settings_home_is_an_absolute_path(given: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("WATCHKEEPER_HOME", given)
    assert load_settings().home == folder / "watch"


def test_settings_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "watchkeeper.yaml").write_text("tenant: here\n")
    (folder / "other.yaml").write_text("tenant: there\n")
    monkeypatch.setenv("WATCHKEEPER_CONFIG", "other.yaml")
    assert load_settings().tenant == "there"


@pytest.mark.parametrize("named", ["missing.yaml", "."])
def test_settings_file_that_is_named_but_missing_is_an_error(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_CONFIG", named)
    with pytest.raises(NotFound, match=f"settings file '{named}' not found: WATCHKEEPER_CONFIG names it"):
        load_settings()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_settings_of_an_empty_file_are_the_defaults(text: str) -> None:
    Path("watchkeeper.yaml").write_text(text)
    assert load_settings() == Settings()


WRONG = {
    "a value of another type": (
        "tenant: a\nprefect_port: soon\n",
        "watchkeeper.yaml:2: prefect_port: 'soon' is wrong: input should be a valid integer, unable to parse string as "
        "an integer",
    ),
    "a value beyond its limit": (
        "prefect_port: 65536\n",
        "watchkeeper.yaml:1: prefect_port: 65536 is wrong: input should be less than or equal to 65535",
    ),
    "not a time zone": (
        "month_timezone: Mars/Olympus\n",
        "watchkeeper.yaml:1: month_timezone: 'Mars/Olympus' is wrong: not an IANA time zone such as UTC "
        "or Europe/Berlin",
    ),
    "fewer days than must be kept": (
        "storage: {keep_events_days: 34}\n",
        "watchkeeper.yaml:1: storage.keep_events_days: 34 is wrong: at least 35 days of events: the "
        "month's spend and late rows need 31 of them",
    ),
    "an unknown setting": ("\nplanz: {}\n", f"watchkeeper.yaml:2: planz: unknown setting; known here: {GROUPS}"),
    "an unknown setting of a group": (
        "slack:\n  tokn: x\n",
        "watchkeeper.yaml:2: slack.tokn: unknown setting; known here: base_url, bot_token",
    ),
    "an unknown setting in a list": (
        "services:\n  - name: a\n  - name: b\n    replica: 2\n",
        "watchkeeper.yaml:4: services.1.replica: unknown setting; known here: name, replicas, target_in_flight",
    ),
    "an unknown setting of a named plan": (
        "plans:\n  bold:\n    stepz: []\n",
        "watchkeeper.yaml:3: plans.bold.stepz: unknown setting; known here: alpha, max_drop, min_requests, "
        "min_stage_minutes, steps",
    ),
    "a required setting is missing": (
        "services:\n  - replicas: 2\n",
        "watchkeeper.yaml:2: services.0.name: missing, but required",
    ),
    "a plan's name": (
        "plans:\n  b c: {}\n",
        r"watchkeeper.yaml:2: plans.b c: 'b c' is wrong: string should match pattern '^[\w.:/-]+$'",
    ),
    "a secret of another type": (
        f"slack: {{bot_token: [{HIDDEN}]}}\n",
        "watchkeeper.yaml:1: slack.bot_token: (hidden) is wrong: input should be a valid string",
    ),
    "a secret in place of its group": (
        f"slack: {HIDDEN}\n",
        "watchkeeper.yaml:1: slack: (hidden) is wrong: input should be a valid dictionary or instance of Slack",
    ),
    "a URL of the database in place of its name": (
        f"database: postgresql://me:{HIDDEN}@host/db\n",
        r"watchkeeper.yaml:1: database: (hidden) is wrong: string should match pattern '^[\w.:/-]+$'",
    ),
    "a database URL of another type": (
        "tenant: a\ndatabase_url: 5\n",
        "watchkeeper.yaml:2: database_url: (hidden) is wrong: input should be a valid string",
    ),
    "a number in place of a list": (
        "sources: 7\n",
        "watchkeeper.yaml:1: sources: 7 is wrong: input should be a valid tuple",
    ),
    "no such user": (
        "home: ~nobody-of-that-name/x\n",
        "watchkeeper.yaml:1: home: '~nobody-of-that-name/x' is wrong: no such user's home",
    ),
    "a long value": (
        f"prefect_port: {'9' * 200}x\n",
        f"watchkeeper.yaml:1: prefect_port: '{'9' * 79} is wrong: input should be a valid integer, unable to parse "
        "string as an integer",
    ),
}


@pytest.mark.parametrize(("yaml", "expected"), WRONG.values(), ids=WRONG)
def test_settings_error_names_file_line_and_field_of(yaml: str, expected: str) -> None:
    assert problems(yaml) == [expected]


def test_settings_errors_come_all_at_once() -> None:
    found = problems("tenant: a b\nprefect_port: 0\nplanz: {}\n")
    assert sorted(line.split(": ", 1)[0] for line in found) == [f"watchkeeper.yaml:{line}" for line in (1, 2, 3)]


UNREADABLE = {
    "a bracket that stays open": (
        "a: b\nc: [1,\n",
        "watchkeeper.yaml:3: not readable as YAML: expected the node",
    ),
    "a tab": ("a:\n\tb: 1\n", "watchkeeper.yaml:2: not readable as YAML: found character '\\t' that cannot start"),
    "a Python object": (
        "a: !!python/object/apply:os.getcwd []\n",
        "watchkeeper.yaml:1: not readable as YAML: could not determine a constructor",
    ),
    "a NUL": ("tenant: \0\n", "watchkeeper.yaml: not readable as YAML: unacceptable character #x0000: special"),
    "a thousand brackets": ("a: " + "[" * 1_000, "watchkeeper.yaml: not readable as YAML: maximum recursion depth"),
}


@pytest.mark.parametrize(("yaml", "expected"), UNREADABLE.values(), ids=UNREADABLE)
def test_settings_file_that_is_not_yaml_is_told_in_one_line(yaml: str, expected: str) -> None:
    (found,) = problems(yaml)
    assert found.startswith(expected)


def test_settings_file_that_is_not_text_is_told_in_one_line(folder: Path) -> None:
    (folder / "watchkeeper.yaml").write_bytes(b"tenant: \xff\xfe\n")
    with pytest.raises(SettingsError, match=r"^watchkeeper.yaml: not readable as YAML: 'utf-8' codec can't"):
        load_settings()


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        pytest.param(f"token={HIDDEN}\n", "watchkeeper.yaml: 'str' is not a YAML mapping", id="a .env file"),
        pytest.param("- a\n", "watchkeeper.yaml: 'list' is not a YAML mapping", id="a list"),
        pytest.param("5: a\n", "watchkeeper.yaml: 5 is not the name of a setting", id="a number for a name"),
    ],
)
def test_settings_file_of_another_shape_is_refused(yaml: str, expected: str) -> None:
    Path("watchkeeper.yaml").write_text(yaml)
    with pytest.raises(InvalidValue) as caught:
        load_settings()
    assert str(caught.value).startswith(expected)
    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PREFECT_PORT", "soon", "WATCHKEEPER_PREFECT_PORT: 'soon' is wrong: input should be a valid integer, unable"),
        ("SLACK__TOKN", "x", "WATCHKEEPER_SLACK__TOKN: unknown setting; known here: base_url, bot_token"),
        (
            "SLACK",
            '{"bot_token": 5}',
            "WATCHKEEPER_SLACK__BOT_TOKEN: (hidden) is wrong: input should be a valid string",
        ),
        ("PREFECT_PROT", "4200", f"WATCHKEEPER_PREFECT_PROT: unknown setting; known here: {GROUPS}"),
        ("SLACK", HIDDEN, 'environment or .env: error parsing value for field "slack" from source "EnvSettingsSource"'),
    ],
    ids=["of another type", "unknown in its group", "of another type in JSON", "unknown", "not JSON"],
)
def test_settings_error_names_the_variable_even_when_a_file_has_the_setting_too(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"WATCHKEEPER_{variable}", value)
    (found,) = problems("prefect_port: 4200\nslack: {}\n")
    assert found.startswith(expected)
    assert HIDDEN not in found


def test_settings_error_names_the_variable_of_the_dotenv_file() -> None:
    Path(".env").write_text("WATCHKEEPER_PREFECT_PORT=soon\nWATCHKEEPER_TENNANT=a\n")
    assert [line.split(":", 1)[0] for line in problems("prefect_port: 4200\n")] == [
        "WATCHKEEPER_TENNANT",
        "WATCHKEEPER_PREFECT_PORT",
    ]


def test_settings_dotenv_file_that_is_not_text_is_told_in_one_line(folder: Path) -> None:
    (folder / ".env").write_bytes(b"WATCHKEEPER_TENANT=\xff\n")
    with pytest.raises(SettingsError, match=r"^\.env: not readable: 'utf-8' codec can't"):
        load_settings()


def test_settings_remember_nothing_of_what_they_are_asked() -> None:
    """Prefect walks over their fields in one thread while another asks: a field that is added meanwhile fails a run."""
    settings = Settings()
    before = dict(vars(settings))
    for name in ("overrides", "slack_ready", "zone"):
        getattr(settings, name)
    assert vars(settings) == before


def test_settings_secrets_never_show_in_their_text() -> None:
    settings = load_settings(slack={"bot_token": HIDDEN}, database_url=f"postgresql://me:{HIDDEN}@host/db")
    assert settings.slack.bot_token.get_secret_value() == HIDDEN
    assert HIDDEN not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_home_of_root_is_where_postgres_can_reach_it_and_of_others_their_own() -> None:
    home = Settings().home
    assert (home == Path("/var/lib/watchkeeper")) == (os.geteuid() == 0)
    assert home.is_absolute()


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        pytest.param("plans: {a: {steps: [50, 10, 100]}}", "percents that rise", id="steps that fall"),
        pytest.param("plans: {a: {steps: [100]}}", "two or more percents", id="one step"),
        pytest.param("channels: [{name: a, kind: slack}]", "needs its `target`", id="Slack without a channel"),
        pytest.param("warming: {ttl_hours: 1.0e300}", "less than or equal to 8760", id="a time to live of aeons"),
        pytest.param("alerting: {spend_floor_usd: 0}", "greater than 0", id="a floor that no spend is above"),
        pytest.param(
            "component_costs: [{component: compute, usd_per_day: '1e-400'}]", "12 decimal", id="a grain of dust"
        ),
        pytest.param("slack: {base_url: nowhere}", "should match pattern", id="an address that is none"),
        pytest.param("sources: [{name: a, url: 'http://[::1'}]", "not an address such as", id="half an IPv6 address"),
        pytest.param(
            "sources: [{name: a, url: 'http://1.2.3.256'}]", "not an address", id="an IPv4 address that is none"
        ),
        pytest.param("sources: [{name: a, url: 'http://xn--a'}]", "not an address", id="a name that no one can have"),
        pytest.param("sources: [{name: a, url: 'http://a:70000'}]", "not an address", id="a port that is none"),
        pytest.param(
            "sources: [{name: a, api_key: schlüssel-1}]", "not of ASCII alone", id="a key that HTTP cannot send"
        ),
        pytest.param(
            "vendors: [{name: a, fallback: gpt-4o}]", "should match pattern", id="a fallback without a vendor"
        ),
        pytest.param(
            "vendors: [{name: Gemini, fallback: vertex_ai/gemini-3-pro}]",
            "the fallback of google must be of another vendor",
            id="a fallback of the same vendor by another name",
        ),
        pytest.param("vendors: [{name: a, components: [API]}]", "needs its status_url", id="components of no page"),
        pytest.param(
            "vendors: [{name: gemini}, {name: google}]",
            "each vendor needs a name of its own; there twice: google",
            id="a vendor twice",
        ),
        pytest.param("month_timezone: 2026-13-45", "not readable as YAML", id="a date that is none"),
    ],
)
def test_settings_that_would_fail_later_are_refused_at_once(yaml: str, words: str) -> None:
    (found,) = problems(f"{yaml}\n")
    assert words in found
    assert "schlüssel" not in found


PRICE = "{contract: deal, vendor: vertex_ai, model: gemini-2.5-pro, input: 1, output: 8"


def test_prices_become_overrides_of_the_vendor_as_the_book_names_it(folder: Path) -> None:
    (folder / "watchkeeper.yaml").write_text(f"prices: [{PRICE}, cached: 0.1, from: 2026-01-01, tier: batch}}]\n")
    [found] = load_settings().overrides
    assert (found.vendor, found.cached, found.start, found.end) == (
        "google",
        Decimal("0.1"),
        date(2026, 1, 1),
        date.max,
    )
    assert (found.tier, found.per_thousand_requests) == ("batch", None)


def test_model_and_tier_of_a_price_are_named_as_events_name_them(folder: Path) -> None:
    rest = "contract: deal, vendor: OpenAI, input: 1, output: 8"
    prices = f"{{model: ' openai/gpt-4o ', tier: default, {rest}}}, {{model: 'openai/*', {rest}}}"
    (folder / "watchkeeper.yaml").write_text(f"prices: [{prices}]\n")
    assert [(found.model, found.tier) for found in load_settings().overrides] == [("gpt-4o", None), ("*", None)]


@pytest.mark.parametrize("model", ["", " ", "openai/", "gpt-*-mini", "*o*"])
def test_price_of_what_no_event_is_called_is_refused(folder: Path, model: str) -> None:
    (found,) = problems(f"prices: [{{contract: a, vendor: openai, model: '{model}', input: 1, output: 1}}]\n")
    assert "not a model's name, nor the beginning of names such as gpt-4o*" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"prices: [{PRICE}}}, {PRICE}, from: 2026-01-01}}]\n", "deal: google/gemini-2.5-pro from 2026-01-01"),
        (f"prices: [{PRICE}, from: 2026-02-01, to: 2026-01-01}}]\n", "`to` 2026-01-01 must be after `from` 2026-02-01"),
        (f"prices: [{PRICE}, cached: -1}}]\n", "prices.0.cached: -1 is wrong"),
        (f"prices: [{PRICE}, inputs: 1}}]\n", "cache_write_1h, cached, contract, from, input, model, output, per_"),
        ("component_costs: [{component: compute}]\n", "it needs its usd_per_day or usd_per_query"),
    ],
    ids=["of two that overlap both", "days that end before they begin", "a price below 0", "known names", "no rate"],
)
def test_settings_error_of_a_price_names(text: str, expected: str) -> None:
    assert expected in "\n".join(problems(text))
