"""What people read: an alert as Slack's Block Kit, safe against whatever text the models and users put into it.

Before it: `alerts.py` says that a notification is due. After it: `tasks/dispatch_outbox.py` sends the payload, or the
console channel prints it. Order: what, value, limit; since when; blast radius; cause; evidence; sample.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from ops.monitoring.alerts import Alert, Json, State, Tier

Block: TypeAlias = dict[str, Any]

RESOLVED_COLOUR = "#12B76A"
PAYLOAD_LIMIT = 8_000  # Slack gives up at about 13,200 characters of JSON
MAX_FIELDS = 10

# Slack's own limits are 4000 (text), 150 (header), 3000 (section), 2000 (field); these keep the payload in its budget.
_HEADER, _LINE, _LABEL, _FIELD, _SAMPLE = 150, 120, 40, 300, 2_400
# How often to halve first the sample, then the number of facts: JSON may write a character as twelve.
_CUTS = tuple((facts, sample) for facts in range(5) for sample in range(6))
_PLACED = ("blast_radius", "cause")
# NUL and other controls, C1, directional marks and overrides, lone surrogates.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CUT_ENTITY = re.compile(r"&\w{0,3}$")


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message's arguments of chat.postMessage; `text` is the push notification."""

    text: str
    blocks: list[Block]
    attachments: list[Block]

    def payload(self) -> dict[str, Any]:
        """Return the arguments as JSON values."""
        return asdict(self)


def render(alert: Alert, now: datetime) -> SlackMessage:
    """Write an alert; sample and facts are cut as short as the payload's budget asks for."""
    drafts = (_draft(alert, now, facts, sample) for facts, sample in _CUTS)
    return next(draft for draft in drafts if len(json.dumps(draft.payload())) <= PAYLOAD_LIMIT)


def render_note(title: str, detail: str, tier: Tier = Tier.INFO) -> SlackMessage:
    """Write one context line about what was done: a rollout was promoted, a setting changed."""
    line = _fit(f"{_one_line(title)}: {_one_line(detail)}", _FIELD)
    context = {"type": "context", "elements": [_mrkdwn(line)]}
    return SlackMessage(f"{tier.upper()} · {line}", [context], [])


def render_report(title: str, body: str, tier: Tier = Tier.INFO) -> SlackMessage:
    """Write a report that somebody gets by the calendar: a headline, and lines that keep their columns."""
    headline = _fit(f"{tier.upper()} · {_one_line(title)}", _HEADER)
    header = {"type": "header", "text": {"type": "plain_text", "text": headline}}
    text = {"type": "text", "text": _fit(body, _SAMPLE)}
    lines = {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [text]}]}
    return SlackMessage(headline, [header], [{"color": tier.colour, "blocks": [lines]}])


def as_text(message: SlackMessage) -> str:
    """Show the message as a terminal does: the headline with its tier, then one indented line per detail."""
    details = [line for bar in message.attachments for block in bar["blocks"] for line in _lines(block)]
    return _unescape("\n  ".join([message.text, *details]))


def _draft(alert: Alert, now: datetime, facts_cut: int, sample_cut: int) -> SlackMessage:
    resolved = alert.state is State.RESOLVED
    word = (alert.state if resolved else alert.tier).upper()  # colour alone does not reach everybody
    headline = f"{word} · {alert.summary} · {alert.key}"
    headline = _fit(_one_line(headline), _HEADER)
    header = {"type": "header", "text": {"type": "plain_text", "text": headline}}
    since = {"type": "section", "text": _mrkdwn(_fit(_since(alert, now), _LINE))}
    details = [since, *_facts(alert, MAX_FIELDS >> facts_cut), *_sample(alert, _SAMPLE >> sample_cut)]
    bar = {"color": RESOLVED_COLOUR if resolved else alert.tier.colour, "blocks": details}
    return SlackMessage(headline, [header], [bar])


def _since(alert: Alert, now: datetime) -> str:
    start = alert.since.astimezone(UTC)
    end = (alert.resolved_at or now).astimezone(UTC)
    clock = "%H:%M" if start.date() == end.date() else "%Y-%m-%d %H:%M"
    lasted = _duration(end - start)
    span = f"{lasted}, since {start:{clock}} UTC"
    if alert.state is State.RESOLVED:
        span = f"lasted {lasted}, {start:{clock}} to {end:{clock}} UTC"
    return _one_line(f"{span} · rule {alert.rule}")


def _duration(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} d {minutes // 60 % 24} h"


def _facts(alert: Alert, count: int) -> list[Block]:
    first = [name for name in _PLACED if name in alert.evidence]
    rest = [name for name in alert.evidence if name not in (*_PLACED, "sample")]
    fields = [_field(name, alert.evidence[name]) for name in [*first, *rest][:count]]
    return [{"type": "section", "fields": fields}] if fields else []


def _field(name: str, value: Json) -> Block:
    label = _fit(_one_line(name.replace("_", " ")).capitalize(), _LABEL)
    return _mrkdwn(f"*{label}*\n{_fit(_one_line(_readable(value)), _FIELD)}")


def _readable(value: Json) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _sample(alert: Alert, limit: int) -> list[Block]:
    sample = _fit(_readable(alert.evidence.get("sample", "")), limit)
    if not sample.strip():
        return []
    text = {"type": "text", "text": sample}
    return [{"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [text]}]}]


def _mrkdwn(text: str) -> Block:
    # Verbatim: Slack must not make links or mentions of what looks like one.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fit(text: str, limit: int) -> str:
    """Clean, escape once, and cut to `limit` characters, never through an entity."""
    escaped = _UNSAFE.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= limit:
        return escaped
    return _CUT_ENTITY.sub("", escaped[: limit - 1]) + "…"


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _lines(block: Block) -> list[str]:
    if block["type"] == "rich_text":
        sample: str = block["elements"][0]["elements"][0]["text"]
        return [f"| {line}" for line in sample.splitlines()]
    if "fields" in block:
        pairs = (field["text"].split("\n", 1) for field in block["fields"])
        return [f"{label.strip('*')}: {value}" for label, value in pairs]
    return [block["text"]["text"]]
