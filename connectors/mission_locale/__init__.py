"""Missions locales: a file in their drop folder about the young people whom a decision sends to them."""
