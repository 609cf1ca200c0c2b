"""The contenders, each a process in an environment of its own; ``serve`` is how the driver talks to them."""
