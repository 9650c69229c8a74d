"""Play the demo's story: the simulated system writes logs, the flows do the rest as of the simulated time.

Nothing of the watch is special here. Before it: `cli/demo_story.py` says what happens. After it: `cli/demo_report.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from cli.demo_report import gather
from cli.demo_story import CLOSES, OPENS, SERVICE, TICK, Played, Story
from cli.output import progress_bar
from ops.errors import Unavailable
from ops.window import Window
from tasks.load_settings import load_settings
from tasks.resources import create_database, database_url, drop_database, open_database, running_server
from tasks.settings import PREFIX, Settings
from tasks.simulate_traffic import simulate, splits_of
from tasks.simulator.vendor_api import EmbeddingServer
from tasks.stores.tables import embedding_cache

DATABASE = "watchkeeper_demo"
_DIMENSIONS = 64


def play(story: Story, out: Path | None, *, quiet: bool) -> Played:
    """Live through the story, on a fresh database, and return what came of it."""
    from flows.run import prefect_api

    started = time.monotonic()
    folder = (out / "watchkeeper-demo" if out else load_settings().home / "demo").absolute()
    with ExitStack() as stack:
        vendor = stack.enter_context(EmbeddingServer())
        settings = stack.enter_context(_prepared(folder, vendor.base_url))
        with progress_bar("starting", total=1, quiet=quiet) as show:
            show(0, "Postgres and a Prefect server")
            engine = stack.enter_context(open_database(settings))
            stack.enter_context(prefect_api(settings, private=f"{DATABASE}_prefect"))
            show(1, "ready")
        log = stack.enter_context((folder / "flows.log").open("w"))
        live = Live(story, settings, engine, folder)
        with progress_bar("history", total=story.history_days + 1, quiet=quiet) as show, redirect_stderr(log):
            live.write_history(show)
        with progress_bar("today", total=(CLOSES - OPENS) / TICK, quiet=quiet) as show, redirect_stderr(log):
            live.pass_day(show)
            played = live.close()
        played.seconds = round(time.monotonic() - started, 1)
        return gather(played)


class Live:
    """The simulated day, tick by tick."""

    def __init__(self, story: Story, settings: Settings, engine: sa.Engine, folder: Path) -> None:
        self.story, self.settings, self.engine, self.folder = story, settings, engine, folder
        self.warmed, self.warm_cost = 0, 0
        self._tries = {timedelta(hours=8, minutes=30): "v2", timedelta(hours=11): "v3"}

    def write_history(self, show: Any) -> None:
        """Write and load the days before today, and today until the doors open."""
        window = Window(self.story.start, self.story.today)
        for done, day in enumerate(window.days(), 1):
            self._simulate(Window(day, day + timedelta(days=1)))
            show(done, f"{day:%d %b}: simulated")
        self._simulate(Window(self.story.today, self.story.today + OPENS))
        show(self.story.history_days, "loading, pricing, rolling up")
        opens = self.story.today + OPENS
        self._flow("ingest-usage", opens)
        self._flow("check-quality", opens)
        show(self.story.history_days + 1, "loaded")

    def pass_day(self, show: Any) -> None:
        """Let the watch keep its day."""
        for done, start in enumerate(_ticks(self.story.today), 1):
            now = start + TICK
            release = self._tries.get(start - self.story.today)
            if release:
                self._start_rollout(release, start)
            self._simulate(Window(start, now))
            self._flow("ingest-usage", now)
            kept = self._flow("keep-watch", now)
            if now.minute == 0 and now.hour % 4 == 0:
                self._warm(now)
                self._flow("project-costs", now)
            show(done, f"{now:%H:%M} {str(kept.message)[:60]}")

    def close(self) -> Played:
        """Check and project once more, at the end of the day."""
        now = self.story.today + CLOSES
        checks = self._flow("check-quality", now).result()
        projected = self._flow("project-costs", now).result()
        return Played(
            self.settings, self.story, self.folder, now, projected, checks, self.warmed, self.warm_cost,
            engine=self.engine,
        )  # fmt: skip

    def _simulate(self, window: Window) -> None:
        simulate(
            self.story.traffic, window, self.folder / "logs",
            scenarios=self.story.scenarios, splits=splits_of(self.engine, self.settings.tenant), warmed=self._cached(),
        )  # fmt: skip

    def _cached(self) -> frozenset[str]:
        with self.engine.connect() as connection:
            return frozenset(connection.execute(sa.select(embedding_cache.c.text_hash)).scalars())

    def _flow(self, name: str, now: datetime) -> Any:
        from flows.run import run_flow

        state = run_flow(name, now)
        if not state.is_completed():
            state.result()  # raises what went wrong
        return state

    def _warm(self, now: datetime) -> None:
        state = self._flow("warm-caches", now)
        report = state.result() if state.name != "Skipped" else None
        if report is not None:
            self.warmed += report.warmed
            self.warm_cost += report.cost_usd

    def _start_rollout(self, release: str, now: datetime) -> None:
        from tasks.advance_rollout import start_rollout

        start_rollout(self.engine, self.settings, service=SERVICE, canary=release, plan="demo", now=now, control="v1")


def _ticks(today: datetime) -> Iterator[datetime]:
    now = today + OPENS
    while now < today + CLOSES:
        yield now
        now += TICK


@contextmanager
def _prepared(folder: Path, embeddings_url: str) -> Iterator[Settings]:
    """Make the demo's folder, settings and database anew; what the environment said before holds again afterwards."""
    ours = load_settings()
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(PREFIX) or name == "DATABASE_URL"]:
        del os.environ[name]  # no alert of a simulated day goes to the user's own channels
    os.environ |= {"WATCHKEEPER_HOME": str(ours.home), "WATCHKEEPER_CONFIG": str(folder / "watchkeeper.yaml")}
    if ours.database_url is not None:  # it may hold a password, which belongs in no file
        os.environ["WATCHKEEPER_DATABASE_URL"] = database_url(ours, DATABASE)
    try:
        with _alone(ours.home), _fresh_folder(folder, embeddings_url):
            _fresh_database(ours)
            yield load_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _fresh_folder(folder: Path, embeddings_url: str) -> Iterator[None]:
    """Write the demo's settings, and stay in its folder, away from the user's `.env`."""
    shutil.rmtree(folder / "logs", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "watchkeeper.yaml"
    file.write_text(yaml.safe_dump(_settings(folder, embeddings_url), sort_keys=False), encoding="utf-8")
    with contextlib.chdir(folder):
        yield


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the demo's lock, which the kernel drops with the process."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable("demo", "another one is playing; it takes about a minute") from None
        yield


def _fresh_database(ours: Settings) -> None:
    with running_server(ours) as server:
        drop_database(server, DATABASE)
        create_database(server, DATABASE)


def _settings(folder: Path, embeddings_url: str) -> dict[str, Any]:
    logs = folder / "logs"
    return {
        "database": DATABASE,  # so that every command shows the demo, when it is started in its folder
        "sources": [
            {"name": "gateway", "kind": "litellm", "path": f"{logs}/usage-*.jsonl.gz"},
            {"name": "feedback", "kind": "scores", "path": f"{logs}/scores-*.jsonl.gz"},
        ],
        "services": [{"name": SERVICE, "replicas": 1}, {"name": "search-api", "replicas": 1}],
        "channels": [{"name": "console", "kind": "console"}],
        "plans": {"demo": {"steps": [25, 50, 100], "min_requests": 40, "min_stage_minutes": 30, "max_drop": 0.05}},
        "budgets": [{"monthly_usd": 450}],
        "alerting": {"spend_floor_usd": 0.2},
        "warming": {
            "store_texts": True, "embeddings_url": embeddings_url, "api_key": "demo", "dimensions": _DIMENSIONS,
            "daily_budget_usd": 0.05, "max_entries": 500, "half_life_minutes": 240,
        },
    }  # fmt: skip
