"""Post-training int8: what values hold is observed, scales are chosen, and the graph is cut into bytes and floats."""
