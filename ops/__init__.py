"""Decisions: pure, values in, values out. Nothing here touches a socket, a disk, a clock or the environment."""
