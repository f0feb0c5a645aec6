"""Calls of the operating system that fail under a working store: EIO, ENOSPC, EDQUOT, EINTR, EROFS, EMFILE, short writes.

    python -m tests.store.faults --rounds 200 --seed 1

A small library of our own (`faults.c`, compiled with `cc` when it is first needed and loaded before libc) makes open, write,
fsync, rename, unlink, read and close fail at random below one folder; a failed fsync also drops what had been written. It was
chosen over fiu-utils since it can be told where, what and how often while the process runs, and needs a compiler only.
Each round turns one fault on for some commits and off again (`work`): the process goes on, what was reported saved is
there at any time, and afterwards commits succeed and leave no more files than a store without faults has.
"""
