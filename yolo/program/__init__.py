"""The compiler: a network's layers as a small intermediate representation, passes over it, plans for the executors."""
