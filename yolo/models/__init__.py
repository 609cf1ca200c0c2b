"""YOLOv5 networks: model YAML, layers, decoding, weights in and out."""
