"""Quick presets of studies, one after the other in one process: ``python .ci/studies.py BEGUN NAME...``.

A process that starts reads torch and annosim first, which takes longer than many a quick study. Several processes may be
given the same names and the same folder ``BEGUN``: each runs what no other has begun, and none waits for another's last
cell.
"""

import sys
import traceback
from pathlib import Path

from annosim.cli import main


def begin(name: str, begun: Path) -> bool:
    """Whether this process is the first to begin the study."""
    begun.mkdir(parents=True, exist_ok=True)
    try:
        (begun / name).mkdir()
    except FileExistsError:
        return False
    return True


def run(name: str) -> int:
    """Exit code of one study; a crash is shown and does not stop the others."""
    print(f"--- {name}", flush=True)
    try:
        return main(["study", "run", name, "--preset", "quick", "--jobs", "1"])
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(max([run(name) for name in sys.argv[2:] if begin(name, Path(sys.argv[1]))], default=0))
