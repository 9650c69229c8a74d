from dataclasses import asdict
from datetime import timedelta

import pytest

from ops.errors import InvalidValue, UnknownName
from ops.window import Window
from tasks.simulator import SCENARIOS, Scenario, generate


def failing(requests):
    return sum(r.failure is not None for r in requests) / len(requests)


def tokens(requests):
    return sum(r.input_tokens + r.output_tokens for r in requests)


def quality(requests):
    answered = [r.quality for r in requests if r.quality]
    return sum(answered) / len(answered)


def test_scenario_normal_changes_nothing(a_day_of, traffic, monday, a_day):
    assert list(generate(traffic, monday, None, [Scenario("normal", monday)])) == a_day


@pytest.mark.uncounted
@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"normal"}))
def test_scenario_touches_its_window_alone(traffic, monday, a_day, name):
    noon = Window(monday.start + timedelta(hours=12, seconds=30), monday.start + timedelta(hours=13, seconds=30))
    split = {"assistant": lambda _: "v2"}
    before = list(generate(traffic, monday, split))
    after = list(generate(traffic, monday, split, [Scenario(name, noon)]))
    changed = [a.started for a, b in zip(after, before, strict=True) if a != b]
    assert changed
    assert all(noon.start.timestamp() <= when < noon.end.timestamp() for when in changed)


def test_cost_spike_multiplies_the_tokens_of_its_feature(a_day_of):
    spiked, usual = a_day_of("cost-spike", feature="chat"), a_day_of("normal")
    of = {
        name: tokens(r for r in spiked if r.feature.name == name) / tokens(r for r in usual if r.feature.name == name)
        for name in ("chat", "search")
    }
    assert of == {"chat": pytest.approx(8, rel=0.01), "search": 1}


def test_cost_spike_can_be_one_users(a_day_of):
    spiked, usual = a_day_of("cost-spike", feature="chat", user_id="user-0", factor=3), a_day_of("normal")
    changed = [a for a, b in zip(spiked, usual, strict=True) if a != b]
    assert {(r.user_id, r.feature.name) for r in changed} == {("user-0", "chat")}


def test_quality_slide_falls_linearly(traffic, monday):
    slide = Window(monday.start, monday.start + timedelta(days=60))
    for day, left in ((0, 1.0), (5, 0.8), (10, 0.6), (30, 0.0)):
        start = monday.start + timedelta(days=day)
        now = list(
            generate(
                traffic,
                Window(start, start + timedelta(minutes=30)),
                None,
                [Scenario("quality-slide", slide, {"percent_a_day": 4})],
            )
        )
        answers = [r for r in now if not r.embedding and not r.failure]
        # 4 % a day of 0.86; half an hour later it is a twelfth of a percent lower.
        assert sum(r.quality for r in answers) / len(answers) == pytest.approx(0.86 * left, abs=0.002)


def test_bad_canary_fails_and_scores_lower_on_its_release(a_day_of):
    requests = a_day_of("bad-canary", release="v2")
    canary, stable = ([r for r in requests if r.release == release] for release in ("v2", "v1"))
    assert failing(canary) == pytest.approx(0.25, abs=0.02)
    assert failing(stable) < 0.02
    assert quality(canary) == pytest.approx(0.75 * 0.86)
    assert quality(stable) == pytest.approx(0.86)


def test_vendor_outage_fails_what_reaches_the_vendor(a_day_of):
    requests = [r for r in a_day_of("vendor-outage", vendor="anthropic") if not r.cache_hit]
    struck = [r for r in requests if r.model.vendor == "anthropic"]
    assert failing(struck) == pytest.approx(0.7, abs=0.03)
    assert {r.failure.error_class for r in struck if r.failure} == {"ServiceUnavailableError", "Timeout"}
    assert failing([r for r in requests if r.model.vendor != "anthropic"]) < 0.03


def test_cache_collapse_lowers_the_hit_rate_of_embeddings(a_day_of):
    requests = a_day_of("cache-collapse")
    embeddings, chats = [r for r in requests if r.embedding], [r for r in requests if not r.embedding]
    assert sum(r.cache_hit for r in embeddings) / len(embeddings) == pytest.approx(0.15, abs=0.02)
    assert sum(bool(r.cache_hit) for r in chats) / len(chats) == pytest.approx(0.05, abs=0.01)


def test_scenarios_work_at_once(traffic, monday):
    both = [Scenario("vendor-outage", monday, {"vendor": "google"}), Scenario("cache-collapse", monday)]
    requests = list(generate(traffic, monday, None, both))
    assert failing([r for r in requests if r.model.vendor == "google" and not r.cache_hit]) > 0.6
    assert sum(r.cache_hit for r in requests if r.embedding) < 0.2 * sum(r.embedding for r in requests)


@pytest.mark.parametrize(
    ("name", "params", "error", "message"),
    [
        (
            "solar-flare",
            {},
            UnknownName,
            "scenario: 'solar-flare' is not one of bad-canary, cache-collapse, cost-spike",
        ),
        (
            "cost-spike",
            {"speed": 3},
            UnknownName,
            "cost-spike parameter: 'speed' is not one of factor, feature, user_id",
        ),
        ("cost-spike", {"factor": "much"}, InvalidValue, "cost-spike parameters: .* Expected `float`"),
    ],
    ids=["an unknown scenario", "an unknown parameter", "a parameter of another type"],
)
def test_scenario_refuses(monday, name, params, error, message):
    with pytest.raises(error, match=message):
        Scenario(name, monday, params)


def test_scenario_reads_numbers_from_text(monday):
    assert Scenario("cost-spike", monday, {"factor": "2.5"}).effect.factor == 2.5


@pytest.mark.uncounted
@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"normal"}))
def test_scenario_leaves_who_asks_what_and_when(a_day, traffic, monday, name):
    # the draws stay: with and without a scenario the same people send the same requests
    def asked(requests):
        return [(r.call_id, r.started, r.user_id, r.feature.name, r.model.name, r.prompt) for r in requests]

    assert asked(generate(traffic, monday, None, [Scenario(name, monday)])) == asked(a_day)


@pytest.mark.uncounted
@pytest.mark.parametrize(
    ("name", "params"),
    [("vendor-outage", {"failure_share": 0.001}), ("bad-canary", {"release": "v1", "failure_share": 0.0}),
     ("cache-collapse", {"hit_share": 0.99})],
    ids=["an outage never heals a vendor", "nor does a bad canary", "nor does a collapse warm a cache"],
)  # fmt: skip
def test_scenario_never_makes_things_better(a_day, traffic, monday, name, params):
    after = list(generate(traffic, monday, None, [Scenario(name, monday, params)]))
    assert failing(after) >= failing(a_day)
    hits, usual = (sum(bool(r.cache_hit) for r in requests) for requests in (after, a_day))
    assert hits <= usual


def test_quality_slide_ends_at_nothing_and_not_below(traffic, monday):
    slide = Window(monday.start - timedelta(days=365), monday.end)
    requests = list(generate(traffic, monday, None, [Scenario("quality-slide", slide)]))
    assert {r.quality for r in requests} == {0.0}


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("cost-spike", {"factor": 8.0, "feature": "summarise", "user_id": None}),
        ("quality-slide", {"percent_a_day": 3.0}),
        ("bad-canary", {"release": "v2", "failure_share": 0.25, "quality_factor": 0.75}),
        ("vendor-outage", {"vendor": "openai", "failure_share": 0.7}),
        ("cache-collapse", {"hit_share": 0.15}),
        ("normal", {}),
    ],
)
def test_scenario_without_parameters_is_the_one_that_the_manual_tells_of(monday, name, defaults):
    assert asdict(Scenario(name, monday).effect) == defaults
