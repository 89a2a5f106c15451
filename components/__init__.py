"""The stack's components, one a file; `__main__.py` puts them together."""

from __future__ import annotations

import sys
from pathlib import Path

# The stack configuration is checked by the very functions that the pruner reads its settings with.
_PRUNER_HOME = str(Path(__file__).resolve().parent.parent / "gc")
if _PRUNER_HOME not in sys.path:
    sys.path.append(_PRUNER_HOME)
