"""What happens around training, each in a hook of its own."""
