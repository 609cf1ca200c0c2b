"""What each layer of a model file becomes in the intermediate representation, by kinds of layers."""
