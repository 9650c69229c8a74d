import pytest

from tasks.simulator.cast import CHAT_MODELS, FEATURES, question


@pytest.mark.parametrize("parts", [CHAT_MODELS, FEATURES], ids=["of the models", "of the features"])
def test_weights_sum_to_one(parts):
    assert sum(part.weight for part in parts) == pytest.approx(1)


def test_questions_differ_by_their_number():
    assert question(0) == "how do I reset my password? #0"
    assert len({question(number) for number in range(100)}) == 100
