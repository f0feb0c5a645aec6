"""Library contexts around loops: `ExitStack`, `suppress`, `redirect_stdout`, `nullcontext`, a lock."""
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
    with contextlib.nullcontext(7) as divisor:
        for step in range(50):
            values.append(decimal.Decimal(random.randrange(1000)) / decimal.Decimal(divisor))
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
