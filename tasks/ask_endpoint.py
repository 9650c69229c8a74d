"""Ask a model, an application or a vector store one thing, once, and say what became of it.

Before it: `tasks/evaluate_items.py` has reserved what the call may cost. After it: the answer is scored, or its
failure counted by its kind. Nothing here is tried again: a call that failed may have been charged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import msgspec

from ops.errors import InvalidValue, Refused
from ops.monitoring.evaluation_calls import Outcome
from ops.monitoring.retrieval import MOST_DOCUMENTS
from tasks.http import Limits, Turnstile, hidden, received
from tasks.request_body import Refusal
from tasks.settings import Endpoint

MOST_BYTES = 16 * 1024 * 1024  # of one answer
_SHOWN = 300
_TOO_MANY = 429
_MOST_TOKENS = 10_000_000  # of a call: no model takes more at once
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)  # who is asked knows nothing
_NOTHING = msgspec.Raw(b"null")


class _CachedTokens(msgspec.Struct):
    cached_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """The tokens that an answer says it took."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _CachedTokens | None = None

    @property
    def cached_tokens(self) -> int:
        """Of the prompt's, those that the vendor had in its cache."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    def is_possible(self, text: str) -> bool:
        """Whether a call can have taken that: something was asked, and a text that came took tokens."""
        counts = (self.prompt_tokens, self.completion_tokens, self.cached_tokens)
        is_told = self.prompt_tokens != 0 and bool(self.completion_tokens or not text)
        return is_told and all(count is None or 0 <= count <= _MOST_TOKENS for count in counts)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a text, documents or vectors when the outcome is ok."""

    outcome: Outcome
    text: str = ""
    documents: tuple[str, ...] | None = None
    vectors: tuple[tuple[float, ...], ...] = ()
    usage: Usage | None = None
    claim: str | None = None  # a usage that is told, and cannot be
    detail: str | None = None


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


class _Vector(msgspec.Struct):
    index: int
    embedding: tuple[float, ...]


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class _Document(msgspec.Struct):
    id: str | int


class _Documents(msgspec.Struct):
    documents: list[_Document | str]


class _Used(msgspec.Struct):
    usage: msgspec.Raw = _NOTHING


@dataclass(slots=True)
class Line:
    """An endpoint, and the turnstile that who asks it has to pass."""

    http: httpx.Client
    endpoint: Endpoint
    turnstile: Turnstile = field(init=False)

    def __post_init__(self) -> None:
        self.turnstile = Turnstile(self.endpoint.requests_per_minute)

    def chat(self, messages: Sequence[dict[str, str]]) -> Reply:
        """Ask for an answer, in OpenAI's form."""
        body = {**self.endpoint.parameters, "model": self.endpoint.model, "messages": list(messages)}
        return self._ask("/chat/completions", body, _text)

    def embed(self, texts: Sequence[str]) -> Reply:
        """Ask for a vector of each text, in OpenAI's form."""
        return self._ask("/embeddings", {"model": self.endpoint.model, "input": list(texts)}, _vectors(len(texts)))

    def retrieve(self, query: str, k: int) -> Reply:
        """Ask for the documents that are found: `{"documents": ["id", {"id": "id"}, …]}`, best first."""
        return self._ask("", {"query": query, "k": k}, _documents)

    def _ask(self, path: str, body: dict[str, Any], read: Callable[[bytes], Reply]) -> Reply:
        key = self.endpoint.api_key.get_secret_value()
        request = self.http.build_request(
            "POST", self.endpoint.url.rstrip("/") + path, json=body, timeout=self.endpoint.timeout_s,
            headers={"authorization": f"Bearer {key}"} if key else {},
        )  # fmt: skip
        try:
            limits = Limits(most_bytes=MOST_BYTES, longest_s=self.endpoint.timeout_s)
            answer = received(self.http, request, limits)
        except Refused as error:
            return Reply(Outcome.UNREACHABLE, detail=_short(str(error)))
        except (httpx.TransportError, Refusal) as error:
            return Reply(_kind(error), detail=_short(f"{type(error).__name__} {error}"))
        return _read(answer, read)


def _kind(error: Exception) -> Outcome:
    if isinstance(error, Refusal):
        return Outcome.GARBAGE
    if isinstance(error, _UNSENT):
        return Outcome.UNREACHABLE
    return Outcome.TIMEOUT if isinstance(error, httpx.TimeoutException) else Outcome.BROKEN


def _read(answer: httpx.Response, read: Callable[[bytes], Reply]) -> Reply:
    if not answer.is_success:
        return Reply(_refusal(answer.status_code), detail=_short(f"{answer.status_code} {hidden(answer)}"))
    try:
        reply = read(answer.content)
    except (msgspec.DecodeError, InvalidValue, UnicodeDecodeError, RecursionError) as error:
        reply = Reply(Outcome.GARBAGE, detail=_short(str(error)))
    return _with_usage(reply, answer)


def _refusal(status: int) -> Outcome:
    if status == _TOO_MANY:
        return Outcome.RATE_LIMITED
    return Outcome.SERVER_ERROR if status >= 500 else Outcome.REFUSED


def _with_usage(reply: Reply, answer: httpx.Response) -> Reply:
    """Add what it took where that can be read, whatever else the answer is; what cannot be is no more than a claim."""
    try:
        told = msgspec.json.decode(answer.content, type=_Used).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return reply
    with suppress(msgspec.DecodeError, RecursionError):
        usage = msgspec.json.decode(told, type=Usage | None)
        if usage is None or usage.is_possible(reply.text):
            return replace(reply, usage=usage)
    return replace(reply, claim=_short(hidden(answer, bytes(told).decode(errors="replace"))))


def _text(content: bytes) -> Reply:
    choices = msgspec.json.decode(content, type=_Completion).choices
    if not choices:
        raise InvalidValue("choices", [], "an answer")
    text = choices[0].message.content
    if not text.strip():
        return Reply(Outcome.EMPTY, detail=f"a text of {len(text):,} blanks")
    return Reply(Outcome.OK, text=_UNSTORABLE.sub("\ufffd", text))


def _vectors(count: int) -> Callable[[bytes], Reply]:
    def read(content: bytes) -> Reply:
        found = sorted(msgspec.json.decode(content, type=_Vectors).data, key=lambda each: each.index)
        if [each.index for each in found] != list(range(count)):
            raise InvalidValue("data", f"{len(found)} vectors", f"one for each of {count} texts, by index")
        return Reply(Outcome.OK, vectors=tuple(each.embedding for each in found))

    return read


def _documents(content: bytes) -> Reply:
    found = msgspec.json.decode(content, type=_Documents).documents
    if len(found) > MOST_DOCUMENTS:
        raise InvalidValue("documents", f"{len(found):,}", f"at most {MOST_DOCUMENTS:,}")
    names = (str(each.id) if isinstance(each, _Document) else each for each in found)
    return Reply(Outcome.OK, documents=tuple(_UNSTORABLE.sub("\ufffd", name) for name in names))  # NUL ends one in C


def _short(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)[:_SHOWN]
