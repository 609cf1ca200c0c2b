"""Ranks find each other before anything else runs, and prove to each other that they are of one job."""
