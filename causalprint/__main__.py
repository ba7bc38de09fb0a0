"""``python -m causalprint``."""

from __future__ import annotations

import sys

from causalprint.pipelines.cli import main

if __name__ == "__main__":
    sys.exit(main())
