"""One simulated request and how it ended; the light record between the generator and the files it becomes.

Before it: `generator.py` draws it. After it: `litellm_log.py` and `feedback.py` write it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import msgspec

from tasks.simulator.cast import Feature, Model


class Failure(NamedTuple):
    """How LiteLLM names a failed call, and about how long the caller waited for it."""

    error_class: str
    code: str
    message: str
    seconds: float


TIMEOUT = Failure("Timeout", "408", "Request timed out", 60.0)
RATE_LIMIT = Failure("RateLimitError", "429", "Rate limit reached", 0.05)
CONTENT_FILTER = Failure("ContentPolicyViolationError", "400", "Flagged by the content filter", 0.4)
SERVER = Failure("InternalServerError", "500", "The server had an error", 0.9)
UNAVAILABLE = Failure("ServiceUnavailableError", "503", "The engine is overloaded", 0.2)
CLIENT = Failure("BadRequestError", "400", "Invalid value for 'messages'", 0.03)


class Request(msgspec.Struct, kw_only=True, gc=False):
    """One call of a model; `started` is epoch seconds, tokens follow the totals of `ops.usage.UsageEvent`.

    A failed call keeps its token counts at 0, as the gateway logs it.
    """

    call_id: str
    started: float
    feature: Feature
    model: Model
    user_id: str
    team_id: str
    release: str
    prompt_version: str
    embedding: bool
    prompt: str | None = None  # kept for embeddings only
    streamed: bool = False
    cache_hit: bool | None = None
    failure: Failure | None = None
    latency_s: float = 0.0
    ttft_s: float | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    quality: float = 0.0  # the chance that the answer satisfies; nobody sees it but through feedback
    rated: bool = False

    @property
    def ended(self) -> float:
        """When the answer was complete, epoch seconds."""
        return round(self.started + self.latency_s, 6)

    @property
    def event_id(self) -> str:
        """The id in the gateway's log: failures and embeddings have no answer's id, so theirs is the call's."""
        answered = not self.embedding and self.failure is None
        name = f"chatcmpl-{self.call_id}" if answered else self.call_id
        return f"{name}_cache_hit{self.ended}" if self.cache_hit else name


def prompt_hash(prompt: str) -> str:
    """Hash an input text as usage events do: hexadecimal SHA-256 of its UTF-8."""
    return sha256(prompt.encode()).hexdigest()
