"""What processes of ours import at their start."""

import subprocess
import sys

from causalprint.pipelines.importing import UNUSED


def test_beam_comes_without_what_is_unused_which_can_be_had_afterwards() -> None:
    code = (
        "import gc, sys\nfrom importlib import import_module\n"
        "from causalprint.pipelines.importing import import_at_once\n"
        "import_at_once('apache_beam')\nassert gc.isenabled()\n"
        f"early = {{*{UNUSED}, 'boto3'}} & set(sys.modules)\n"
        f"for name in {UNUSED}: import_module(name)\n"
        "from apache_beam.io.filesystems import FileSystems\n"
        "FileSystems.get_filesystem('s3://bucket/name')\n"
        "sys.exit(', '.join(early) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
