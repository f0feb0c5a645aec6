"""Python objects as a graph plus buffers, and back.

What enters: mappings of names to live objects, and the user's namespace. What leaves: a pickled graph (functions and
classes of the notebook against the live `__main__`), the memory behind tensors and arrays as buffers outside it, each
once, and a list of what could not be kept. Random state is captured like any object and set by `set_random_state`.

The graph is one, so that aliases stay aliases: an optimizer goes on holding the model's own parameters, tied weights
stay tied, views stay views, closures share their variables. This room knows nothing of where bytes go.
"""

from __future__ import annotations

from colab_guard.errors import SnapshotRefused
from colab_guard.state.blocks_of_pandas import copies_on_write
from colab_guard.state.classes import classes_of
from colab_guard.state.codes import canonical, functions_of, globals_read, is_notebooks, local_module_hash
from colab_guard.state.contexts import in_force_again, stands_entered
from colab_guard.state.fingerprints import fingerprint
from colab_guard.state.graph import Captured, Overlapping, capture, restore
from colab_guard.state.live import Live
from colab_guard.state.loaders import track_dataloaders
from colab_guard.state.mapping import mapped_to_cpu, missing_devices
from colab_guard.state.outside import Outside, register_state, registered_names, unregister_state
from colab_guard.state.outside.modules import is_beside
from colab_guard.state.overlap import Overlap
from colab_guard.state.pickler import Placeholder
from colab_guard.state.prints import Print, take_print
from colab_guard.state.random_state import random_state, set_random_state
from colab_guard.state.reducers import register_reducer
from colab_guard.state.secrets import Secrets, remember_user_data
from colab_guard.state.secrets import references as secret_references
from colab_guard.state.set_order import ORDERS, holds_sets, put_in_order
from colab_guard.state.set_order import orders as set_orders
from colab_guard.state.sizes import Size, sizes
from colab_guard.state.split import Split
from colab_guard.state.things import CannotKeep
from colab_guard.state.tokens import file_holds as file_holds_secret
from colab_guard.state.tokens import holds as holds_secret
from colab_guard.state.tokens import scrubbed, scrubbed_json
from colab_guard.state.trial import Trial, trial
from colab_guard.state.typed import remember_typed
from colab_guard.state.widgets import widget_made_anew

__all__ = [
    "CannotKeep",
    "Captured",
    "Live",
    "ORDERS",
    "Outside",
    "Overlap",
    "Overlapping",
    "Placeholder",
    "Print",
    "Secrets",
    "Size",
    "SnapshotRefused",
    "Split",
    "Trial",
    "canonical",
    "capture",
    "copies_on_write",
    "classes_of",
    "file_holds_secret",
    "fingerprint",
    "functions_of",
    "globals_read",
    "holds_secret",
    "holds_sets",
    "in_force_again",
    "is_beside",
    "is_notebooks",
    "local_module_hash",
    "mapped_to_cpu",
    "missing_devices",
    "put_in_order",
    "random_state",
    "register_reducer",
    "register_state",
    "registered_names",
    "remember_typed",
    "remember_user_data",
    "restore",
    "scrubbed",
    "scrubbed_json",
    "secret_references",
    "set_orders",
    "set_random_state",
    "sizes",
    "stands_entered",
    "take_print",
    "track_dataloaders",
    "trial",
    "unregister_state",
    "widget_made_anew",
]
