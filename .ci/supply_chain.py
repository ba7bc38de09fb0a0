"""What the tested environment is made of: a CycloneDX SBOM, a list of licences, and known vulnerabilities.

    python supply_chain.py ENVIRONMENT TOOLS OUT

Exits non-zero where a package is under the GPL; known vulnerabilities are printed. Packages that the service was not asked
of, or does not know, are counted and told: where none was, as behind a mirror that has no advisories, nothing is known.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SECONDS = 120
"""A program may take: one that asks a service that never answers would take for ever."""
REFUSED = "GPL"
"""No licence may hold this word: the code is Apache-2.0 and is handed on with what it needs."""


def main(environment: Path, tools: Path, out: Path) -> None:
    """Writes ``sbom.cdx.json``, ``licences.md`` and ``vulnerabilities.json`` below ``out``.

    Args:
        environment: a virtual environment, to be looked at.
        tools: another, with what ``supply_chain.txt`` lists.
        out: a folder.
    """
    python = environment / "bin" / "python"
    out.mkdir(parents=True, exist_ok=True)
    ask(tools, "cyclonedx-py", "environment", python, "--output-reproducible", "--output-file", out / "sbom.cdx.json")
    components = json.loads((out / "sbom.cdx.json").read_text())["components"]
    print(f"{out}/sbom.cdx.json: {len(components)} components")

    licences = out / "licences.md"
    ask(tools, "pip-licenses", "--python", python, "--format", "markdown", "--with-urls", "--output-file", licences)
    copyleft = ("--partial-match", "--fail-on", REFUSED)
    if ask(tools, "pip-licenses", "--python", python, *copyleft, check=False).returncode:
        sys.exit(f"a package is under a licence with {REFUSED} in its name: see {licences}")
    print(f"{licences}: none with {REFUSED} in its name")

    (packages,) = (environment / "lib").glob("python3*/site-packages")
    asked = ask(tools, "pip-audit", "--format", "json", "--progress-spinner", "off", "--path", packages, check=False)
    if not asked.stdout:
        print(f"known vulnerabilities: not asked, the advisory service does not answer: {asked.stderr.strip().splitlines()[-1:]}")
        return
    (out / "vulnerabilities.json").write_text(asked.stdout)
    told = json.loads(asked.stdout)["dependencies"]
    known = [one for one in told if "skip_reason" not in one]
    hit = [f"{one['name']} {one['version']}: {', '.join(each['id'] for each in one['vulns'])}" for one in known if one["vulns"]]
    print(f"known vulnerabilities: {len(hit)} in {len(known)} packages, {len(told) - len(known)} unknown to the service asked")
    print("\n".join(hit))  # and no more: what is published today is no fault of the change that CI looks at


def ask(tools: Path, program: str, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """What comes of a program of the tools' environment; of one that takes too long, that it failed."""
    call = [str(tools / "bin" / program), *map(str, words)]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        done = subprocess.CompletedProcess(call, 1, "", f"no answer within {SECONDS} s")
    if check and done.returncode:
        sys.exit(f"{' '.join(call)} left with {done.returncode}: {done.stderr}")
    return done


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
