"""Block Kit for alerts: golden files, limits, and text that must do no harm."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.monitoring.alerts import Alert, Json, State, Summary, Tier
from ops.monitoring.slack_message import PAYLOAD_LIMIT, SlackMessage, as_text, render, render_note, render_report

GOLDEN = Path(__file__).parent / "golden"
SINCE = datetime(2026, 7, 20, 6, 40, tzinfo=UTC)
NOW = SINCE + timedelta(minutes=6)
CRITICAL = Alert(
    alert_id="availability:chat-api:20260720T064000.000000Z",
    rule="availability",
    key="chat-api",
    tier=Tier.CRITICAL,
    state=State.FIRING,
    since=SINCE,
    fired_at=SINCE + timedelta(minutes=1),
    revision=1,
    value=0.124,
    limit=0.05,
    summary=Summary("Error rate", "12.4 %", "5 %"),
    evidence={
        "budget_burn": "24.8x, 30-day budget gone in 29 h",
        "sample": "RateLimitError: 429 <slow down> & retry",
        "cause": "deploy rag-v41 06:36, 4 min before",
        "blast_radius": "1,840 requests, ~310 users, $41",
    },
)
WARNING = replace(
    CRITICAL,
    rule="quality",
    key="rag-answers",
    tier=Tier.WARNING,
    summary=Summary("Quality", "0.747 in 24 h, 12.1 % below its baseline", "10 % below"),
    evidence={"scores": 1400, "judge": None, "share": 0.12345, "probes_moved": False, "worst": ["a", "b"]},
)
RESOLVED = replace(CRITICAL, state=State.RESOLVED, resolved_at=NOW, summary=Summary("Error rate", "0.3 %", "5 %"))
HOSTILE = "`<!channel> <@U1> <https://evil|click> *x* @here` ``` &lt; \x00\x1b[31m\u202egnp.exe\ud800 " + 50_000 * "x"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("critical", render(CRITICAL, NOW)),
        ("warning", render(WARNING, NOW)),
        ("resolved", render(RESOLVED, NOW)),
        ("info", render_note("Rollout promoted", "rag-v41 takes 25 % of the traffic & <all> checks hold")),
    ],
)
def test_render_writes_the_golden_message(name: str, message: SlackMessage) -> None:
    assert message.payload() == json.loads((GOLDEN / f"{name}.json").read_text())


def with_evidence(**evidence: Json) -> SlackMessage:
    return render(replace(CRITICAL, evidence=evidence), NOW)


def texts(value: object) -> list[str]:
    """List every text of a payload."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in texts(item)]


def assert_harmless(message: SlackMessage) -> None:
    payload = message.payload()
    assert len(json.dumps(payload)) <= PAYLOAD_LIMIT
    assert 0 < len(message.text) <= 4000
    assert len(message.blocks[0]["text"]["text"]) <= 150
    for text in texts(payload):
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)|[\x00\x1b\u202e\ud800-\udfff]", text)
    for block in message.attachments[0]["blocks"]:
        assert len(block.get("fields", [])) <= 10
        assert all(len(text) <= 3000 for text in texts(block))


def test_render_of_a_slide_says_when_it_is_a_drop() -> None:
    sliding = Summary("Quality sliding", "to 0.781, 8.1 % below its baseline", "10 % below, reached in ~13 d")
    told = "Quality sliding to 0.781, 8.1 % below its baseline (limit 10 % below, reached in ~13 d)"
    assert render(replace(WARNING, summary=sliding), NOW).text == f"WARNING · {told} · rag-answers"


def test_render_keeps_a_hostile_sample_from_pinging_or_overflowing() -> None:
    message = with_evidence(sample=HOSTILE)
    assert_harmless(message)
    preformatted = message.attachments[0]["blocks"][-1]["elements"][0]
    assert preformatted["type"] == "rich_text_preformatted"
    assert preformatted["elements"][0]["text"].startswith("`&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil|click&gt;")
    assert "&amp;lt; [31mgnp.exe x" in preformatted["elements"][0]["text"]


def test_render_keeps_hostile_text_harmless_wherever_it_stands() -> None:
    summary = Summary(HOSTILE, HOSTILE, HOSTILE)
    evidence: dict[str, Json] = {HOSTILE + str(n): HOSTILE for n in range(20)}
    evidence |= {"sample": HOSTILE, "cause": HOSTILE, "blast_radius": [HOSTILE]}
    hostile = replace(CRITICAL, key=HOSTILE, rule=HOSTILE, summary=summary, evidence=evidence)
    message = render(hostile, NOW)
    assert_harmless(message)
    assert message.attachments[0]["blocks"][1]["fields"][0]["text"].startswith("*Blast radius*\n[")


@pytest.mark.uncounted
@settings(max_examples=60)
@given(text=st.text(min_size=1), times=st.integers(1, 3000))
def test_render_is_harmless_for_any_text(text: str, times: int) -> None:
    long = text * times
    evidence = {"sample": long, **{f"{n}{text}": long for n in range(10)}}
    summary = Summary(text, long, text)
    assert_harmless(render(replace(CRITICAL, key=long, rule=text, summary=summary, evidence=evidence), NOW))


def test_render_shortens_a_wide_sample_before_it_drops_facts() -> None:
    message = with_evidence(sample="😀" * 3000, **{f"fact_{n}": "x" * 80 for n in range(10)})
    assert_harmless(message)  # JSON writes each emoji as twelve characters
    assert len(message.attachments[0]["blocks"][1]["fields"]) == 10


def test_render_never_cuts_through_an_entity() -> None:
    sample = with_evidence(sample="x" * 2397 + "<<").attachments[0]["blocks"][-1]["elements"][0]["elements"][0]["text"]
    assert sample == "x" * 2397 + "…"  # `&lt;` of which 2 characters would fit is left out


def test_render_leaves_out_facts_and_sample_that_are_not_there() -> None:
    blocks = with_evidence(sample="\x00\n").attachments[0]["blocks"]
    assert [block["type"] for block in blocks] == ["section"]


@pytest.mark.parametrize(
    ("lasted", "line"),
    [
        (timedelta(seconds=59), "0 min, since 06:40 UTC"),
        (timedelta(minutes=59), "59 min, since 06:40 UTC"),
        (timedelta(hours=1), "1 h 0 min, since 06:40 UTC"),
        (timedelta(hours=3, minutes=12), "3 h 12 min, since 06:40 UTC"),
        (timedelta(hours=20), "20 h 0 min, since 2026-07-20 06:40 UTC"),
        (timedelta(hours=23, minutes=59), "23 h 59 min, since 2026-07-20 06:40 UTC"),
        (timedelta(hours=24), "1 d 0 h, since 2026-07-20 06:40 UTC"),
        (timedelta(days=2, hours=4, minutes=30), "2 d 4 h, since 2026-07-20 06:40 UTC"),
    ],
)
def test_render_tells_since_when(lasted: timedelta, line: str) -> None:
    message = render(CRITICAL, SINCE + lasted)
    assert message.attachments[0]["blocks"][0]["text"]["text"] == f"{line} · rule availability"


def test_as_text_shows_a_terminal_what_slack_shows() -> None:
    assert as_text(render(CRITICAL, NOW)).splitlines() == [
        "CRITICAL · Error rate 12.4 % (limit 5 %) · chat-api",
        "  6 min, since 06:40 UTC · rule availability",
        "  Blast radius: 1,840 requests, ~310 users, $41",
        "  Cause: deploy rag-v41 06:36, 4 min before",
        "  Budget burn: 24.8x, 30-day budget gone in 29 h",
        "  | RateLimitError: 429 <slow down> & retry",
    ]


def test_as_text_says_that_an_alert_is_over() -> None:
    headline, lasted, *_ = as_text(render(RESOLVED, NOW)).splitlines()
    assert headline == "RESOLVED · Error rate 0.3 % (limit 5 %) · chat-api"
    assert lasted == "  lasted 6 min, 06:40 to 06:46 UTC · rule availability"


def test_as_text_shows_info_in_one_line() -> None:
    message = render_note("Configuration\nchange", "limit &lt; 5 <b>")
    assert as_text(message) == "INFO · Configuration change: limit &lt; 5 <b>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(True, "yes", id="true"),
        pytest.param(False, "no", id="false, which is no number"),
        pytest.param(None, "unknown", id="nothing"),
        pytest.param(1_234_567, "1,234,567", id="a whole number"),
        pytest.param(0.123456, "0.1235", id="a fraction"),
        pytest.param(["ä", 1], '["ä", 1]', id="a list"),
        pytest.param("a\n b", "a b", id="text of two lines"),
    ],
)
def test_render_writes_a_fact(value: Json, text: str) -> None:
    fields = with_evidence(some_fact=value).attachments[0]["blocks"][1]["fields"]
    assert [field["text"] for field in fields] == [f"*Some fact*\n{text}"]


def test_render_cuts_each_part_to_its_own_length() -> None:
    long = replace(CRITICAL, key="k" * 500, rule="r" * 500, evidence={"f" * 80: "v" * 500, "sample": "s" * 5000})
    message = render(long, NOW)
    since, facts, sample = message.attachments[0]["blocks"]
    assert (len(message.text), len(message.blocks[0]["text"]["text"])) == (150, 150)
    assert len(since["text"]["text"]) == 120
    assert facts["fields"][0]["text"] == f"*F{'f' * 38}…*\n{'v' * 299}…"  # 40 and 300 characters
    assert sample["elements"][0]["elements"][0]["text"] == "s" * 2399 + "…"


@pytest.mark.parametrize(("length", "shown"), [(2400, "s" * 2400), (2401, "s" * 2399 + "…")])
def test_render_cuts_nothing_that_fits(length: int, shown: str) -> None:
    sample = with_evidence(sample="s" * length).attachments[0]["blocks"][-1]
    assert sample["elements"][0]["elements"][0]["text"] == shown


def test_render_of_a_resolved_alert_goes_by_its_end_however_late_it_is_sent() -> None:
    assert render(RESOLVED, NOW + timedelta(days=3)) == render(RESOLVED, NOW)


def test_render_note_names_its_tier_and_keeps_to_one_line() -> None:
    message = render_note("Rollout\trolled  back", "too many\nfailures" + "x" * 500, Tier.WARNING)
    assert message.text.startswith("WARNING · Rollout rolled back: too many failuresxxx")
    assert len(message.blocks[0]["elements"][0]["text"]) == 300
    assert message.attachments == []


def test_render_report_keeps_the_columns_of_its_lines() -> None:
    message = render_report("Savings:\n$3", "Lever   $\nCache   3")
    assert as_text(message) == "INFO · Savings: $3\n  | Lever   $\n  | Cache   3"
    assert message.attachments[0]["color"] == Tier.INFO.colour


def test_render_report_keeps_within_the_payload() -> None:
    assert len(json.dumps(render_report("t" * 1000, "<&>" * 5000).payload())) <= PAYLOAD_LIMIT
