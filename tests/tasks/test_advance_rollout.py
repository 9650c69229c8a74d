from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
import sqlalchemy as sa

from ops.deployment.bucketing import Split
from ops.deployment.canary import Rollout
from ops.deployment.gates import replay
from ops.errors import InvalidValue, NotFound, UnknownName
from ops.window import Window
from tasks.advance_rollout import abort_rollout, advance_rollouts, start_rollout
from tasks.load_file import load_file
from tasks.log_file import LogFile
from tasks.settings import RolloutPlan, Settings, Source
from tasks.simulate_traffic import simulate, splits_of
from tasks.simulator import Scenario, Traffic
from tasks.stores import rollouts
from tasks.stores import tables as t
from tasks.write_usage import Target
from tests.hand_made import HOUR, NOW, event, failed, insert, load, rows_of
from tests.waiting import are_waiting

MINUTE = timedelta(minutes=1)
STAGE = 10 * MINUTE
PLAN = RolloutPlan(steps=(25, 50, 100), min_requests=20, min_stage_minutes=10, max_drop=0.2)
REPOSITORY = Path(__file__).parents[2]

Start = Callable[..., Rollout]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a plan that 40 good requests of each arm pass."""
    return settings.model_copy(update={"plans": {"quick": PLAN}})


@pytest.fixture
def start(engine: sa.Engine, settings: Settings) -> Start:
    def started(service: str = "assistant", canary: str = "v2", now: datetime = NOW, **changes: Any) -> Rollout:
        given = {"plan": "quick", "control": "v1", **changes}
        return start_rollout(engine, settings, service=service, canary=canary, now=now, **given)

    return started


def serve(engine: sa.Engine, now: datetime, failures: int = 0, n: int = 40, service: str = "assistant") -> None:
    """Let both releases answer n requests in the minute before `now`; the canary fails at some."""
    place = {"before": MINUTE, "now": now, "service": service}
    made = [event(**place, release="v1") for _ in range(n)]
    made += [failed(**place, release="v2") for _ in range(failures)]
    load(engine, made + [event(**place, release="v2") for _ in range(n - failures)])


def advance(engine: sa.Engine, settings: Settings, now: datetime) -> list[str]:
    return advance_rollouts.fn(engine, settings, now)


def standing(engine: sa.Engine) -> tuple[str, int, int]:
    """Return a rollout's state and version, and the canary's percent."""
    [row] = rows_of(engine, t.rollouts)
    [split] = rows_of(engine, t.traffic_splits)
    return row.state, row.version, split.canary_percent


def split(engine: sa.Engine) -> Split:
    with engine.connect() as connection:
        return rollouts.splits(connection, "default")["assistant"]


def news(engine: sa.Engine) -> list[tuple[str, str]]:
    rows = sorted(rows_of(engine, t.outbox), key=lambda row: (row.created_at, row.dedup_key))
    return [(row.tier, row.payload["text"].partition(" · ")[2].split(":")[0]) for row in rows]


def test_rollout_advances_stage_by_stage_and_its_canary_becomes_the_control(
    engine: sa.Engine, settings: Settings, start: Start
) -> None:
    rollout = start()
    assert standing(engine) == ("running", 0, 25)
    for number, expected in ((1, ("running", 1, 50)), (2, ("promoted", 2, 0))):
        serve(engine, NOW + number * STAGE)
        advance(engine, settings, NOW + number * STAGE)
        assert standing(engine) == expected
    assert split(engine) == Split(service="assistant", control_release="v2")
    events = rows_of(engine, t.rollout_events)
    assert [(row.version, row.action, row.verdict, row.weight) for row in events] == [
        (1, "advance", "pass", 50),
        (2, "promote", "pass", 100),
    ]
    assert events[0].decided_at == NOW + STAGE
    assert {row.rollout_id for row in events} == {rollout.rollout_id}
    assert news(engine) == [
        ("info", "Canary v2 of assistant starts at 25 %"),
        ("info", "Canary v2 of assistant advances to 50 %"),
        ("info", "Deployment complete"),
    ]


@pytest.mark.parametrize(
    ("n", "failures", "after", "verdict", "expected"),
    [
        pytest.param(40, 0, STAGE, "advance (pass)", ("running", 1, 50), id="good, long enough: advance"),
        pytest.param(40, 0, STAGE - MINUTE, "hold (pass)", ("running", 0, 25), id="good, but early: hold"),
        pytest.param(40, 4, STAGE, "hold (inconclusive)", ("running", 0, 25), id="between good and bad: hold"),
        pytest.param(40, 20, STAGE, "roll_back (fail)", ("rolled_back", 1, 0), id="bad: roll back"),
        pytest.param(40, 20, 2 * MINUTE, "roll_back (fail)", ("rolled_back", 1, 0), id="bad and early: roll back"),
        pytest.param(12, 12, 2 * MINUTE, "roll_back (fail)", ("rolled_back", 1, 0), id="a burst of errors: roll back"),
        pytest.param(19, 0, STAGE, "hold (no_data)", ("running", 0, 25), id="too few requests: hold"),
        pytest.param(0, 0, 30 * 24 * HOUR, "hold (no_data)", ("running", 0, 25), id="no requests for a month: hold"),
    ],
)
def test_rollout_moves_by_what_its_canary_shows(
    engine: sa.Engine, settings: Settings, start: Start, n: int, failures: int, after: timedelta, verdict: str,
    expected: tuple[str, int, int],
) -> None:  # fmt: skip
    rollout = start()
    if n:
        serve(engine, NOW + after, failures, n)
    [line] = advance(engine, settings, NOW + after)
    assert line.startswith(f"{rollout.rollout_id}: {verdict}: ")
    assert standing(engine) == expected


def checked(engine: sa.Engine, at: datetime, outcome: str, **changes: Any) -> None:
    row = {"suite": "events", "as_of": at, "name": "status is known", "severity": "critical", "outcome": outcome}
    insert(engine, t.quality_checks, [{**row, **changes}])


def test_rollout_is_held_while_a_critical_check_of_its_data_fails(
    engine: sa.Engine, settings: Settings, start: Start
) -> None:
    start()
    serve(engine, NOW + STAGE)
    checked(engine, NOW, "failed", detail="3 rows break it")
    [line] = advance(engine, settings, NOW + STAGE)
    reason = "passing, but held: data check failed: events: status is known (3 rows break it)"
    assert line.endswith(f": hold (pass): {reason}")
    assert rows_of(engine, t.rollouts)[0].reason == reason
    assert standing(engine) == ("running", 0, 25)
    for number, outcome in enumerate(("errored", "no_data")):
        checked(engine, NOW + STAGE + number * MINUTE, outcome, detail="it said nothing")
        advance(engine, settings, NOW + STAGE + number * MINUTE)
        assert rows_of(engine, t.rollouts)[0].reason == reason
    serve(engine, NOW + HOUR, failures=20)
    advance(engine, settings, NOW + HOUR)
    assert standing(engine) == ("rolled_back", 1, 0)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"outcome": "passed"}, id="the check passes again"),
        pytest.param({"outcome": "errored", "name": "another"}, id="a check that was never evaluated says nothing"),
        pytest.param({"outcome": "no_data", "name": "another"}, id="nor does one that never had data"),
        pytest.param({"outcome": "failed", "severity": "warning"}, id="a warning holds nothing"),
        pytest.param({"outcome": "failed", "suite": "prices", "name": "x"}, id="success rates do not rest on prices"),
        pytest.param({"outcome": "passed", "name": "another"}, id="the failed one is made no more"),
        pytest.param({"outcome": "failed", "tenant_id": "other"}, id="another tenant's data"),
    ],
)
def test_rollout_goes_on_when_no_critical_check_of_its_data_fails(
    engine: sa.Engine, settings: Settings, start: Start, changes: dict[str, Any]
) -> None:
    start()
    serve(engine, NOW + STAGE)
    if "suite" not in changes and "tenant_id" not in changes:
        checked(engine, NOW, "failed")
    checked(engine, NOW + STAGE, **changes)
    advance(engine, settings, NOW + STAGE)
    assert standing(engine) == ("running", 1, 50)


def test_rollout_without_data_holds_and_goes_on_by_itself(engine: sa.Engine, settings: Settings, start: Start) -> None:
    start()
    for number in range(1, 6):
        advance(engine, settings, NOW + number * HOUR)
    [row] = rows_of(engine, t.rollouts)
    assert row.reason == "0 canary and 0 control requests in this stage: 20 of each are needed"
    assert (rows_of(engine, t.rollout_events), len(news(engine))) == ([], 1)
    serve(engine, NOW + 6 * HOUR)
    advance(engine, settings, NOW + 6 * HOUR)
    assert standing(engine) == ("running", 1, 50)


def test_rollout_that_failed_gives_everybody_back_and_warns(
    engine: sa.Engine, settings: Settings, start: Start
) -> None:
    start()
    serve(engine, NOW + STAGE, failures=20)
    advance(engine, settings, NOW + STAGE)
    assert split(engine) == Split(service="assistant", control_release="v1")
    assert news(engine)[-1] == ("warning", "Canary v2 of assistant rolled back")
    assert advance(engine, settings, NOW + 2 * STAGE) == []


def test_every_decision_replays_to_the_verdict_that_was_stored(
    engine: sa.Engine, settings: Settings, start: Start
) -> None:
    start()
    for number, failures in ((1, 0), (2, 39)):
        serve(engine, NOW + number * STAGE, failures)
        advance(engine, settings, NOW + number * STAGE)
    stored = rows_of(engine, t.rollout_events)
    assert [row.verdict for row in stored] == ["pass", "fail"]
    for row in stored:
        again = replay(row.evidence["gate"])
        assert (again.verdict.value, again.reason) == (row.verdict, row.reason)
        assert again.evidence == row.evidence["gate"]
        assert (row.evidence["version"], row.evidence["decided_at"]) == (row.version - 1, row.decided_at.isoformat())


def test_rollouts_of_several_services_move_each_by_its_own(engine: sa.Engine, settings: Settings, start: Start) -> None:
    start()
    start("search-api")
    start("batch", canary="v9")
    serve(engine, NOW + STAGE)
    serve(engine, NOW + STAGE, failures=30, service="search-api")
    lines = advance(engine, settings, NOW + STAGE)
    assert [line.split(": ")[1] for line in lines] == ["advance (pass)", "hold (no_data)", "roll_back (fail)"]
    assert [row.state for row in rows_of(engine, t.rollouts)] == ["running", "running", "rolled_back"]


# Start and abort


def test_start_takes_the_release_that_serves_now(engine: sa.Engine, settings: Settings, start: Start) -> None:
    start()
    for number in (1, 2):
        serve(engine, NOW + number * STAGE)
        advance(engine, settings, NOW + number * STAGE)
    assert start(canary="v3", control=None, now=NOW + HOUR).control_release == "v2"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        pytest.param({"plan": "bold"}, UnknownName, "plan: 'bold' is not one of quick", id="a plan nobody wrote"),
        pytest.param({"control": None}, InvalidValue, "control: None is not given", id="nothing known to serve"),
        pytest.param({"canary": "v1"}, InvalidValue, "another release than", id="the release that serves"),
        pytest.param({"canary": ""}, InvalidValue, "canary", id="a release without a name"),
        pytest.param({"service": " "}, InvalidValue, "service", id="a service without a name"),
        pytest.param({"canary": "v\x00"}, InvalidValue, "canary", id="a name that Postgres cannot hold"),
    ],
)
def test_start_refuses(
    engine: sa.Engine, start: Start, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        start(**changes)
    assert (rows_of(engine, t.rollouts), rows_of(engine, t.traffic_splits), news(engine)) == ([], [], [])


def test_start_twice_is_refused(engine: sa.Engine, start: Start) -> None:
    start()
    for canary, now in (("v2", NOW), ("v3", NOW + MINUTE)):
        with pytest.raises(InvalidValue, match=r"assistant.* is not free: .* is open"):
            start(canary=canary, now=now)
    assert (standing(engine), split(engine).canary_release, len(news(engine))) == (("running", 0, 25), "v2", 1)


def test_starts_at_once_open_one_rollout(engine: sa.Engine, start: Start) -> None:
    def attempt(canary: str) -> bool:
        try:
            return bool(start(canary=canary))
        except InvalidValue:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, ["v2", "v3", "v4", "v5"])) == 1
    [row] = rows_of(engine, t.rollouts)
    assert (split(engine).canary_release, len(news(engine))) == (row.canary_release, 1)


def test_abort_gives_everybody_back_and_says_why(engine: sa.Engine, settings: Settings, start: Start) -> None:
    rollout = start()
    after = abort_rollout(engine, settings, rollout.rollout_id, "wrong prompt", NOW + MINUTE)
    assert (after.state, after.version) == ("aborted", 1)
    assert split(engine) == Split(service="assistant", control_release="v1")
    [row] = rows_of(engine, t.rollout_events)
    assert (row.action, row.verdict, row.reason, row.weight) == ("abort", "by_hand", "wrong prompt", 0)
    assert news(engine)[-1] == ("warning", "Canary v2 of assistant aborted by hand")


def test_abort_of_what_is_not_or_is_over_is_refused(engine: sa.Engine, settings: Settings, start: Start) -> None:
    with pytest.raises(NotFound, match="rollout 'nothing' not found"):
        abort_rollout(engine, settings, "nothing", "why", NOW)
    rollout = start()
    abort_rollout(engine, settings, rollout.rollout_id, "why", NOW)
    with pytest.raises(InvalidValue, match="open, so it cannot become aborted"):
        abort_rollout(engine, settings, rollout.rollout_id, "why", NOW + MINUTE)
    assert len(rows_of(engine, t.rollout_events)) == 1


# At once, and killed


def test_reconcilers_at_once_decide_once(engine: sa.Engine, settings: Settings, start: Start) -> None:
    start()
    serve(engine, NOW + STAGE)
    with ThreadPoolExecutor(4) as pool:
        lines = list(pool.map(lambda _: advance(engine, settings, NOW + STAGE), range(4)))
    assert sum("advance" in line for found in lines for line in found) == 1
    assert standing(engine) == ("running", 1, 50)
    assert (len(rows_of(engine, t.rollout_events)), len(news(engine))) == (1, 1 + 1)


def test_abort_against_a_promotion_leaves_one_whole_end(engine: sa.Engine, settings: Settings, start: Start) -> None:
    services = [f"s{number}" for number in range(12)]
    for service in services:
        start(service, plan="quick")
        serve(engine, NOW + STAGE, service=service)
    advance(engine, settings, NOW + STAGE)
    for service in services:
        serve(engine, NOW + 2 * STAGE, service=service)

    def stop(row: Any) -> None:
        with suppress(InvalidValue):  # promoted already
            abort_rollout(engine, settings, row.rollout_id, "stop", NOW + 2 * STAGE)

    with ThreadPoolExecutor(2) as pool:
        promoting = pool.submit(advance, engine, settings, NOW + 2 * STAGE)
        list(pool.map(stop, rows_of(engine, t.rollouts)))
        promoting.result()
    serving = {row.service: row.control_release for row in rows_of(engine, t.traffic_splits)}
    ends = {row.service: row.state for row in rows_of(engine, t.rollouts)}
    assert set(ends.values()) <= {"promoted", "aborted"}
    assert serving == {service: "v2" if end == "promoted" else "v1" for service, end in ends.items()}
    assert len(rows_of(engine, t.rollout_events)) == 2 * len(services)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("rollout_events", id="the event fails"),
        pytest.param("traffic_splits", id="the split fails"),
        pytest.param("outbox", id="the message fails"),
    ],
)
def test_advance_that_fails_leaves_the_old_state_whole(
    engine: sa.Engine, settings: Settings, start: Start, table: str
) -> None:
    start()
    serve(engine, NOW + STAGE)
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE watchkeeper.{table} RENAME TO gone"))
    with pytest.raises(sa.exc.ProgrammingError, match=table):
        advance(engine, settings, NOW + STAGE)
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE watchkeeper.gone RENAME TO {table}"))
    assert (standing(engine), rows_of(engine, t.rollout_events)) == (("running", 0, 25), [])


def test_advance_of_a_version_that_another_one_wrote_loses(engine: sa.Engine, settings: Settings, start: Start) -> None:
    rollout = start()
    taken = {"version": 1, "decided_at": NOW, "action": "advance", "verdict": "pass", "reason": "", "weight": 50}
    insert(engine, t.rollout_events, [{"rollout_id": rollout.rollout_id, "evidence": {}, **taken}])
    serve(engine, NOW + STAGE)
    with pytest.raises(sa.exc.IntegrityError, match="rollout_events_pkey"):
        advance(engine, settings, NOW + STAGE)
    assert standing(engine) == ("running", 0, 25)


class Reconciler:
    """A process that advances rollouts in children of its own; each can be killed."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def begin(self, now: datetime) -> int:
        self._stdin.write(f"{now.isoformat()}\n")
        self._stdin.flush()
        return int(self._stdout.readline())

    def wait(self) -> None:
        assert self._stdout.readline() == "gone\n"


@pytest.fixture
def reconciler(database_url: str, settings: Settings, uncounted_processes: None) -> Iterator[Reconciler]:
    command = [sys.executable, "-m", "tests.killable_reconciler", database_url]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Reconciler(process.stdin, process.stdout)
        process.stdin.close()


def test_reconciler_killed_at_any_statement_leaves_the_old_state_whole(
    engine: sa.Engine, database_url: str, settings: Settings, start: Start, reconciler: Reconciler
) -> None:
    start()
    serve(engine, NOW + STAGE)
    for table in ("rollouts", "rollout_events", "traffic_splits", "outbox_destinations", "outbox"):
        with engine.begin() as blocker:
            mode = "SHARE" if table == "rollouts" else "ACCESS EXCLUSIVE"
            blocker.execute(sa.text(f"LOCK TABLE watchkeeper.{table} IN {mode} MODE"))
            child = reconciler.begin(NOW + STAGE)
            assert are_waiting(database_url, 1)
            os.kill(child, signal.SIGKILL)
            reconciler.wait()
        settle(engine)
        assert (standing(engine), rows_of(engine, t.rollout_events)) == (("running", 0, 25), []), table
        assert len(news(engine)) == 1
    assert advance(engine, settings, NOW + STAGE) != []
    assert (standing(engine), len(rows_of(engine, t.rollout_events))) == (("running", 1, 50), 1)
    reconciler.begin(NOW + STAGE)
    reconciler.wait()
    assert (standing(engine), len(news(engine))) == (("running", 1, 50), 1 + 1)


def settle(engine: sa.Engine) -> None:
    """Wait until the killed process's transaction is over: its lock on the rollout is the first that it took."""
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE watchkeeper.rollouts IN ACCESS EXCLUSIVE MODE"))


def test_reconciler_killed_after_its_commit_has_moved_everything(
    engine: sa.Engine, start: Start, reconciler: Reconciler
) -> None:
    start()
    serve(engine, NOW + STAGE)
    reconciler.begin(NOW + STAGE)
    reconciler.wait()
    assert standing(engine) == ("running", 1, 50)
    assert (len(rows_of(engine, t.rollout_events)), len(news(engine))) == (1, 1 + 1)


# With a system that obeys the split


@pytest.mark.parametrize(
    ("scenarios", "state"),
    [
        pytest.param([], "promoted", id="a good release is promoted"),
        pytest.param(["bad-canary"], "rolled_back", id="a bad one is rolled back"),
    ],
)
def test_rollout_of_a_simulated_release(
    engine: sa.Engine, settings: Settings, start: Start, tmp_path: Path, scenarios: list[str], state: str
) -> None:
    start()
    traffic = Traffic(seed=5, requests_per_hour=1500, failure_share=0.002)
    now = NOW
    while rows_of(engine, t.rollouts)[0].state == "running" and now < NOW + 3 * HOUR:
        window = Window(now, now + 15 * MINUTE)
        wrong = [Scenario(name, Window(NOW, NOW + 24 * HOUR)) for name in scenarios]
        splits = splits_of(engine, settings.tenant)
        written = simulate(traffic, window, tmp_path, scenarios=wrong, splits=splits)
        now = window.end
        source = Source(name="gateway", path=str(written.usage))
        load_file(Target(engine, settings.tenant), source, LogFile(str(written.usage)), now)
        advance(engine, settings, now)
    assert [row.state for row in rows_of(engine, t.rollouts)] == [state]
    assert split(engine).control_release == ("v2" if state == "promoted" else "v1")
