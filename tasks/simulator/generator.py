"""Draws the requests of a window, the same ones however the window is cut.

Each minute has its own random numbers, seeded by (seed, minute), and each request draws the same count of them
whatever scenarios, splits and warmed prompts make of it. Before it: `traffic.py` and `scenarios.py`. After it:
`litellm_log.py` and `feedback.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from math import ceil, exp
from random import Random
from typing import NamedTuple

from ops.window import Window
from tasks.simulator.cast import question
from tasks.simulator.request import Request, prompt_hash
from tasks.simulator.scenarios import Effect, Odds, Scenario
from tasks.simulator.traffic import Choice, Traffic, zipf

Split = Callable[[str], str]  # user id to release

_CONTEXT = 120_000  # tokens: what the smallest of the models' windows leaves for input
_LONGEST_ANSWER = 16_000
_CACHEABLE = 1_024  # tokens: vendors cache no shorter prompt, and count longer ones in steps of 128
_DAY = 86_400


def generate(
    traffic: Traffic,
    window: Window,
    splits: Mapping[str, Split] | None = None,
    scenarios: Iterable[Scenario] = (),
    warmed: Container[str] = (),
) -> Iterator[Request]:
    """Yield the requests that begin in `window`, in order of time.

    `splits` maps a service to what assigns its users a release (asked once per user); `warmed` holds the hashes of
    prompts whose embeddings are in the gateway's cache.
    """
    draw = _Draw(traffic, splits or {}, warmed)
    effects = [_Timed(s.window.start.timestamp(), s.window.end.timestamp(), s.effect) for s in scenarios]
    start, end = window.start.timestamp(), window.end.timestamp()
    for minute in range(int(start // 60), ceil(end / 60)):
        for request in draw.minute(minute, effects):
            if start <= request.started < end:
                yield request


class _Timed(NamedTuple):
    start: float
    end: float
    effect: Effect


class _Draw:
    def __init__(self, traffic: Traffic, splits: Mapping[str, Split], warmed: Container[str]) -> None:
        self._traffic = traffic
        self._splits = {service: cache(split) for service, split in splits.items()}
        self._warmed = warmed
        self._users = zipf(traffic.users, traffic.zipf)
        self._prompts = zipf(traffic.prompts, traffic.zipf)
        self._features = Choice(traffic.features, [feature.weight for feature in traffic.features])
        self._models = Choice(traffic.models, [model.weight for model in traffic.models])

    def minute(self, minute: int, effects: list[_Timed]) -> Iterator[Request]:
        """Yield a minute's requests: a Poisson process at the rate of its hour."""
        seed = self._traffic.seed
        rng = Random(f"{seed}:{minute}")  # noqa: S311 - a simulation keeps no secrets
        rate = self._traffic.per_hour(datetime.fromtimestamp(minute * 60, UTC)) / 3600
        begin, end = minute * 60, minute * 60 + 60
        active = [timed for timed in effects if timed.start < end and begin < timed.end]
        number, offset = 0, rng.expovariate(rate)
        while offset < 60:
            # Cut to microseconds downwards, so that no request slips into the next minute.
            started = (begin * 1_000_000 + int(offset * 1e6)) / 1e6
            yield self._request(rng, f"{seed & 0xFFFFFFFF:08x}-{minute:08x}-{number:06x}", started, active)
            number, offset = number + 1, offset + rng.expovariate(rate)

    def _request(self, rng: Random, call_id: str, started: float, active: list[_Timed]) -> Request:
        random, traffic = rng.random, self._traffic
        feature, user = self._features.at(random()), self._users.at(random())
        embedding = random() < feature.embedding_share
        choice = random()  # drawn once: which prompt to embed, or which model to chat with
        split, user_id = self._splits.get(feature.service), f"user-{user}"
        request = Request(
            call_id=call_id,
            started=started,
            feature=feature,
            model=traffic.embedding_model if embedding else self._models.at(choice),
            user_id=user_id,
            team_id=traffic.teams[user % len(traffic.teams)],
            release=split(user_id) if split else traffic.release,
            prompt_version=traffic.prompt_version,
            embedding=embedding,
            prompt=question(self._prompts.at(choice)) if embedding else None,
        )
        odds = self._odds(request, active)
        self._settle(request, odds, random(), random())
        if embedding:
            _embed(rng, request, odds)
        else:
            request.rated = random() < traffic.feedback_share and request.failure is None
            _chat(rng, request, odds)
        return request

    def _odds(self, request: Request, active: list[_Timed]) -> Odds:
        traffic = self._traffic
        hit_share = traffic.embedding_hit_share if request.embedding else traffic.chat_hit_share
        odds = Odds(traffic.failure_share, hit_share, traffic.quality)
        for start, end, effect in active:
            if start <= request.started < end:
                effect.bend(odds, request, (request.started - start) / _DAY)
        return odds

    def _settle(self, request: Request, odds: Odds, hit_luck: float, failure_luck: float) -> None:
        """Decide between a cache hit, a failure and an answer: a hit never reaches the vendor, so it cannot fail."""
        hit = hit_luck < odds.hit_share or (request.prompt is not None and prompt_hash(request.prompt) in self._warmed)
        request.cache_hit = hit or (False if request.embedding else None)
        if not hit and failure_luck < odds.failure_share:
            request.failure = odds.failures[int(failure_luck / odds.failure_share * len(odds.failures))]


def _embed(rng: Random, request: Request, odds: Odds) -> None:
    noise = exp(0.4 * rng.gauss(0, 1))
    _spend_time(request, 0.06 * noise, noise)
    if request.failure is None:
        request.input_tokens = int(len(request.prompt or "") / 4 * odds.token_factor) + 1


def _chat(rng: Random, request: Request, odds: Odds) -> None:
    gauss, feature, model = rng.gauss, request.feature, request.model
    question_size, answer_size = exp(0.5 * gauss(0, 1)), exp(0.6 * gauss(0, 1))
    noise, stream_luck, cache_luck = exp(0.35 * gauss(0, 1)), rng.random(), rng.random()
    size = odds.token_factor
    output_tokens = min(_LONGEST_ANSWER, int(feature.output_tokens * answer_size * size) + 1)
    first_token = 0.45 * noise
    request.streamed = stream_luck < feature.streamed_share
    _spend_time(request, first_token + output_tokens / model.tokens_per_second, noise)
    if request.failure is not None:
        return
    if request.streamed and not request.cache_hit:
        request.ttft_s = first_token
    request.quality = odds.quality
    request.input_tokens = min(_CONTEXT, int(feature.input_tokens * question_size * size) + 1)
    request.output_tokens = output_tokens
    request.reasoning_tokens = int(output_tokens * model.reasoning_share)
    _use_prompt_cache(request, cache_luck)


def _spend_time(request: Request, answering: float, noise: float) -> None:
    if request.cache_hit:
        request.latency_s = 0.002 * noise
    elif request.failure is not None:
        request.latency_s = request.failure.seconds * noise
    else:
        request.latency_s = answering


def _use_prompt_cache(request: Request, luck: float) -> None:
    """Half of the long prompts begin as an earlier one did; a vendor that bills writes fills its cache for a tenth."""
    if request.input_tokens < _CACHEABLE:
        return
    shared = int(request.input_tokens * 0.75) // 128 * 128
    if luck < 0.5:
        request.cached_tokens = shared
    elif luck < 0.6 and request.model.writes_cache:
        request.cache_write_tokens = shared
