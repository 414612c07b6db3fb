import os
import shutil
import subprocess
from pathlib import Path

import pytest

import ddim

ROOT = Path(__file__).resolve().parents[3]
GOLDENS = ROOT / "tests" / "goldens"


@pytest.fixture(scope="session")
def model() -> ddim.Model:
    return ddim.Model.embedded(device="cpu")


@pytest.fixture(scope="session")
def program() -> Path:
    """The command line, which draws the same pictures: DDIM_PROGRAM, or where cargo puts it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    named = os.environ.get("DDIM_PROGRAM")
    found = Path(named) if named else target / "release" / "ddim"
    if not found.is_file():
        # Not another `ddim` of the system, which may be of another version.
        pytest.skip(f"{found} is not built: cargo build --release")
    return found


@pytest.fixture()
def command(program: Path, tmp_path: Path):
    """Runs the command line in an empty folder."""

    def run(*words: object) -> Path:
        shutil.rmtree(tmp_path / "cli", ignore_errors=True)
        (tmp_path / "cli").mkdir()
        done = subprocess.run([program, *map(str, words)], cwd=tmp_path / "cli", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return tmp_path / "cli"

    return run
