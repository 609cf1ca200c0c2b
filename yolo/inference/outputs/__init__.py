"""Where results go: images, labels, tables, windows."""
