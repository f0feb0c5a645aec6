"""Which reducer of ours is for which type, by the type's qualified name: no library is imported to know its types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from colab_guard.state import (
    arrays,
    blocks_of_pandas,
    classes,
    codes,
    contexts,
    enums,
    files,
    functions,
    instances,
    iterators,
    loaders,
    locks,
    made_again,
    memoryviews,
    pools,
    processes,
    streams,
    tensors,
    things,
    training_objects,
    typing_things,
    widgets,
)

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

Reducer = Callable[["GraphPickler", Any], Any]

BUILT_IN: dict[str, Reducer] = {
    **dict.fromkeys(things.NEVER, things.refuse_always),
    "builtins.generator": things.reduce_generator,
    "builtins.function": functions.reduce_function,
    "builtins.cell": functions.reduce_cell,
    "builtins.memoryview": memoryviews.reduce_memoryview,
    "builtins.type": classes.reduce_class,
    "enum.EnumType": enums.reduce_enum,
    "collections.OrderedDict": things.reduce_ordered,
    "types.SimpleNamespace": things.reduce_simple_namespace,
    "builtins.mappingproxy": things.reduce_mapping_proxy,
    "builtins.dict_keys": things.reduce_view,
    "builtins.dict_values": things.reduce_view,
    "builtins.dict_items": things.reduce_view,
    "builtins.BaseException": things.reduce_exception,
    "functools._lru_cache_wrapper": things.reduce_cache,
    "_contextvars.ContextVar": things.reduce_context_variable,
    "random.Random": things.reduce_python_random,
    "random.SystemRandom": made_again.reduce_system_random,
    "functools.KeyWrapper": made_again.reduce_comparing_key,
    "threading.Thread": made_again.reduce_thread,
    "tempfile._TemporaryFileWrapper": made_again.reduce_temporary_file,
    "argparse.Action": made_again.reduce_of_argparse,
    "argparse._ActionsContainer": made_again.reduce_of_argparse,
    "_thread.lock": locks.reduce_lock,
    "_thread.RLock": locks.reduce_reentrant_lock,
    "_thread._local": things.reduce_local,
    "_queue.SimpleQueue": things.reduce_simple_queue,
    "builtins.weakref": things.reduce_weakref,
    "weakref.ReferenceType": things.reduce_weakref,
    "weakref.ProxyType": things.reduce_proxy,
    "weakref.CallableProxyType": things.reduce_proxy,
    "builtins.weakproxy": things.reduce_proxy,
    "builtins.weakcallableproxy": things.reduce_proxy,
    "weakref.WeakKeyDictionary": things.reduce_weak_mapping,
    "weakref.WeakValueDictionary": things.reduce_weak_mapping,
    "ipykernel.iostream.OutStream": streams.reduce_kernel_stream,
    "IPython.core.interactiveshell.InteractiveShell": things.reduce_shell,
    "_io.TextIOWrapper": files.reduce_file,
    "_io.BufferedWriter": files.reduce_file,
    "_io.BufferedReader": files.reduce_file,
    "_io.BufferedRandom": files.reduce_file,
    "_io.FileIO": files.reduce_file,
    "itertools.pairwise": iterators.reduce_pairwise,
    "itertools.groupby": iterators.reduce_groupby,
    **dict.fromkeys(typing_things.KINDS, typing_things.reduce_of_typing),
    "concurrent.futures._base.Future": pools.reduce_future,
    "concurrent.futures.thread.ThreadPoolExecutor": pools.reduce_thread_pool,
    "concurrent.futures.process.ProcessPoolExecutor": pools.reduce_process_pool,
    "multiprocessing.pool.Pool": processes.reduce_pool,
    "multiprocessing.pool.ApplyResult": processes.reduce_result,
    "multiprocessing.process.BaseProcess": processes.reduce_process,
    "subprocess.Popen": processes.reduce_popen,
    "ipywidgets.widgets.widget.Widget": widgets.reduce_widget,
    "numpy.errstate": contexts.reduce_errstate,
    "warnings.catch_warnings": contexts.reduce_catch_warnings,
    "unittest.mock._patch_dict": contexts.reduce_patched_dictionary,
    "decimal.ContextManager": contexts.reduce_local_context,
    "torch.autograd.grad_mode.inference_mode": contexts.reduce_inference_mode,
    "re.Match": iterators.reduce_match,
    "_struct.Struct": iterators.reduce_struct,
    "numpy.flatiter": iterators.reduce_flat,
    "_csv.writer": files.reduce_csv_writer,
    "_csv.reader": files.reduce_csv_reader,
    "tqdm.std.tqdm": files.reduce_bar,
    "pandas._libs.internals.Block": blocks_of_pandas.reduce_block,
    "numpy.ndarray": arrays.reduce_array,
    "numpy.void": arrays.reduce_row,
    **dict.fromkeys(("numpy.finfo", "numpy.iinfo", "torch.finfo", "torch.iinfo"), made_again.reduce_limits),
    "numpy.random.mtrand.RandomState": arrays.reduce_random_state,
    "torch.Tensor": tensors.reduce_tensor,
    "torch.nn.parameter.Parameter": tensors.reduce_tensor,
    "torch._C.Generator": tensors.reduce_generator,
    "torch.storage.UntypedStorage": tensors.reduce_storage,
    "torch.nn.modules.module.Module": training_objects.name_module,
    "torch.nn.modules.module._WrappedHook": training_objects.reduce_wrapped_hook,
    "torch.utils.hooks.RemovableHandle": training_objects.reduce_handle,
    "torch.optim.optimizer.Optimizer": training_objects.reduce_optimizer,
    "torch.amp.grad_scaler.GradScaler": training_objects.reduce_scaler,
    "torch.jit.torch.jit.ScriptFunction": training_objects.reduce_scripted,
    "torch.utils.data.dataloader._BaseDataLoaderIter": loaders.reduce_loader_iterator,
}
REGISTERED: dict[str, Reducer] = {}


def register_reducer(name: type | str, reduce: Callable[[Any], Any]) -> None:
    """Reduce instances of the type `name` ("module.QualName", or the type) and of its subclasses by `reduce(obj)`."""
    full = name if isinstance(name, str) else f"{name.__module__}.{name.__qualname__}"
    REGISTERED[full] = lambda pickler, thing: reduce(thing)


def reducer_named(name: str) -> Reducer | None:
    """The reducer for the type of that qualified name itself; what was registered comes before ours."""
    return REGISTERED.get(name) or BUILT_IN.get(name)


class ReducersFound:
    """What reducers libraries' classes have, from capture to capture; the user's own may be another at each."""

    def __init__(self) -> None:
        self._by_kind: dict[type, Reducer | None] = {}
        self._registered = dict(REGISTERED)

    def are_others(self) -> bool:
        """Whether something was registered since this was asked last: all that was found is forgotten then."""
        if self._registered == REGISTERED:
            return False
        self._registered = dict(REGISTERED)
        self._by_kind.clear()
        return True

    def now(self) -> dict[type, Reducer | None]:
        return dict(self._by_kind)

    def note(self, kind: type, reducer: Reducer | None) -> None:
        """Only classes that their modules hold anyway; and what their names tell, or is asked of each instance again."""
        told_by_name = reducer in (None, instances.reduce_shared) or reducer in BUILT_IN.values()
        users = any(map(codes.is_users, kind.__mro__))
        if told_by_name and not users and functions.importable(kind):
            self._by_kind[kind] = reducer
