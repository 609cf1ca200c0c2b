"""Several processes that work as one: how they find each other, and what they have in common."""
