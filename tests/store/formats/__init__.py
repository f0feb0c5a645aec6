"""Stores as each version of the format wrote them. `python -m tests.store.formats` makes the one of today's version.

What is here is never made anew once a version is out: later versions must go on reading it.
"""
