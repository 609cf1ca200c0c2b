"""The project's networks and loss for other frameworks, made from its intermediate representation and formulas."""
