"""The training program: forward and backward of a network as one plan for the executor in csrc/program/training."""
