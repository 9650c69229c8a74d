"""Caches, limits, capacity."""
