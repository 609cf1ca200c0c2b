"""Who makes the pixels of sample plans."""
