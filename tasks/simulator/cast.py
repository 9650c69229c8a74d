"""Who takes part in simulated traffic: the models, the features that call them, and the questions people ask.

Before it: nothing. After it: `traffic.py` says how often each is met.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """A vendor's model; prices are USD per million tokens, as floats because a gateway reports floats."""

    vendor: str
    name: str
    input_price: float
    cached_price: float
    cache_write_price: float
    output_price: float
    weight: float
    tokens_per_second: float
    reasoning_share: float = 0.0  # of the output tokens
    writes_cache: bool = False  # bills the filling of its prompt cache apart


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the product that calls models; token counts are medians."""

    name: str
    service: str
    weight: float
    embedding_share: float
    streamed_share: float
    input_tokens: int
    output_tokens: int


# List prices of late 2025, from each vendor's price page.
CHAT_MODELS = (
    Model("openai", "gpt-4o-mini", 0.15, 0.075, 0.15, 0.60, weight=0.40, tokens_per_second=90),
    Model("openai", "gpt-4o", 2.50, 1.25, 2.50, 10.0, weight=0.15, tokens_per_second=75),
    Model("anthropic", "claude-sonnet-4-5", 3.0, 0.30, 3.75, 15.0, 0.15, tokens_per_second=65, writes_cache=True),
    Model("anthropic", "claude-haiku-4-5", 1.0, 0.10, 1.25, 5.0, 0.15, tokens_per_second=120, writes_cache=True),
    Model("google", "gemini-2.5-flash", 0.30, 0.03, 0.30, 2.50, 0.15, tokens_per_second=150, reasoning_share=0.4),
)
EMBEDDING_MODEL = Model("openai", "text-embedding-3-small", 0.02, 0.02, 0.02, 0.0, weight=1.0, tokens_per_second=1)

# 0.40 x 0.625 = a quarter of all requests are embeddings.
FEATURES = (
    Feature(
        "search", "search-api", 0.40, embedding_share=0.625, streamed_share=0.0, input_tokens=700, output_tokens=90
    ),
    Feature("chat", "assistant", 0.42, embedding_share=0.0, streamed_share=0.8, input_tokens=1100, output_tokens=220),
    Feature(
        "summarise", "assistant", 0.18, embedding_share=0.0, streamed_share=0.2, input_tokens=3200, output_tokens=350
    ),
)

_QUESTIONS = (
    "how do I reset my password?",
    "where is my invoice?",
    "can I change the delivery address?",
    "what is the refund policy?",
    "how do I invite a colleague?",
    "why was my card declined?",
    "does the free plan include exports?",
    "how do I close my account?",
)


def question(number: int) -> str:
    """Write the `number`th question that people ask, counted from the most frequent."""
    return f"{_QUESTIONS[number % len(_QUESTIONS)]} #{number}"
