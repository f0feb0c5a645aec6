"""Real SIGKILLs at random moments: what was reported saved, or durable, must come back; and the next process goes on.

    python -m tests.store.kills --count 1000 --seed 1     prints kills by what was being done, and what was lost

A process opens a store (after a fetch from its mirror, as a cell does), commits numbered states, sends them, closes; and
tells through a pipe what it was told itself (`child`). It is killed within one of its phases: after a random delay, or at a
random file operation: before it, after it, or with half of its bytes written. Then the store is looked at (`judge`); in half
of the trials the local folder is deleted first, so that only the mirror is left. The next process takes the dead one's
lease over and goes on with the same store, so that stores grow old under many kills (`life`).

A SIGKILL leaves what the operating system had already been given: it does not test fsync (`tests.store.crashes` does).
"""
