"""How near ``audit --dry-run`` comes to the audit that follows: what was foretold, what came, and the ratio.

``python benchmarks/forecast.py INPUT… [--bundle BUNDLE] [--rounds 3]``. Seconds are by the clock: the machine should have nothing
else to do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

NAMES = ("images", "seconds", "files", "output_bytes")


def main() -> None:
    """Foretells and audits in turn, and prints the median of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--bundle")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pairs = [_pair(given.inputs, ["--bundle", given.bundle] if given.bundle else []) for _ in range(given.rounds)]
    print(f"{'':14}{'foretold':>14}{'came':>14}{'ratio':>8}")
    for name in NAMES:
        foretold, came = (median(each[of][name] for each in pairs) for of in (0, 1))
        ratio = median(told[name] / come[name] for told, come in pairs)
        print(f"{name:14}{foretold:>14,.0f}{came:>14,.0f}{ratio:>8.2f}")


def _pair(inputs: list[str], bundle: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        audit = ["audit", *inputs, *bundle, "--output", str(out)]
        foretold = _run([*audit, "--dry-run"])
        began = time.monotonic()
        came = _run(audit)
        seconds = time.monotonic() - began
        files = [path for path in out.glob("*/bundle=*/*.parquet") if path.stat().st_size]
        size = sum(path.stat().st_size for path in files)
        return foretold, {"images": came["seen"], "seconds": seconds, "files": len(files), "output_bytes": size}


def _run(words: list[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "causalprint", *words, "--json"], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
