"""Random notebook programs: killed at a random safe point in one process, resumed in another, compared with the whole run.

`grammar` makes programs as Hypothesis strategies: an earlier cell with functions, classes, generators and closures, and
a guarded cell of nested statements. `worker` is a process that runs them, each run in a fork of its own; `pool` keeps
two of them, with different hash seeds, and judges; `reduce` makes a failing program small. By hand:

    python -m tests.programs --count 2000 --seed 1
"""
