"""What the launcher of the Flex Template starts, with the template's parameters and Beam's options.

It starts a file, whose folder Python then searches first: that of ``beam_main.py`` has names of the standard library.
"""

from __future__ import annotations

import sys

from causalprint.pipelines.beam_main import arguments
from causalprint.pipelines.cli import main

if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:])))
