"""Library contexts around loops: `ExitStack`, `suppress`, `redirect_stdout`, `nullcontext`, a decimal context, a lock."""
# %% setup
import contextlib
import decimal
import io
import random
import threading

random.seed(241)
lock = threading.Lock()
printed = io.StringIO()
# %% cell
values, closed = [], []
with contextlib.ExitStack() as stack:
    stack.callback(closed.append, "stack")
    with decimal.localcontext() as context:
        context.prec = 7
        for step in range(50):
            values.append(decimal.Decimal(random.randrange(1000)) / decimal.Decimal(7))
            tick()
with contextlib.suppress(KeyError):
    for step in range(40):
        with lock:
            values.append(step)
        tick()
    {}["missing"]
with contextlib.redirect_stdout(printed):
    for step in range(50):
        print("line", step)
        tick()
(str(values[10]), printed.getvalue()[-8:], closed, lock.locked())
