"""The README's picture of a report: ``causalprint demo --json | python docs/picture.py docs/report.svg``."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from causalprint.pipelines.commands.demo import DemoReport, print_demo
from causalprint.schemas.records import from_json


def main(output: Path) -> None:
    """Draws the report on standard input as the terminal shows it."""
    found = from_json(DemoReport, sys.stdin.read(), "the report")
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=92, file=nowhere, highlight=False)
        print_demo(found, console)
        console.save_svg(str(output), title="make demo", theme=MONOKAI)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
