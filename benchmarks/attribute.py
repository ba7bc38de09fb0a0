"""How long stored fingerprints take to get other verdicts: an output of made-up embeddings, and ``causalprint attribute`` on it.

    python benchmarks/attribute.py [--images 1000000] [--output DIR] [-- BEAM OPTIONS]

The output is written by the audit's own writer (``synthetic_audit.py``), as an audit by the bundle in the package would. The
command runs as a process of its own, from its start to its end: reading, judging and writing Parquet, and the run's manifest.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from synthetic_audit import synthetic_audit


def main(arguments: argparse.Namespace) -> None:
    """Makes the output, unless it is there, and times the command."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(arguments.output or folder)
        if not (root / "runs").is_dir():
            began = time.perf_counter()
            totals = synthetic_audit(str(root), arguments.images).totals
            print(f"{totals.attributed:,} rows in {totals.slices} slices made in {time.perf_counter() - began:.1f} s", flush=True)
        command = [sys.executable, "-m", "causalprint", "attribute", str(root), "--prior", "photograph=0.9", "--json"]
        began = time.perf_counter()
        answer = json.loads(subprocess.run([*command, *arguments.beam], stdout=subprocess.PIPE, check=True).stdout)
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{answer['attributed']:,} rows scored in {seconds:.1f} s ({answer['computed']} of {answer['slices']} slices), "
            f"{used.ru_utime + used.ru_stime:.1f} s of processor time, at most {used.ru_maxrss / 1024:,.0f} MiB"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000, help="images to make up")
    parser.add_argument("--output", help="where to make them, and to keep them; by default a folder that is removed")
    parser.add_argument("beam", nargs="*", help="options for Beam, after two dashes")
    given = parser.parse_args()
    given.beam = ["--", *given.beam] if given.beam else []
    main(given)
