"""Settings of what is loaded and kept: sources, storage, the receiver."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    SecretStr,
    model_validator,
)

from tasks.settings.fields import Address, ApiKey, Group, Name, Secret, Zone

FEWEST_DAYS = 35  # of events that a retention must keep


class Source(Group):
    """Where usage comes from; `tasks/sources/README.md` says which kind takes what."""

    name: Name
    kind: Name = "litellm"
    path: str = ""  # of files: a path, a glob or an fsspec address such as s3://logs/*.jsonl.gz
    columns: dict[str, str] = {}  # canonical field -> the file's or query's column
    values: dict[str, str] = {}  # canonical field -> one value for every row
    timezone: Zone | None = None  # of naive times; without it they are rejected
    url: Address | None = None  # of an API, where the vendor has no address of its own
    api_key: ApiKey = SecretStr("")
    public_key: str = ""  # Langfuse has two
    database_url: Secret = SecretStr("")  # kind postgres
    query: str = ""  # kind postgres
    since: AwareDatetime | None = None  # where the first poll begins; a day back by default
    look_back_minutes: int | None = Field(default=None, ge=0, le=44_640)  # the kind's own by default
    page_size: int | None = Field(default=None, ge=1, le=10_000)  # the kind's own by default
    requests_per_minute: float = Field(default=60, gt=0, le=100_000)
    silent_after_minutes: int = Field(default=60, ge=1, le=44_640)  # without a successful load: an alert


def _enough_days(days: int | None) -> int | None:
    if days is not None and days < FEWEST_DAYS:
        raise ValueError(f"at least {FEWEST_DAYS} days of events: the month's spend and late rows need 31 of them")
    return days


class Storage(Group):
    """What is kept for how long; roll-ups are kept for ever."""

    # Spend to the minute reads the month's events (31 days and what its time zone is off), and a source may look back
    # 31 days: a row that old must still be known again. Baselines and projections read roll-ups.
    keep_events_days: Annotated[int | None, Field(le=36_500), AfterValidator(_enough_days)] = None  # None: all
    keep_rejects_days: int = Field(default=90, ge=1, le=36_500)
    keep_answers_days: int = Field(default=90, ge=1, le=36_500)  # and questions, of evaluation runs: scores stay
    ahead_days: int = Field(default=7, ge=1, le=366)  # partitions that are made before they are needed


class Receiver(Group):
    """How `watchkeeper receive` listens."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=4318, ge=0, le=65_535)  # OTLP's own; 0 takes any that is free
    token: Secret = SecretStr("")  # what senders show; nothing is received without it
    max_body_mb: float = Field(default=16, gt=0, le=1024)  # of one post, as sent and unpacked
    max_waiting_mb: float = Field(default=64, gt=0, le=65_536)  # of all posts that are not answered yet
    body_timeout_s: float = Field(default=30, gt=0, le=3600)

    @model_validator(mode="after")
    def _can_wait(self) -> Self:
        if self.max_waiting_mb < self.max_body_mb:
            raise ValueError("max_waiting_mb must be at least max_body_mb, or the largest posts never fit")
        return self
