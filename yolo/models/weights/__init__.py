"""Weights in and out: checkpoints, published `.pt` files, transfer between networks."""
