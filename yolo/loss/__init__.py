"""YOLOv5's detection loss: its settings, its matching, and its definition in plain operations."""
