"""Standard streams held by objects and context managers: a tee in the place of sys.stdout, a redirection, a log handler."""
# %% setup
import contextlib
import io
import logging
import random
import sys

random.seed(4)


class Tee:
    def __init__(self, *others):
        self.stream = sys.stdout
        self.others = others
        self.count = 0

    def write(self, text):
        self.count += 1
        for stream in (self.stream, *self.others):
            stream.write(text)

    def flush(self):
        self.stream.flush()


# %% cell
log = logging.getLogger("streams")
log.setLevel("INFO")
log.addHandler(logging.StreamHandler(sys.stdout))
copy, plain = io.StringIO(), sys.stdout
sys.stdout = tee = Tee(copy)
for step in range(40):
    print("step", step, random.random())
    log.info("step %d", step)
    tick()
sys.stdout = plain
caught = io.StringIO()
with contextlib.redirect_stdout(caught), contextlib.redirect_stderr(caught):
    for step in range(40):
        print("caught", random.random())
        print("and", step, file=sys.stderr)
        tick()
restored = sys.stdout is plain is tee.stream
text = copy.getvalue() + caught.getvalue()
log.handlers.clear()
del log
(len(text), tee.count, restored)
