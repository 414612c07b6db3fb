"""Examples run, and types are those of the module."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ddim
from conftest import ROOT

EXAMPLES = sorted((ROOT / "bindings" / "python" / "examples").glob("*.py"))


def docstrings():
    """Every public thing with a docstring, and its methods."""
    yield "ddim", ddim.__doc__
    for name in ddim.__all__:
        thing = getattr(ddim, name)
        if name.startswith("__"):
            continue
        yield name, thing.__doc__
        if isinstance(thing, type):
            for part, value in vars(thing).items():
                if not part.startswith("_"):
                    yield f"{name}.{part}", getattr(value, "__doc__", None)


@pytest.mark.parametrize(
    "name, text", list(docstrings()), ids=lambda value: value if value and len(value) < 40 else ""
)
def test_docstrings_are_there_and_their_examples_run(name, text):
    assert text, name
    examples = doctest.DocTestParser().get_doctest(text, {"ddim": ddim}, name, None, None)
    failed = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples)
    assert failed.failed == 0


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_examples_run(script, tmp_path):
    needs = re.findall(r"^(?:import|from) (torch|diffusers|PIL)", script.read_text(), re.MULTILINE)
    for package in needs:
        pytest.importorskip(package, reason=f"{package} is not installed")
    where = {**os.environ, "PYTHONPATH": str(Path(ddim.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_page_runs(tmp_path, monkeypatch):
    """The Python of docs/python.md, block after block; what needs torch or a pipeline is marked there."""
    page = (ROOT / "docs" / "python.md").read_text()
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    blocks = re.findall(r"(<!-- (?:needs|shown) [^>]*-->\n)?```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 5
    for mark, block in blocks:
        if mark.startswith("<!-- shown"):
            compile(block, "docs/python.md", "exec")
            continue
        missing = [name for name in re.findall(r"torch|diffusers|PIL", mark) if not _installed(name)]
        if not missing:
            exec(compile(block, "docs/python.md", "exec"), names)


def _installed(name):
    import importlib.util

    return importlib.util.find_spec(name) is not None


def test_types_are_those_of_the_module(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    package = Path(ddim.__file__).parent
    allowed = tmp_path / "allowed"
    # numpy's protocols call these with keywords of their own, and mypy cannot read what Rust says of itself.
    allowed.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "ddim._ddim", "--allowlist", allowed],
        cwd=package.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--ignore-missing-imports",
            "--follow-imports=skip",
            "-p",
            "ddim",
            "--exclude",
            "diffusers",
        ],
        cwd=package.parent,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
