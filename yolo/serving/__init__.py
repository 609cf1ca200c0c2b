"""The detector behind HTTP: requests, batches, limits, figures and a page."""
