"""What may be cached, under which key and for how long: the rules that every cache tier shares.

Before it: a request and its answer. After it: `watchkeeper/cache.py` stores and looks up by these keys.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from datetime import timedelta
from hashlib import sha256

from ops.errors import InvalidValue

JITTER = 0.1
EARLY_REFRESH = 0.67

# A deny-list, never an allow-list: a new parameter that changes the answer must change the key.
NEVER_IN_ANSWER = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "request_id",
        "safety_identifier",
        "service_tier",
        "store",
        "timeout",
        "user",
    }
)
_COMPLETE = frozenset({"stop", "end_turn", "stop_sequence", "tool_calls", "tool_use", "completed"})


def cache_key(
    body: Mapping[str, object],
    tenant: str,
    prompt_version: str | None,
    generation: int,
    deny: Container[str] = NEVER_IN_ANSWER,
) -> str:
    """Return the key of a request: sha256 of the canonical JSON of its body, less the denied top-level fields.

    Tenants never share an entry, and a new prompt version or generation invalidates all older ones.

    Raises:
        InvalidValue: when the body is not JSON.
    """
    sent = {field: value for field, value in body.items() if field not in deny}
    try:
        text = json.dumps(
            [tenant, prompt_version, generation, sent], sort_keys=True, separators=(",", ":"), allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise InvalidValue("body", sent, f"JSON ({error})") from error
    return sha256(text.encode()).hexdigest()


def is_cacheable(params: Mapping[str, object], *, opt_in: bool = False) -> bool:
    """Say whether an answer may be reused: temperature explicitly 0, or the caller opts in.

    An omitted temperature means 1 to the vendors.
    """
    temperature = params.get("temperature")
    return opt_in or (isinstance(temperature, int | float) and temperature is not False and temperature == 0)


def is_storable(finish_reason: str | None, *, failed: bool = False) -> bool:
    """Say whether a generated answer may be stored: whole and without error.

    An unknown finish reason is not whole: a stream that broke off has none. Embeddings have none to ask about.
    """
    return not failed and finish_reason is not None and finish_reason.lower() in _COMPLETE


def ttl_with_jitter(ttl: timedelta, key: str) -> timedelta:
    """Spread times to live by +-10 %, always the same for a key, so that entries stored together expire apart."""
    place = int.from_bytes(sha256(key.encode()).digest()[:8]) / 2**64
    return ttl * (1 - JITTER + 2 * JITTER * place)


def should_refresh_early(age: timedelta, ttl: timedelta) -> bool:
    """Say whether an entry is due for a refresh while it still serves: from 0.67 of its time to live."""
    return age >= ttl * EARLY_REFRESH
