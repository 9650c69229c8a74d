"""What a call of an evaluation run may cost at most, and what it cost by the tokens that its answer tells.

Before it: `tasks/settings/` says whom we ask. After it: `tasks/evaluate_items.py` reserves, asks, and settles.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ops.cost.overrides import PriceOverride, cards
from ops.cost.pricing import RateCard, cost
from ops.errors import InvalidValue
from ops.money import stored
from ops.usage import Status, UsageEvent, normalise_model
from tasks.ask_endpoint import Usage
from tasks.settings import Endpoint

_MESSAGE_TOKENS = 16  # round each text of a request
_LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Tariff:
    """How calls of an endpoint are priced."""

    setting: str  # where the endpoint stands
    endpoint: Endpoint
    overrides: tuple[PriceOverride, ...]
    now: datetime

    def reserve(self, *texts: str, answers: bool = True) -> Decimal:
        """Return the most that a call with these texts costs; without `answers` it gives vectors, not tokens.

        A token is at least one byte of a text.

        Raises:
            InvalidValue: nothing says what it costs.
        """
        if self.endpoint.usd_per_call is not None:
            return stored(self.endpoint.usd_per_call)
        size = sum(len(text.encode()) + _MESSAGE_TOKENS for text in texts)
        output = self._most_output() if answers else 0
        found = [card for card in self._cards() if card.from_input_tokens <= size]
        if not found:
            priced = f"{self.endpoint.vendor}/{self.endpoint.model}"
            raise InvalidValue(f"{self.setting}.usd_per_call", None, f"set, and no price is known of {priced}")
        return stored(max(_most(card, size, output) for card in found))

    def settle(self, usage: Usage | None) -> Decimal | None:
        """Return what a call cost by its usage; None where that is not told, or the endpoint is free."""
        if usage is None or usage.prompt_tokens is None or self.endpoint.usd_per_call == 0:
            return None
        event = UsageEvent(
            event_id="evaluation", occurred_at=self.now, vendor=self.endpoint.vendor, model=self._model,
            operation="other", status=Status.SUCCESS, input_tokens=usage.prompt_tokens,
            cached_tokens=min(usage.cached_tokens, usage.prompt_tokens), output_tokens=usage.completion_tokens or 0,
        )  # fmt: skip
        told = cost(event, self._cards())
        return None if told is None else stored(told)

    @property
    def _model(self) -> str:
        return normalise_model(self.endpoint.model)

    def _cards(self) -> tuple[RateCard, ...]:
        return cards(self.overrides, self.endpoint.vendor, self._model, None, self.now.date())

    def _most_output(self) -> int:
        limits = [self.endpoint.parameters.get(name) for name in _LIMITS]
        limit = next((limit for limit in limits if limit is not None), None)
        if not isinstance(limit, int) or limit < 1:
            raise InvalidValue(f"{self.setting}.parameters.max_tokens", limit, "a limit of an answer's tokens")
        return limit


def _most(card: RateCard, size: int, output: int) -> Decimal:
    dearest = max(card.input_usd, card.cache_write_usd)
    return (card.request_usd or Decimal(0)) + dearest * size + card.output_usd * output
