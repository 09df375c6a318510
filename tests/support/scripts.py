"""Exported scripts, run as separate programs without access to neuroattack."""

import subprocess
import sys


def run_script(script, folder, *arguments):
    """Run a script in a folder; return the finished process."""
    (folder / "net.py").write_text(script, encoding="utf-8")
    (folder / "neuroattack.py").write_text("raise ImportError", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "net.py", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
