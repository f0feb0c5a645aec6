"""Predicted against measured peaks of memory: real training on a CPU, counted by torch's own allocator; on a GPU, reserved bytes."""
