"""The installed package can be imported from any folder."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_IMPORTS = """
import neuroattack, neuroattack.backends.native, neuroattack.conformance.scenarios
from importlib import resources
print(neuroattack.__version__)
print(sorted(path.name for path in resources.files("neuroattack.hardware_profiles").iterdir()))
"""


def test_a_folder_named_neuroattack_does_not_hide_the_package(tmp_path):
    # A script or notebook may run in the parent folder of a clone.
    (tmp_path / "neuroattack").symlink_to(ROOT, target_is_directory=True)
    run = subprocess.run(
        [sys.executable, "-c", _IMPORTS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "loihi1.toml" in run.stdout
