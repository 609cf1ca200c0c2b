"""Plans for inference: where every value lies, what runs in which order."""
