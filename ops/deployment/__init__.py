"""Releases: plans, gates, and who sees which release."""
