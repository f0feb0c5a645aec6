"""A training step run dry: over tensors that have shapes and no data, as a device would run it, its memory written down.

What enters: a model or its config, a `Step`, the kind of device. What leaves: a `Trace` of storages, to be played to an
allocator. This part of the room is about torch and imports it; the rest of the room imports this part when it is needed.
"""
