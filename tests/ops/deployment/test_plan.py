import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.deployment.plan import CAREFUL, Plan
from ops.errors import InvalidValue, UnknownName


def mapping(**changes):
    return {"name": "p", "steps": [10, 100], "min_requests": 50, "min_stage_seconds": 600} | changes


def test_plan_careful_takes_four_steps_of_half_an_hour_and_a_hundred_requests():
    expected = Plan(
        name="careful", steps=(10, 25, 50, 100), min_requests=100, min_stage=timedelta(minutes=30),
        max_drop=0.05, alpha=0.05,
    )  # fmt: skip
    assert expected == CAREFUL


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"steps": [1, 100]}, id="a canary of one percent"),
        pytest.param({"steps": [99, 100]}, id="a canary of nearly all"),
        pytest.param({"min_requests": 1}, id="a verdict on one request"),
        pytest.param({"min_stage_seconds": 0}, id="stages without a wait"),
        pytest.param({"min_stage_seconds": 365 * 86_400}, id="stages of a year"),
        pytest.param({"max_drop": 0.999}, id="nearly any loss"),
        pytest.param({"alpha": 0.499}, id="nearly a coin toss"),
    ],
)
def test_plan_allows(changes):
    plan = Plan.from_mapping(mapping(**changes))
    assert Plan.from_mapping(plan.to_mapping()) == plan


def test_plan_from_mapping_fills_in_the_statistical_limits():
    assert Plan.from_mapping(mapping()) == Plan(
        name="p", steps=(10, 100), min_requests=50, min_stage=timedelta(minutes=10), max_drop=0.05, alpha=0.05
    )


@given(
    steps=st.sets(st.integers(1, 99), min_size=1, max_size=6),
    seconds=st.integers(0, 365 * 86_400),
    drop=st.floats(0.001, 0.999),
)
def test_plan_survives_storage_as_json(steps, seconds, drop):
    plan = replace(CAREFUL, steps=(*sorted(steps), 100), min_stage=timedelta(seconds=seconds), max_drop=drop)
    assert Plan.from_mapping(json.loads(json.dumps(plan.to_mapping()))) == plan


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"name": " "}, "plan.name", id="a blank name"),
        pytest.param({"name": 3}, "plan.name", id="a name that is a number"),
        pytest.param({"steps": []}, "plan.steps", id="no steps"),
        pytest.param({"steps": [100]}, "plan.steps", id="no stage before the promotion"),
        pytest.param({"steps": [10, 50]}, "plan.steps", id="never reaching 100"),
        pytest.param({"steps": [0, 100]}, "plan.steps", id="a canary without traffic"),
        pytest.param({"steps": [25, 10, 100]}, "plan.steps", id="falling weights"),
        pytest.param({"steps": [25, 25, 100]}, "plan.steps", id="a repeated weight"),
        pytest.param({"steps": [10, "50", 100]}, "plan.steps", id="a weight in quotes"),
        pytest.param({"steps": [True, 100]}, "plan.steps", id="a weight that is a bool"),
        pytest.param({"steps": 100}, "plan.steps", id="a number for a list"),
        pytest.param({"min_requests": 0}, "plan.min_requests", id="a verdict on nothing"),
        pytest.param({"min_requests": 1.5}, "plan.min_requests", id="half a request"),
        pytest.param({"min_stage_seconds": -1}, "plan.min_stage_seconds", id="a negative stage"),
        pytest.param({"min_stage_seconds": "30m"}, "plan.min_stage_seconds", id="a duration as text"),
        pytest.param({"min_stage_seconds": float("nan")}, "plan.min_stage_seconds", id="a duration that is no number"),
        pytest.param({"min_stage_seconds": float("inf")}, "plan.min_stage_seconds", id="a stage that never ends"),
        pytest.param({"min_stage_seconds": 365 * 86_400 + 1}, "plan.min_stage_seconds", id="more than a year"),
        pytest.param({"max_drop": 1}, "plan.max_drop", id="a margin that is everything"),
        pytest.param({"max_drop": 0}, "plan.max_drop", id="no margin at all"),
        pytest.param({"max_drop": 5}, "plan.max_drop", id="a margin in points instead of a fraction"),
        pytest.param({"max_drop": float("nan")}, "plan.max_drop", id="a margin that is no number"),
        pytest.param({"alpha": 0.5}, "plan.alpha", id="a coin toss for a test"),
        pytest.param({"alpha": "5%"}, "plan.alpha", id="alpha as text"),
    ],
)
def test_plan_refuses(changes, field):
    with pytest.raises(InvalidValue) as caught:
        Plan.from_mapping(mapping(**changes))
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["name", "steps", "min_requests", "min_stage_seconds"])
def test_plan_names_a_missing_field(field):
    incomplete = {key: value for key, value in mapping().items() if key != field}
    with pytest.raises(InvalidValue, match=f"plan.{field}: None is not present"):
        Plan.from_mapping(incomplete)


def test_plan_names_an_unknown_field_and_lists_the_known():
    with pytest.raises(UnknownName, match=r"'min_stage' is not one of .*min_stage_seconds"):
        Plan.from_mapping(mapping(min_stage=600))


def test_plan_refuses_a_negative_stage_in_code():
    with pytest.raises(InvalidValue, match=r"plan\.min_stage"):
        replace(CAREFUL, min_stage=timedelta(seconds=-1))


def test_plan_refuses_a_stage_of_more_than_a_year_in_code():
    assert replace(CAREFUL, min_stage=timedelta(days=365)).min_stage == timedelta(days=365)
    with pytest.raises(InvalidValue, match=r"plan\.min_stage"):
        replace(CAREFUL, min_stage=timedelta(days=365, microseconds=1))
