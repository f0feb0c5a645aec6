"""`match` around loops and in them: a small machine that runs a program."""
# %% setup
import random

random.seed(221)
program = [("push", 3), ("repeat", 12), ("add", 1, 2), {"op": "draw", "n": 9}, ("repeat", 10), "stop"]
# %% cell
stack, trace = [0], []
for turn in range(4):
    for instruction in program:
        match instruction:
            case ("push", value):
                stack.append(value)
            case ("repeat", count):
                for _ in range(count):
                    stack[-1] += random.randrange(5)
                    tick()
            case ("add", first, second) if first < second:
                stack.append(stack[-1] + first + second)
            case {"op": "draw", "n": n}:
                while n > 0:
                    stack.append(random.random())
                    n -= 1
                    tick()
            case str() as word:
                trace.append((word, len(stack)))
        tick()
(trace, len(stack), round(sum(stack), 6))
