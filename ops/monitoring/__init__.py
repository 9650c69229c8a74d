"""Metrics, quality, alerts and the messages about them."""
