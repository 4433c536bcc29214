from .current import cluster as cluster
from .executor import Executor as Executor
from .executor import LocalProcesses as LocalProcesses
from .executor import ThisProcess as ThisProcess
from .executor import Threads as Threads
from .tasks import run_tasks as run_tasks

__all__ = ["Executor", "LocalProcesses", "ThisProcess", "Threads", "cluster", "run_tasks"]
