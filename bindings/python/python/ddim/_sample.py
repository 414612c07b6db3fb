"""Any network in place of a model: a function of arrays, in numpy or torch."""

from __future__ import annotations

import sys

from ._ddim import Array, Noise, Plan, Run, Step, Wanted

# Not `typing.TYPE_CHECKING`: that module takes longer to import than all of this one.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Literal

    # What a network takes and gives: arrays of numpy or torch.
    Network = Callable[[Any, Any], Any]
    Arrays = Literal["auto", "numpy", "torch"]


def sample(
    plan: Plan,
    network: Network,
    *,
    shape: Sequence[int] | None = None,
    noise: Noise | None = None,
    x: Any = None,
    arrays: Arrays = "auto",
    progress: Callable[[Step], object] | None = None,
    corrector_steps: int = 0,
    corrector_snr: float | None = None,
    known: Any = None,
    mask: Any = None,
) -> Any:
    """Pictures of any network: `network(x, times)` is called for each row of the plan.

    `x` is float32 [n, c, h, w], `times` are n times, int64 where all are whole and else floats, and the network
    gives what the plan says it predicts, in the shape of `x` or with twice the channels where a variance is
    learned. It may give an array, an object with an array in `.sample` (as those of diffusers do), or a tuple
    whose first entry is one.

    `arrays`: "numpy" or "torch"; "auto" is torch for a `torch.nn.Module` and for a start `x` of torch, and numpy
    else. A module gets tensors on its own device, in its own type. What comes back is a float32 array of that
    kind, [n, c, h, w].

    `shape`: (c, h, w), with `noise`, a `Noise` of n pictures (the first of seed 0 if not given); or `x`, the state
    to start from, [n, c, h, w]. `progress` is called with a `Step` after each step. The rest is as for `Run`.

    Raises ValueError for shapes that do not belong together, RuntimeError where a picture is not finite, and
    whatever the network raises.

    >>> import ddim, numpy as np
    >>> plan = ddim.Plan(steps=10)
    >>> alpha_bars = np.asarray(plan.alpha_bars)
    >>> def network(x, times):  # all the data is one grey level, 0.3
    ...     a = alpha_bars[times].reshape(-1, 1, 1, 1)
    ...     return (x - 0.3 * a**0.5) / (1 - a) ** 0.5
    >>> pictures = ddim.sample(plan, network, shape=(1, 8, 8), noise=ddim.Noise(seed=7, pictures=range(4)))
    >>> pictures.shape, bool(abs(pictures - 0.3).max() < 1e-5)
    ((4, 1, 8, 8), True)
    """
    kind = _kind(network, x, arrays)
    size = None if shape is None else (shape[0], shape[1], shape[2])
    options = {"corrector_steps": corrector_steps, "corrector_snr": corrector_snr, "known": known, "mask": mask}
    run = Run(plan, None if x is None else _readable(x), noise=noise, shape=size, **options)
    to_network, result = _converters(kind, network)
    while (wanted := run.wants()) is not None:
        given = to_network([wanted])
        out = _output(network(*given))
        del wanted, given  # While they live, the state is copied instead of overwritten.
        step = run.feed(out)
        if progress is not None and step is not None:
            progress(step)
        del step
    return result(run.x)


def drive(runs: Iterable[Run], network: Network, *, arrays: Arrays = "auto", most: int = 64) -> None:
    """Takes runs to their ends together: each network call serves as many of them as fit into `most` pictures,
    whatever plans they have and however far they are. The pictures are `run.x` of each.

    A run's pictures have the bits that they have alone, if the network gives each picture of a batch the bits that
    it has alone; those of ddim on the processor do.

    Raises ValueError for runs of pictures of different shapes, and whatever the network raises; what was fed by
    then stays.

    >>> import ddim, numpy as np
    >>> runs = [ddim.Run(ddim.Plan(steps=n), noise=ddim.Noise(seed=n), shape=(1, 8, 8)) for n in (5, 9)]
    >>> calls = []
    >>> ddim.drive(runs, lambda x, times: calls.append(len(x)) or x * 0.5)
    >>> calls, [run.done for run in runs]
    ([2, 2, 2, 2, 2, 1, 1, 1, 1], [True, True])
    """
    if most < 1:
        raise ValueError(f"most is {most}: a call serves at least 1 picture")
    open_runs = list(runs)
    shapes = {run.x.shape[1:] for run in open_runs}
    if len(shapes) > 1:
        raise ValueError(f"runs of pictures of shapes {sorted(shapes)}: one call takes one shape")
    to_network, _ = _converters(_kind(network, None, arrays), network)
    while open_runs := [run for run in open_runs if not run.done]:
        # Those that have waited longest first: each round serves every run once.
        for together in _batches(open_runs, most):
            wanted = [want for run in together if (want := run.wants()) is not None]
            out = _output(network(*to_network(wanted)))
            del wanted
            first = 0
            for run in together:
                run.feed(out[first : first + len(run)])
                first += len(run)


def _batches(runs: list[Run], most: int) -> Iterable[list[Run]]:
    """Runs that fit into a call together; one that is larger alone has a call of its own."""
    together: list[Run] = []
    for run in runs:
        if together and sum(map(len, together)) + len(run) > most:
            yield together
            together = []
        together.append(run)
    yield together


def _kind(network: Network, x: Any, arrays: str) -> str:
    if arrays in ("numpy", "torch"):
        return arrays
    if arrays != "auto":
        raise ValueError(f"arrays is {arrays!r}: it is auto, numpy or torch")
    torch = sys.modules.get("torch")
    return "torch" if torch and (isinstance(network, torch.nn.Module) or isinstance(x, torch.Tensor)) else "numpy"


def _converters(
    kind: str, network: Network
) -> tuple[Callable[[list[Wanted]], tuple[Any, Any]], Callable[[Array], Any]]:
    """What makes the network's arguments, and what makes the result."""
    if kind == "numpy":
        import numpy as np

        def to_numpy(wanted: list[Wanted]) -> tuple[Any, Any]:
            parts = [np.asarray(one.x) for one in wanted]
            x = parts[0] if len(parts) == 1 else np.concatenate(parts)
            times: Any = np.repeat([one.time for one in wanted], [len(part) for part in parts])
            return x, times.astype(np.int64) if all(map(_whole, wanted)) else times

        return to_numpy, lambda x: np.array(np.asarray(x))
    import torch

    first = next(network.parameters(), None) if isinstance(network, torch.nn.Module) else None
    device = torch.device("cpu") if first is None else first.device
    dtype = torch.float32 if first is None or not first.is_floating_point() else first.dtype

    def to_torch(wanted: list[Wanted]) -> tuple[Any, Any]:
        # Copies, since a network may write into what it is given.
        parts = [_tensor(one.x) for one in wanted]
        x = (parts[0] if len(parts) == 1 else torch.cat(parts)).to(device, dtype)
        numbers = [one.time for one, part in zip(wanted, parts) for _ in range(len(part))]
        whole = torch.int64 if all(map(_whole, wanted)) else torch.float32
        return x, torch.tensor(numbers, dtype=torch.float64).to(device, whole)

    return to_torch, _tensor


def _whole(wanted: Wanted) -> bool:
    return wanted.time.is_integer()


def _tensor(x: Array) -> Any:
    """A tensor of torch, a copy."""
    import torch

    read = torch.from_dlpack  # type: ignore[attr-defined, unused-ignore]
    return read(x, copy=True) if _knows_copy() else read(x).clone()


def _knows_copy() -> bool:
    import torch

    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 9)


def _output(out: Any) -> Any:
    """The array in what a network gave."""
    found = getattr(out, "sample", None)
    if found is not None and not callable(found):
        out = found
    elif isinstance(out, (tuple, list)):
        out = out[0]
    return _readable(out)


def _readable(array: Any) -> Any:
    """An array that lies in memory of the processor, and of which nobody wants a gradient."""
    torch = sys.modules.get("torch")
    if torch and isinstance(array, torch.Tensor):
        return array.detach().to("cpu")
    return array
