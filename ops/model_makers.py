"""Who makes a model: the vendor of a call whose log names only the model.

Before it: `tasks/sources/langfuse.py`, whose rows have no vendor. After it: the price book looks (vendor, model) up.
"""

from __future__ import annotations

import re
from functools import lru_cache

UNKNOWN = "unknown"  # priced by nobody, so an alert asks about it
_MAKERS = (
    ("openai", re.compile(r"gpt-|chatgpt|o\d|text-embedding-(ada|3)|davinci|babbage|dall-e|whisper|tts-|codex")),
    ("anthropic", re.compile(r"claude")),
    ("google", re.compile(r"gemini|gemma|palm|text-bison|chat-bison|text-embedding-00|imagen|veo")),
    ("mistral", re.compile(r"(open-)?(mistral|mixtral|codestral|ministral|pixtral|magistral|devstral)")),
    ("x-ai", re.compile(r"grok")),
    ("deepseek", re.compile(r"deepseek")),
    ("cohere", re.compile(r"command|embed-(english|multilingual)|rerank-")),
    ("voyageai", re.compile(r"voyage-")),
)


@lru_cache(maxsize=10_000)
def vendor_of(model: str) -> str:
    """Name the vendor of a model: the prefix before its first slash, else its maker, else `unknown`."""
    prefix, slash, _ = model.strip().lower().partition("/")
    if slash and prefix:
        return prefix
    return next((maker for maker, mark in _MAKERS if mark.match(prefix)), UNKNOWN)
