"""Where frames come from: files, videos, streams, the screen."""
