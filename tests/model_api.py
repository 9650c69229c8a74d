"""An OpenAI-compatible model, a search and an embeddings API on loopback: what they answer is the test's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.api_server import Asked

USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


@dataclass
class ModelApi:
    """Answers each question as told, and counts how often it was asked."""

    answers: dict[str, str] = field(default_factory=dict)
    documents: dict[str, list[Any]] = field(default_factory=dict)
    verdict: Callable[[dict[str, Any]], str] = lambda _: '{"factuality": 5, "relevance": 3}'
    vectors: dict[str, list[float]] = field(default_factory=dict)
    usage: dict[str, Any] | None = field(default_factory=lambda: USAGE)
    before: Callable[[str], None] = lambda _: None
    questions: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        """Answer one request."""
        body = asked.json()
        if asked.path.endswith("/embeddings"):
            return 200, self._embedded(body["input"])
        if asked.path.endswith("/chat/completions"):
            return 200, self._completed(body)
        return 200, {"documents": self.documents[self._asked(body["query"])]}

    def _asked(self, question: str) -> str:
        self.questions[question] += 1
        self.before(question)
        return question

    def _completed(self, body: dict[str, Any]) -> dict[str, Any]:
        content = body["messages"][-1]["content"]
        if content.startswith('{"question"'):
            shown = json.loads(content)
            self.judged[shown["answer"]] += 1
            text = self.verdict(shown)
        else:
            text = self.answers.get(self._asked(content), "I do not know.")
        message = {"role": "assistant", "content": text}
        return {"object": "chat.completion", "choices": [{"index": 0, "message": message}], "usage": self.usage}

    def _embedded(self, texts: list[str]) -> dict[str, Any]:
        data = [{"object": "embedding", "index": index, "embedding": self.vectors[text]}
                for index, text in enumerate(texts)]  # fmt: skip
        return {"object": "list", "data": data[::-1], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
