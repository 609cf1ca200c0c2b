"""Plans for training: forward and backward of a network for one shape of images."""
