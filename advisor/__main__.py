"""The command ``gpu-advisor``, and ``python -m advisor``."""

import sys


def main() -> int:
    """Run the command line of the process and return the exit code."""
    try:
        from advisor.cli import main as run
    except KeyboardInterrupt:
        # Loading takes long enough to be interrupted.
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
