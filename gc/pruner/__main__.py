"""`python -m pruner`, and the command `prune`."""

import gc
import sys

gc.disable()  # what is imported stays: the collector would walk through it a dozen times before work begins

from pruner.cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
