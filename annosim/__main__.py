"""``python -m annosim`` is ``annosim``."""

import sys

from annosim.cli import main

if __name__ == "__main__":
    sys.exit(main())
