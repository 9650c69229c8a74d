from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from cli import cost
from cli.main import COMMANDS, main, watchkeeper
from tasks.settings import Settings
from tests.loaded_modules import loaded_by

MODULES = Path(__file__).parents[2] / "cli"
HEAVY = ("alembic", "great_expectations", "httpx", "matplotlib", "prefect", "psycopg", "pydantic", "rich", "sqlalchemy")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("WATCHKEEPER_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCHKEEPER_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Run the entry point in this process: (exit code, standard output, standard error)."""

    def call(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["watchkeeper", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capfd.readouterr()
        return end.value.code or 0, said.out, said.err

    return call


def every_command(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner
            yield from every_command(inner, *path, name)


@pytest.mark.parametrize("path", dict(every_command(watchkeeper)), ids=lambda path: " ".join(path) or "watchkeeper")
def test_help_gives_an_example_of(path: tuple[str, ...], run) -> None:
    for option in ("--help", "-h"):
        code, out, err = run(*path, option)
        assert (code, err) == (0, "")
        assert "Example:\n" in out
        assert " ".join(("watchkeeper", *path)) in out.partition("Example:\n")[2]


def test_commands_are_all_the_modules_that_have_one() -> None:
    found = {
        file.stem
        for file in MODULES.glob("*.py")
        if re.search(r'^@click.(command|group)\("[a-z]', file.read_text(), re.M)
    }
    parts = {stem: stem.partition("_") for stem in found}
    assert {stem for stem, (group, _, name) in parts.items() if not name or group not in COMMANDS} == set(COMMANDS)
    of_cost = {name.replace("_", "-") for group, _, name in parts.values() if group == "cost" and name}
    assert of_cost == set(cost.COMMANDS)


def test_help_of_the_whole_loads_nothing_heavy() -> None:
    assert loaded_by("--help", of=HEAVY) == ""


def test_version_is_the_one_of_the_package(run) -> None:
    code, out, err = run("--version")
    assert (code, out.rpartition(", ")[2], err) == (0, f"version {version('watchkeeper')}\n", "")


USAGE = {
    "an unknown command": (("nope",), "No such command 'nope'."),
    "an unknown subcommand": (("config", "chek"), "No such command 'chek'. Did you mean 'check'?"),
    "an unknown option": (("--nope",), "No such option '--nope'."),
    "an unknown option of a subcommand": (("db", "status", "--nope"), "No such option '--nope'."),
    "a surplus argument": (("db", "status", "now"), "Got unexpected extra argument (now)"),
    "a line break in what was typed": (
        ("db", "status", "a\n\x1b[31m"),
        "Got unexpected extra argument (a\nwatchkeeper: [31m)",
    ),
    "a text that is not UTF-8": (
        ("rollout", "start", "--service", "caf\udce9"),
        r"Invalid value for '--service': 'caf\udce9' is not UTF-8 without NUL characters.",
    ),
    "a text with a NUL in it": (
        ("ingest", "log.jsonl", "--source", "a\0b"),
        r"Invalid value for '--source': 'a\x00b' is not UTF-8 without NUL characters.",
    ),
    "a missing argument": (("rollout", "abort"), "Missing argument 'ROLLOUT_ID'."),
}


@pytest.mark.parametrize(("words", "line"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_one_line_and_exit_code_2_for(words: tuple[str, ...], line: str, run) -> None:
    assert run(*words) == (2, "", f"watchkeeper: {line}\n")


def test_every_text_of_every_command_has_to_be_one_that_can_be_stored() -> None:
    params = [(path, param) for path, command in every_command(watchkeeper) for param in command.params]
    assert ("run",) in dict(params)
    assert [(path, param.name) for path, param in params if param.type is click.STRING] == []


@pytest.mark.parametrize("path", [(), ("db",)], ids=["watchkeeper", "a group"])
def test_no_command_at_all_shows_the_commands_there_are(path: tuple[str, ...], run) -> None:
    code, out, err = run(*path)
    assert (code, out) == (2, "")
    assert "Commands:\n" in err


FAILURES = {
    "a settings file that is missing": (
        {"WATCHKEEPER_CONFIG": "missing.yaml"}, 2,
        "settings file 'missing.yaml' not found: WATCHKEEPER_CONFIG names it",
    ),
    "a settings file that is broken": (
        {"WATCHKEEPER_CONFIG": "broken.yaml"}, 2, "broken.yaml:3: not readable as YAML: expected the node content",
    ),
    "a setting that is wrong": (
        {"WATCHKEEPER_PREFECT_PORT": "0"}, 2, "WATCHKEEPER_PREFECT_PORT: '0' is wrong: input should be greater",
    ),
    "a database URL that is none": ({"DATABASE_URL": "mysql://me:pw@host/db"}, 2, "DATABASE_URL: 'mysql://…' is not"),
    "a database URL that is not UTF-8": ({"DATABASE_URL": "postgresql://host/\udce9"}, 2, "DATABASE_URL: 'postgresql://…"),
    "a database that is away": (
        {"DATABASE_URL": "postgresql://me:pw@127.0.0.1:1/db"}, 1, "database is unavailable: connection failed: ",
    ),
    "a database option that is wrong": (
        {"DATABASE_URL": "postgresql://127.0.0.1:1/db?nonsense=1"}, 1,
        'the database refused: invalid connection option "nonsense"',
    ),
    "a home that is not UTF-8": (
        {"WATCHKEEPER_HOME": "caf\udce9"}, 2, "WATCHKEEPER_HOME: 'caf\\udce9' is wrong: not UTF-8",
    ),
    "a home that cannot be": ({"WATCHKEEPER_HOME": "broken.yaml/home"}, 1, "/broken.yaml/home: Not a directory"),
}  # fmt: skip


@pytest.mark.parametrize(("environment", "code", "line"), FAILURES.values(), ids=FAILURES)
def test_failure_is_one_line_and_its_exit_code_for(
    environment: dict[str, str], code: int, line: str, folder: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.yaml").write_text("tenant: a\nsources: [1,\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found, out, err = run("db", "upgrade")
    assert (found, out) == (code, "")
    (said,) = err.splitlines()
    assert said.startswith("watchkeeper: ")
    assert line in said


def test_settings_errors_are_one_line_each(folder: Path, run) -> None:
    (folder / "watchkeeper.yaml").write_text("tenant: a b\nplanz: {}\n")
    code, _, err = run("config", "show")
    assert code == 2
    assert [line.split(": ")[1:3] for line in err.splitlines()] == [
        ["watchkeeper.yaml:1", "tenant"],
        ["watchkeeper.yaml:2", "planz"],
    ]


def test_exit_code_of_a_command_is_the_one_of_the_process(settings: Settings, run) -> None:
    assert run("db", "psql", "-Xc", "SELECT 1")[0] == 0
    assert run("db", "psql", "-Xc", "SELECT nonsense")[0] == 1


def test_ctrl_c_ends_with_130_and_no_traceback(settings: Settings, run) -> None:
    code, _, err = run("db", "psql", "-Xc", f"\\! kill -INT {os.getpid()}")
    assert code == 130
    assert err.strip() == ""


def test_error_of_our_own_making_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    monkeypatch.setattr(sys, "argv", ["watchkeeper", "config", "show"])
    with pytest.raises(ValueError, match="closed file"):
        main()


def test_reader_that_hangs_up_is_no_traceback(folder: Path) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    words = [sys.executable, "-m", "cli.main", "config", "show"]
    done = subprocess.run(words, stdout=writable, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writable)
    assert (done.returncode, done.stderr) == (1, "")


def test_install_without_the_command_line_says_what_to_install() -> None:
    script = "import sys; sys.modules['click'] = None; import cli.main"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, 'the command needs more packages: pip install "watchkeeper[ops]"\n')
