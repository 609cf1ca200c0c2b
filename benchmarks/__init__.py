"""Measurements: one file, one question, one table (and --json)."""
