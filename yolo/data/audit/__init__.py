"""Looking a data set over before it is trained on, and writing a mended copy."""
