"""Quick presets of studies, one after the other in one process: ``python .ci/studies.py JOBS NAME...``.

A process that starts reads torch and annosim first, which takes longer than many a quick study.
"""

import sys
import traceback

from annosim.cli import main


def run(name: str, jobs: str) -> int:
    """Exit code of one study; a crash is shown and does not stop the others."""
    print(f"--- {name}", flush=True)
    try:
        return main(["study", "run", name, "--preset", "quick", "--jobs", jobs])
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(max([run(name, sys.argv[1]) for name in sys.argv[2:]], default=0))
