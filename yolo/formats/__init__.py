"""Detectors as files that other programs run, written from the intermediate representation and verified."""
