from __future__ import annotations

from datetime import date

import pytest

from ops.cost.pricing import rate_cards
from ops.model_makers import UNKNOWN, vendor_of
from ops.usage import normalise_model

VENDORS = {
    "gpt-4o-2024-08-06": "openai",
    "o3": "openai",
    "text-embedding-3-small": "openai",
    "claude-sonnet-4-5-20250929": "anthropic",
    "Gemini-2.5-pro": "google",
    "text-embedding-004": "google",
    "mistral-large-latest": "mistral",
    "grok-4": "x-ai",
    "deepseek-chat": "deepseek",
    "command-r": "cohere",
    "voyage-3": "voyageai",
    "groq/llama-3.3-70b-versatile": "groq",
    "openrouter/anthropic/claude-sonnet-4": "openrouter",
    "our-own-llama": UNKNOWN,
    "/": UNKNOWN,
    "": UNKNOWN,
}
PRICED = ["gpt-4o-2024-08-06", "o3", "text-embedding-3-small", "claude-sonnet-4-5-20250929", "gemini-2.5-pro",
          "mistral-large-latest", "grok-4", "deepseek-chat", "command-r", "voyage-3"]  # fmt: skip


@pytest.mark.parametrize(("model", "vendor"), VENDORS.items(), ids=VENDORS)
def test_model_has_a_vendor(model: str, vendor: str) -> None:
    assert vendor_of(model) == vendor


@pytest.mark.parametrize("model", PRICED)
def test_price_book_knows_the_model_under_that_vendor(model: str) -> None:
    assert rate_cards(vendor_of(model), normalise_model(model), None, date(2026, 3, 5))
