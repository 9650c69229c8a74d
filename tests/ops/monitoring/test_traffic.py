"""Requests counted by vendor, model, service and outcome."""

from __future__ import annotations

from ops.monitoring.traffic import SUCCESS, Cell, failures, grouped
from ops.proportions import Share

CELLS = [
    Cell("openai", "gpt-4o", "chat-api", SUCCESS, (10, 100, 600)),
    Cell("openai", "gpt-4o", "chat-api", "server", (2, 4, 6)),
    Cell("google", "gemini", "chat-api", "client", (0, 1, 3)),
]


def test_failures_are_what_is_not_passed_of_all_requests_in_each_window() -> None:
    assert failures(CELLS, {SUCCESS, "client"}) == (Share(2, 10 + 2), Share(4, 100 + 4 + 1), Share(6, 600 + 6 + 3))
    assert failures(CELLS, {SUCCESS}) == (Share(2, 12), Share(4 + 1, 105), Share(6 + 3, 609))


def test_failures_of_no_requests_are_of_none() -> None:
    assert failures([], {SUCCESS}) == (Share(0, 0), Share(0, 0), Share(0, 0))


def test_cells_are_grouped_by_name_in_the_order_of_the_names() -> None:
    found = grouped(CELLS, lambda cell: cell.vendor)
    assert list(found.items()) == [("google", CELLS[2:]), ("openai", CELLS[:2])]
