from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sources.python_repr import DEEPEST, LONGEST, read_dict

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_what_python_prints_is_read_back(found: dict[str, object]) -> None:
    assert read_dict(repr(found)) in (found, {})  # brackets and signs inside texts may make it look too deep


@given(st.text(max_size=300))
def test_any_other_text_is_an_empty_dictionary(text: str) -> None:
    assert isinstance(read_dict(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("__import__('os').getcwd()", id="a call"),
        pytest.param("{'a': __import__('os')}", id="a call inside"),
        pytest.param("{'a': 9**9}", id="arithmetic"),
        pytest.param("{'a': " + "9" * 5000 + "}", id="a number that Python refuses to read"),
        pytest.param("{'a': '\x00'}", id="a NUL"),
        pytest.param("{[]: 1}", id="a key that cannot be one"),
        pytest.param("{'a':" + "(" * 1000 + ")" * 1000 + "}", id="depth"),
        pytest.param("{'a':" + "not " * 2000 + "1}", id="depth by words"),
        pytest.param("~" * 9000 + "1", id="depth by signs"),
    ],
)
def test_nothing_comes_of(text: str) -> None:
    assert read_dict(text) == {}


def test_limits_are_the_last_that_are_read() -> None:
    deep = "{'a': " * DEEPEST + "1" + "}" * DEEPEST
    assert read_dict(deep) != {}
    assert read_dict("{'a': " + deep + "}") == {}
    long = "{'a': '" + "x" * (LONGEST - 9) + "'}"
    assert (len(long), bool(read_dict(long)), read_dict(long[:-2] + "x'}")) == (LONGEST, True, {})
