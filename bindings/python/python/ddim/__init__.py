"""Diffusion sampling: DDIM, DDPM and every solver since, fast on a plain CPU and on GPUs.

>>> import ddim
>>> model = ddim.Model.embedded()           # or ddim.Model.load("path/to/a/folder")
>>> model.sample(4, steps=10, seed=7, classes=["sneaker"])
<ddim.Pictures 4 of 28x28x1>

`Model` is a trained network and draws; `Plan` is a sampler as a table; `Noise` belongs to pictures; `Run` asks for
each network call and is fed the output; `sample` and `drive` take any network, in numpy or torch; `load_diffusers`
takes a pipeline's network from memory, `tune` finds the timesteps that suit it, and `ddim.diffusers` has a scheduler for pipelines. Arrays come in from numpy, torch or whatever speaks their protocols,
and go out as `Array`, which they read without a copy. Neither is needed to import this.
"""

from ._ddim import (
    Array,
    Model,
    Noise,
    Pictures,
    Plan,
    Row,
    Run,
    Step,
    Stream,
    Wanted,
    __version__,
    devices,
    frechet,
    kernel_distance,
    precision_recall,
    set_threads,
    solvers,
)
from ._load import load_diffusers, tune
from ._sample import drive, sample


def __getattr__(name: str) -> object:
    """`ddim.diffusers` and `ddim.ray`, which are imported when they are asked for, and what they need with them."""
    if name in ("diffusers", "ray"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'ddim' has no attribute {name!r}")


__all__ = [
    "Array",
    "Model",
    "Noise",
    "Pictures",
    "Plan",
    "Row",
    "Run",
    "Step",
    "Stream",
    "Wanted",
    "__version__",
    "devices",
    "drive",
    "frechet",
    "kernel_distance",
    "load_diffusers",
    "precision_recall",
    "sample",
    "set_threads",
    "solvers",
    "tune",
]
