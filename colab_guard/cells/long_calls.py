"""Calls that loop for long inside a library, where no safe point can come: a table by qualified name.

A row is a library, the classes (or functions) it is about, and the methods. Classes are matched through their bases, so
that a subclass of a library's estimator counts as one. `heavy` calls are such that take minutes to hours by their nature
and are told wherever they stand; the others are told only where no loop with safe points is around them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ANY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LongCall:
    """`module` is the beginning of a dotted name. `names` (ANY: all) are classes where `methods` are given, else functions."""

    library: str
    module: str
    names: frozenset[str]
    methods: frozenset[str] = ANY
    heavy: bool = False
    hint: str = ""


def _row(library: str, module: str, names: str, methods: str = "", *, heavy: bool = False, hint: str = "") -> LongCall:
    return LongCall(library, module, frozenset(names.split()), frozenset(methods.split()), heavy, hint)


COMMAND = "a command"
CELL_MAGIC = "a cell magic"
FIT = "fit fit_transform fit_predict"
SEARCHES = "BaseSearchCV GridSearchCV RandomizedSearchCV HalvingGridSearchCV HalvingRandomSearchCV"
VALIDATIONS = "cross_val_score cross_validate cross_val_predict learning_curve validation_curve permutation_test_score"
MINIMIZERS = "minimize minimize_scalar least_squares curve_fit root linprog milp fmin fmin_bfgs fmin_l_bfgs_b fmin_cg"
POOL = "map starmap imap imap_unordered apply map_async starmap_async"
PARTIAL = "partial_fit in a loop of the cell has safe points"
TABLE = (
    _row("scikit-learn", "sklearn", SEARCHES, "fit", heavy=True),
    _row("scikit-learn", "sklearn", VALIDATIONS + " permutation_importance", heavy=True),
    _row("scikit-learn", "sklearn", "BaseEstimator", FIT),
    _row("scikit-learn", "sklearn", "", FIT),
    _row("Keras", "keras", "Model Sequential Functional Trainer", "fit", heavy=True),
    _row("Keras", "tf_keras", "Model Sequential Functional", "fit", heavy=True),
    _row("Keras", "tensorflow", "Model Sequential Functional", "fit", heavy=True),
    _row("Lightning", "lightning", "Trainer", "fit validate test predict", heavy=True),
    _row("Lightning", "pytorch_lightning", "Trainer", "fit validate test predict", heavy=True),
    _row("XGBoost", "xgboost", "train cv", heavy=True),
    _row("XGBoost", "xgboost", "", "fit"),
    _row("LightGBM", "lightgbm", "train cv", heavy=True),
    _row("LightGBM", "lightgbm", "", "fit"),
    _row("CatBoost", "catboost", "train cv", heavy=True),
    _row("CatBoost", "catboost", "", "fit"),
    _row("SciPy", "scipy.optimize", "differential_evolution dual_annealing basinhopping brute shgo direct", heavy=True),
    _row("SciPy", "scipy.optimize", MINIMIZERS),
    _row("SciPy", "scipy.integrate", "solve_ivp odeint solve_bvp"),
    _row("Stable-Baselines3", "stable_baselines3", "", "learn", heavy=True),
    _row("Stable-Baselines3", "sb3_contrib", "", "learn", heavy=True),
    _row("Optuna", "optuna", "Study", "optimize", heavy=True),
    _row("Ray", "ray", "Tuner", "fit", heavy=True),
    _row("🤗 Datasets", "datasets", "Dataset DatasetDict", "map filter", hint="it has a cache of its own on the disk"),
    _row("Transformers", "transformers", "Trainer", "hyperparameter_search", heavy=True),
    _row("Sentence Transformers", "sentence_transformers", "SentenceTransformer", "fit", heavy=True),
    _row("fastai", "fastai", "Learner", "fit fit_one_cycle fine_tune lr_find", heavy=True),
    _row("PyMC", "pymc", "sample", heavy=True),
    _row("Pyro", "pyro", "MCMC", "run", heavy=True),
    _row("NumPyro", "numpyro", "MCMC SVI", "run", heavy=True),
    _row("emcee", "emcee", "EnsembleSampler", "run_mcmc", heavy=True),
    _row("Prophet", "prophet", "Prophet", "fit"),
    _row("statsmodels", "statsmodels", "", "fit"),
    _row("UMAP", "umap", "UMAP", FIT),
    _row("gensim", "gensim.models", "Word2Vec Doc2Vec FastText LdaModel"),
    _row("gensim", "gensim.models", "", "train"),
    _row("AutoGluon", "autogluon", "", "fit", heavy=True),
    _row("Accelerate", "accelerate", "notebook_launcher debug_launcher", heavy=True),
    _row("joblib", "joblib", "Parallel", "__call__", heavy=True),
    _row("a pool of workers", "multiprocessing", "Pool ThreadPool", POOL, heavy=True),
    _row(COMMAND, "subprocess", "run call check_call check_output"),
    _row(COMMAND, "os", "system"),
    _row(COMMAND, "posix", "system"),
    _row(COMMAND, "IPython", "InteractiveShell", "system getoutput"),
    _row(CELL_MAGIC, "IPython", "InteractiveShell", "run_cell_magic", heavy=True, hint="code in a cell without it has safe points"),
)
GIVES = {
    "sklearn.pipeline.make_pipeline": "sklearn.pipeline.Pipeline",
    "optuna.create_study": "optuna.study.Study",
    "optuna.study.create_study": "optuna.study.Study",
    "optuna.study.study.create_study": "optuna.study.Study",
    "datasets.load_dataset": "datasets.DatasetDict",
    "datasets.load.load_dataset": "datasets.DatasetDict",
    "multiprocessing.Pool": "multiprocessing.pool.Pool",
    "IPython.core.getipython.get_ipython": "IPython.core.interactiveshell.InteractiveShell",
    "IPython.core.interactiveshell.InteractiveShell.get_ipython": "IPython.core.interactiveshell.InteractiveShell",
}
"""What functions give, where a call of it may be a long one."""
GIVE_THEMSELVES = frozenset({"fit", "compile", "to", "eval", "set_params"})
"""Methods that give the object that they are called on."""
MAYBE = {"fit", "fit_transform", "learn", "optimize", "run_mcmc", "fit_one_cycle", "fine_tune", "hyperparameter_search"}
"""Methods that loop for long in many libraries, told with a "maybe" where it cannot be known whose they are."""


def long_call(names: Iterable[str], method: str | None) -> LongCall | None:
    """The row for a call: `names` are the dotted names of the function (`method` None), or of a class and its bases."""
    for row in TABLE:
        if (method is None) == bool(row.methods) or (method is not None and method not in row.methods):
            continue
        for name in names:
            module, _, last = name.rpartition(".")
            if (module == row.module or module.startswith(row.module + ".")) and (row.names == ANY or last in row.names):
                return row
    return None


def maybe_long(receiver: str, method: str) -> bool:
    """Whether a method of something unknown may be a long loop, by its name alone."""
    return method in MAYBE or (method == "train" and "trainer" in receiver.lower())
