"""The static graphs: one file each. Import what you need from its own file."""
