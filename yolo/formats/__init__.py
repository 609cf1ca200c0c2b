"""Files for other programs: written from a checkpoint, read back and compared in the same command."""
