"""Names made by `globals()`, `exec`, `setattr` on a module-like object and a star import, read the same way."""
# %% setup
import random
import types

random.seed(511)
store = types.SimpleNamespace()
# %% cell
from math import *

for number in range(70):
    globals()[f"value_{number}"] = [random.random()]
    setattr(store, f"field_{number}", globals()[f"value_{number}"])
    tick()
for number in range(70):
    exec(f"double_{number} = 2 * value_{number}[0]")
    value_3.append(globals()[f"double_{number}"])
    tick()
(len(value_3), store.field_3 is value_3, round(sin(double_69), 12))
