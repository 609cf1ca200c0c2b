"""Plots and annotated pictures, by matplotlib's Agg canvas and OpenCV; nothing here needs a display."""
