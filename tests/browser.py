"""A page in a real browser, Chromium without a window: what it complains of, whether it fits, and what axe-core finds in it."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from causalprint.research.pictures.chromium import find_chromium

AXE = Path(os.environ.get("CAUSALPRINT_AXE", Path(__file__).parents[1] / ".venv" / "axe" / "package" / "axe.min.js"))
"""axe-core's script; ``.ci/run`` fetches it: ``npm pack axe-core``."""
WIDTHS = (1280, 390)
SECONDS = 120
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_LOOK = """
async function look(frame) {
  const inside = frame.contentWindow, root = inside.document.documentElement;
  const seen = {width: frame.width, scroll: root.scrollWidth, client: root.clientWidth, violations: null};
  if (frame.dataset.axe) {
    inside.eval(document.getElementById("axe").textContent);
    const found = await inside.axe.run(inside.document, {resultTypes: ["violations"]});
    seen.violations = found.violations.map(each => each.id + ": " + each.nodes.map(node => node.html.slice(0, 120)).join(" | "));
  }
  return seen;
}
window.onload = async () => {
  const seen = [];
  for (const frame of document.querySelectorAll("iframe")) seen.push(await look(frame).catch(error => ({error: String(error)})));
  document.getElementById("seen").textContent = JSON.stringify(seen);
};
"""


class Looks(NamedTuple):
    """What was seen, and complaints.

    Attributes:
        seen: of each width, with the page's own policy; then without it, by axe-core where that is there; and at the first width
            of the page once it was spoilt, by which it is known that axe-core looks.
        complaints: what the browser wrote to its console.
    """

    seen: list[dict[str, Any]]
    complaints: list[str]


def look(page: str, folder: Path, *, dark: bool) -> Looks:
    """Opens ``page`` at :data:`WIDTHS`, in frames of one document, so that the browser starts once."""
    program = find_chromium()
    assert program is not None
    axe = AXE.read_text(encoding="utf-8") if AXE.is_file() else ""
    free = _POLICY.sub("", page)
    spoilt = free.replace('<html lang="en">', "<html>").replace(" alt=", " data-alt=")
    spoilt = re.sub("--quiet: #[0-9a-f]+", "--quiet: #777", spoilt)
    use = "yes" if axe else ""
    frames = [(width, page, "") for width in WIDTHS] + [(width, free, use) for width in WIDTHS] + [(WIDTHS[0], spoilt, use)]
    shown = "".join(
        f'<iframe width="{width}" height="900" data-axe="{used}" srcdoc="{html.escape(text)}"></iframe>'
        for width, text, used in frames
    )
    escaped = axe.replace("</script", "<\\/script")
    source = folder / f"look-{dark}.html"
    source.write_text(
        f'<!doctype html><meta charset="utf-8"><script type="text/plain" id="axe">{escaped}</script><script>{_LOOK}</script>'
        f'<pre id="seen"></pre>{shown}',
        encoding="utf-8",
    )
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--window-size=1400,1000", "--virtual-time-budget=60000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([program, *options, source.as_uri()], capture_output=True, text=True, timeout=SECONDS, check=True)
    seen = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert seen is not None, done.stderr[-2000:]
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Looks(json.loads(html.unescape(seen[1])), complaints)
