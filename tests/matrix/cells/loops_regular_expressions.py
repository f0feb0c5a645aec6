"""Matches of `re.finditer` as the head of a loop, matches that are held on to, and a compiled pattern with a function."""
# %% setup
import random
import re

random.seed(521)
text = " ".join(f"{random.choice('abc')}{random.randrange(100)}=" + "x" * random.randrange(3) for _ in range(90))
pattern = re.compile(r"([abc])(\d+)=(x*)")
# %% cell
first = pattern.search(text, 5)
groups, longest = {}, None
for match in pattern.finditer(text):
    letter, number, tail = match.groups()
    groups.setdefault(letter, []).append(int(number) * random.random())
    if longest is None or len(tail) > len(longest.group(3)):
        longest = match
    tick()
for found in re.finditer(r"x*", text[:120]):
    groups.setdefault(found.end() - found.start(), []).append(found.span())
    tick()
replaced = pattern.sub(lambda m: m.group(2), text)
(first.span(), longest.span(), {k: len(v) for k, v in groups.items()}, len(replaced))
