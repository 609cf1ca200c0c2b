"""Data sets in other formats to pictures with YOLO labels."""
