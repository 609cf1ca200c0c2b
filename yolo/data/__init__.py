"""Data sets, labels, sample plans and the loaders that make batches of them."""
