"""Layers of the YOLOv5 family as OneFlow modules; parameter names are the published checkpoints'."""
