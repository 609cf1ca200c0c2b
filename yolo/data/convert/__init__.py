"""Data sets in other formats to images with YOLO labels."""
