"""``hpsearch``, and ``python -m hpsearch``: the command line, which may be interrupted while it is still loaded."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from hpsearch.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
