"""`python -m pruner`, and the entry of the zipapp."""

import sys

from pruner.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
