"""Prices, projections, budgets, savings."""
