"""Tracks through the frames of a video: detections in, ids out. NumPy and SciPy alone; it knows no detector."""
