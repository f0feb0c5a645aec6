"""What a power loss may leave of a store: every state is made, and must open to the newest commit that was reported saved.

    python -m tests.store.crashes                 thousands of states; prints how many, and what was lost in which

What enters: a scenario that works on a store (`scenarios`). What leaves: the states in which the folder may be found
after a power loss at any moment of it, and what is wrong with them. `record` notes the scenario's file operations, by
standing in for those of `os`. `states` makes the states, as ALICE and CrashMonkey do: of the operations on a folder that
were not followed by an fsync of the folder, any subset may have come through; of the bytes that were not followed by
an fsync of the file, all, none, the first part, or zeros in their place. `judge` opens each state.

The enumerator proves itself: with the fsync of any one kind of file or folder left out of the recording, it must find a
state in which something is lost.
"""
