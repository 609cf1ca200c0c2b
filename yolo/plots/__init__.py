"""Plots and annotated images, by matplotlib's Agg canvas and OpenCV; nothing here needs a display."""
