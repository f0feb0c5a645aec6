"""A cell without a loop: statements one after another, with a commit between two of them."""
# unit: 0.06
# inside: between
# %% setup
import random

random.seed(271)
log = []


def work(label):
    tick()
    log.append(label)
    return random.random()
# %% cell
a = work("a")
b = a + work("b")
c = [a, b, work("c")]
d = {"c": c, "again": c}
e = work("e")
f = work("f") * e
c.append(work("g"))
g = sorted(c)
h = work("h") + work("i")
i = work("j")
if i > 0.5:
    j = work("k")
else:
    j = work("l")
k = work("m")
l = work("n")
m = work("o")
n = work("p")
o = work("q")
p = work("r")
(d["c"] is d["again"], len(log), h + k + p)
