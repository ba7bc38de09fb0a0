"""How evenly two worker processes share one shard: the processor seconds of each, from the start of the run to its end.

``python benchmarks/balance.py SHARD --output DIR [--workers 2] [--slice-images 10]``. Start-up, which every worker has, is in it.
"""

from __future__ import annotations

import argparse
import sys

from measure import run


def main() -> None:
    """Runs one audit and watches its workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shard")
    parser.add_argument("--output", required=True, help="a new folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slice-images", type=int, default=10)
    asked = parser.parse_args()
    command = ["audit", asked.shard, "--output", asked.output, "--slice-images", str(asked.slice_images)]
    took = run([*command, "--", f"--direct_num_workers={asked.workers}"], watch=True)
    equal = sum(took.workers.values()) / max(1, len(took.workers))
    for pid, of in took.workers.items():
        print(f"worker {pid}: {of:.1f} CPU-s, {of / equal:.2f} of an equal share")
    sys.exit(took.code)


if __name__ == "__main__":
    main()
