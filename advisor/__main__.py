"""``python -m advisor``: the same as the command ``gpu-advisor``."""

import sys

from advisor.cli import main

if __name__ == "__main__":
    sys.exit(main())
