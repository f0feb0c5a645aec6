"""The kernel matrix: each construct and each thing that a cell may hold, killed and resumed in real kernels on every stack.

    python -m tests.matrix                                       all cells on this Python
    python -m tests.matrix --stack colab=/path/to/python         and on others
    python -m tests.matrix --cells 'loops_*' --jobs 2 --part 1/4

What enters: one file per cell, `tests/matrix/cells/NAME.py`. What leaves: one table, and an exit status that says whether
all of it held. `test_matrix.py` runs a part that the commit's hash chooses.

**What is done with a cell** (`trial`), on each stack, every kernel with a PYTHONHASHSEED of its own:

1. it runs plain, and under `%%checkpointed` without an interruption: both must give the same (else, and if it does not even
   repeat itself when it runs plain again, it is said to be no cell for this matrix);
2. a kernel is killed (SIGKILL) at a random unit, after a commit of that run;
3. the next is killed while it restores;
4. the next is killed at a later random unit, after a commit of the run that had been resumed;
5. the next runs to the end, and everything is compared bit by bit (`digest`): user variables with the graph of their aliases,
   global random state (python, numpy, torch), the value of the last expression, files in the working folder.

Proved as well: every start after a kill took up a commit, one at least at depth > 0 (from the `Resumed` event); the units done
twice are no more than one interval of the schedule holds.

**The format of a cell's file** is the percent format of notebooks, with a head:

    \"""Nested loops with a list that grows.\"""        what construct or holder this is, in one line
    # needs: torch, numpy                             modules without which a stack passes the cell over
    # %% setup
    import random                                     plain cells before the guarded one, as many as there are `# %% setup`
    random.seed(1)
    # %% cell
    out = []                                          the guarded cell
    for epoch in range(10):
        for step in range(12):
            out.append(random.random())
            tick()                                    one unit of work is done
    sum(out)
    # %% after
    later = len(out)                                  plain cells after it, where there is a reason for them

`tick()` is there in every kernel (a builtin of the matrix, no name of the notebook). It counts one unit in a file outside
of all state, sleeps `unit` seconds, and is where kernels are killed. A cell should take 1 to 3 s: about 150 ticks of 10 ms, or
real work with `# unit: 0`. Everything must repeat itself: seed all random state in a setup cell; no clock, no addresses, no
`hash()` of strings. Names with a leading underscore are not compared.

Heads, all optional, each on a line of its own before the first `# %%`:

    # needs: torch        comma-separated modules; without them on a stack, the cell is passed over there, and said to be
    # stacks: 3.13        only where the stack's name or its Python's version begins with one of these words
    # unit: 0.01          seconds that each `tick()` sleeps
    # every: 0.05         the interval between snapshots, in seconds
    # options: --keep x   more options for `%%checkpointed`
    # depth: 2            at least one resume must be at this depth (default 1: loops and functions entered again)
    # inside: yes         (default) resumed inside; `between`: a commit between two statements is taken up (no loop around);
                          `no`: it can't be resumed inside: it goes on before the statement, or begins again, and was told so
    # says: words         for `inside: no`: these words must be among the reasons that were shown
"""
