"""What each host is, allows and does with idle machines: data alone, each fact with its source.

A source is a page of the host's own, an issue, or a measurement of this project (made in November 2026 with
`cull_idle_timeout=20` and real kernels). "Not verified" means that nobody has seen it on the live host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HostKind = Literal[
    "colab", "kaggle", "jupyterhub", "sagemaker", "vscode", "jupyterlab", "notebook", "nbclient", "jupyter", "terminal"
]
HOUR_S = 3600.0

COLAB_FAQ = "research.google.com/colaboratory/faq.html"
COLABTOOLS = "github.com/googlecolab/colabtools"
COLAB_CLI = "pypi.org/project/google-colab-cli"
KAGGLE_DOCS = "kaggle.com/docs/notebooks"
SERVER = "jupyter-server.readthedocs.io: MappingKernelManager.cull_idle_timeout"
CULLER = "github.com/jupyterhub/jupyterhub-idle-culler"
SAGEMAKER_IDLE = "docs.aws.amazon.com/sagemaker/latest/APIReference/API_IdleSettings.html"
MEASURED = "measured, November 2026"
NO_LIMIT = "none of its own"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of a host, in words, and where it is known from."""

    words: str
    source: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A session's longest time in seconds, for whom it holds, and where that is known from."""

    seconds: float
    whose: str
    source: str


RUN = Fact("colab-guard run NOTEBOOK.ipynb --output DONE.ipynb", "README: executes a notebook without a page")
NO_RELEASE = Fact("nothing: only Colab lets a notebook give its machine back", f"{COLABTOOLS}/blob/main/google/colab/runtime.py")
ANY_PLACE = Fact("none chosen; a folder of another machine, or a URL (gs:// s3:// hf://)", "README: A copy elsewhere")
WHERE_STARTED = Fact("", "the kernel's working folder")
SERVES_FILES = Fact("the file browser's Download, or IPython.display.FileLink", "ipython.readthedocs.io: IPython.display.FileLink")
ON_DISK = Fact("the file is on this machine's disk", "there is no other machine")
KERNEL_COUNTS = Fact(
    "each message of the kernel is activity; written files and requests of status pages are none", f"{MEASURED}; {SERVER}"
)
CULLS = Fact("ends nothing unless cull_idle_timeout is set; a message each minute counts as activity", SERVER)


@dataclass(frozen=True, slots=True)
class Rules:
    """All that is known of one kind of host; what is not given is as on most.

    `working` is where a notebook works, "" for wherever it was started; `fast` where local stores are kept. `heartbeat`: whether
    the kernel's messages count as activity there ("counts", "counts not", "not needed"), with the reason.
    """

    label: str
    known_by: Fact
    idle: Fact
    heartbeat: Literal["counts", "counts not", "not needed"] = "counts"
    heartbeat_words: Fact = KERNEL_COUNTS
    limits: tuple[Limit, ...] = ()
    working: Fact = WHERE_STARTED
    fast: str = ""
    mirror: Fact = ANY_PLACE
    download: Fact = SERVES_FILES
    release: Fact = NO_RELEASE
    unattended: tuple[Fact, ...] = (RUN,)


RULES: dict[HostKind, Rules] = {
    "colab": Rules(
        label="Google Colab",
        known_by=Fact("COLAB_RELEASE_TAG, or google.colab is loaded", f"{COLABTOOLS}; github.com/googlecolab/backend-info"),
        idle=Fact(
            "ends about 90 min after the page was last active; a busy cell with an open tab is the intended use",
            f"{COLAB_FAQ}; 90 min is reported by users, not promised; {COLABTOOLS} #4715",
        ),
        limits=(
            Limit(12 * HOUR_S, "without a subscription, and at most", COLAB_FAQ),
            Limit(24 * HOUR_S, "Pro+ with compute units while a cell runs", COLAB_FAQ),
        ),
        working=Fact("/content", f"{COLABTOOLS}; gone with the machine"),
        fast="/content",
        mirror=Fact(
            "drive (sent, not proved), or gs:// hf:// s3:// (durable, works with the tab closed)", f"{COLABTOOLS} #659, #287"
        ),
        download=Fact("google.colab.files.download, which needs an open tab", f"{COLABTOOLS}/blob/main/google/colab/files.py"),
        release=Fact("google.colab.runtime.unassign()", f"{COLABTOOLS}/blob/main/google/colab/runtime.py; #1923"),
        heartbeat="counts not",
        heartbeat_words=Fact(
            "idleness is that of the page or of an official client outside; the kernel's messages do not count",
            f"{COLAB_CLI} and googlecolab.colab (VS Code) refresh it from outside; not verified that nothing inside does",
        ),
        unattended=(
            Fact(
                "uv tool install google-colab-cli; colab new -s train --gpu T4; colab exec -s train -f NOTEBOOK.ipynb; "
                "colab stop -s train",
                f"{COLAB_CLI}: on your own machine; it keeps the runtime for 24 h at most, no page needed",
            ),
            Fact("Pro+: background execution, on by itself when the tab is closed", "colab.research.google.com/signup"),
        ),
    ),
    "kaggle": Rules(
        label="Kaggle",
        known_by=Fact("KAGGLE_KERNEL_RUN_TYPE (Interactive or Batch)", "github.com/Kaggle/docker-python"),
        idle=Fact("ends after 20 min without activity in the page; 'Save & Run All' runs without a page", KAGGLE_DOCS),
        limits=(
            Limit(12 * HOUR_S, "CPU and GPU", KAGGLE_DOCS),
            Limit(9 * HOUR_S, "TPU", KAGGLE_DOCS),
        ),
        working=Fact("/kaggle/working", f"{KAGGLE_DOCS}: 20 GB that 'Save & Run All' keeps as output"),
        mirror=Fact("none chosen; gs:// s3:// hf:// with the notebook's internet switched on", KAGGLE_DOCS),
        download=Fact("what lies in /kaggle/working is the version's output", KAGGLE_DOCS),
        heartbeat="counts not",
        heartbeat_words=Fact("idleness is that of the page", KAGGLE_DOCS),
        unattended=(Fact("Save Version, then 'Save & Run All (Commit)': runs to its end without a page", KAGGLE_DOCS),),
    ),
    "jupyterhub": Rules(
        label="JupyterHub",
        known_by=Fact("JUPYTERHUB_API_URL or JUPYTERHUB_USER", "jupyterhub.readthedocs.io: Spawner.get_env"),
        idle=Fact(
            "may end kernels without messages (cull_idle_timeout) and servers (idle-culler); a message each minute counts as "
            "activity, a limit on age does not move",
            f"{SERVER}; {CULLER}",
        ),
        mirror=Fact("none chosen; the home folder is often on a server and then proves what it has", "README: A copy elsewhere"),
    ),
    "sagemaker": Rules(
        label="SageMaker Studio",
        known_by=Fact("/opt/ml/metadata/resource-metadata.json", "docs.aws.amazon.com/sagemaker: notebook metadata"),
        idle=Fact(
            "may end idle applications where an administrator has switched that on (60 min at least); a message each minute "
            "counts as activity",
            SAGEMAKER_IDLE,
        ),
        mirror=Fact("none chosen; s3://BUCKET/FOLDER lies next to it", "README: A copy elsewhere"),
        heartbeat_words=Fact(KERNEL_COUNTS.words, f"{MEASURED} on the same server; not verified on SageMaker"),
        unattended=(RUN, Fact("a notebook job (Create Notebook Job)", "docs.aws.amazon.com/sagemaker/latest/dg/notebook-auto-run.html")),
    ),
    "vscode": Rules(
        label="VS Code",
        known_by=Fact("VSCODE_PID, or __vsc_ipynb_file__ in the notebook's names", "github.com/microsoft/vscode-jupyter"),
        idle=Fact(
            "ends nothing by itself; the kernel ends with the window, unless it belongs to a server",
            "github.com/microsoft/vscode-jupyter",
        ),
        download=Fact("the explorer's Download", "code.visualstudio.com/docs/remote"),
        heartbeat_words=Fact("needed only where the kernel belongs to a server that culls", SERVER),
    ),
    "jupyterlab": Rules(
        label="JupyterLab",
        known_by=Fact("the kernel's parent process is jupyter-lab", MEASURED),
        idle=CULLS,
    ),
    "notebook": Rules(
        label="Jupyter Notebook",
        known_by=Fact("the kernel's parent process is jupyter-notebook", MEASURED),
        idle=CULLS,
    ),
    "nbclient": Rules(
        label="a program that executes notebooks",
        known_by=Fact("the kernel's parent process is nbconvert, papermill, jupyter-execute, nbval or colab-guard run", MEASURED),
        idle=Fact(
            "ends nothing while the program runs; a time limit for one cell is the program's own", "nbclient.readthedocs.io: timeout"
        ),
        download=ON_DISK,
        heartbeat="not needed",
        heartbeat_words=Fact("nobody judges by it", "nbclient.readthedocs.io"),
    ),
    "jupyter": Rules(
        label="Jupyter",
        known_by=Fact("a kernel, and nothing that tells more", MEASURED),
        idle=CULLS,
    ),
    "terminal": Rules(
        label="a terminal",
        known_by=Fact("no kernel", MEASURED),
        idle=Fact("ends nothing by itself", "there is no host"),
        download=ON_DISK,
        heartbeat="not needed",
        heartbeat_words=Fact("nobody judges by it", "there is no host"),
    ),
}
