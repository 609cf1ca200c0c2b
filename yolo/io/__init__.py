"""Files, downloads and text formats: what the rest reads and writes with."""
