"""Pictures by Ray: rows of a dataset, drawn on every core, GPU and machine of a cluster.

    import ddim

    drawn = ddim.ray.sample(50_000, "path/to/model", steps=20, seed=7)
    drawn.write_parquet("run")                          # picture, class, png

`sample` is a dataset of picture numbers and `Draw` over it, which can stand behind any other dataset that has such a column:

    ray.data.range(50_000).map_batches(
        ddim.ray.Draw,
        fn_constructor_kwargs={"model": "path/to/model", "steps": 20, "seed": 7},
        batch_size=64, num_gpus=1, compute=ray.data.ActorPoolStrategy(size=8),
    )

Picture k of a seed is the same whatever draws it, so it does not matter which worker gets which rows, or that one is lost and
its rows are drawn again: on processors of one kind the bytes are those of `ddim sample`.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from ._ddim import Model, set_threads

if TYPE_CHECKING:
    import ray.data

__all__ = ["Draw", "sample"]

# What says which pictures these are, which the rows do.
_OF_ROWS = ("num", "first", "seeds", "noise", "progress")


class Draw:
    """A worker of `ray.data.Dataset.map_batches`: draws the pictures whose numbers a batch has.

    `model`: a folder or the name of an embedded model, the embedded one if not given; `device`, `precision` and `weights` as
    in `Model.load`. `threads`: how many of its processor it takes, all if not given. `column`: where a row says which picture
    of the seed it is. `output`: "png", or "array" for uint8 [h, w, c]. The rest are the options of `Model.sample`.

    A row keeps its other columns; it gets `picture`, its number; `class`, for a model that has classes, as it was asked for;
    and `png` or `image`.

    Raises ValueError and FileNotFoundError for a model or an option that is not there, when a worker starts.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        device: str = "auto",
        precision: str = "f32",
        weights: str | None = None,
        threads: int | None = None,
        column: str = "id",
        output: str = "png",
        **options: Any,
    ) -> None:
        _check(output, options)
        if threads is not None:
            set_threads(threads)
        self._model = _opened(model, weights, device=device, precision=precision)
        self._column, self._output, self._options = column, output, options

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        if self._column not in batch:
            raise ValueError(f"column {self._column!r}: these rows have {', '.join(map(repr, batch))}")
        numbers = [int(number) for number in batch[self._column]]
        pictures = [picture for first, count in _stretches(numbers) for picture in self._drawn(first, count)]
        rows = {name: values for name, values in batch.items() if name != self._column}
        rows["picture"] = np.asarray(numbers, np.int64)
        classes = self._classes()
        if classes:
            rows["class"] = np.asarray([classes[number % len(classes)] for number in numbers])
        if self._output == "array":
            rows["image"] = np.stack([np.asarray(picture)[0] for picture in pictures])
        else:
            rows["png"] = np.asarray([picture.png() for picture in pictures], object)
        return rows

    def _drawn(self, first: int, count: int) -> list[Any]:
        pictures = self._model.sample(count, first=first, **self._options)
        return [pictures[k] for k in range(count)]

    def _classes(self) -> list[str]:
        """What pictures are told in turn, in words."""
        asked, names = self._options.get("classes"), self._model.classes
        if asked is None:
            return names
        asked = [asked] if isinstance(asked, str | int) else list(asked)
        return [names[one] if isinstance(one, int) and one < len(names) else str(one) for one in asked]


def sample(
    num: int,
    model: str | None = None,
    *,
    workers: int | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    batch_size: int = 64,
    **options: Any,
) -> ray.data.Dataset:
    """The first `num` pictures of a seed, as a dataset with the columns of `Draw`, whose options these are. Nothing is drawn
    before somebody asks for rows; they come in any order, each with the number of its `picture`.

    `workers`: how many processes draw; one a GPU where the cluster has some (`num_gpus` is 1 then), else one a core.
    `num_cpus`, `num_gpus`: what each is given, as Ray understands it. `batch_size`: pictures that a worker gets at once.

    Raises ValueError for what cannot be drawn; what only a worker can know, such as a missing model, is raised where rows
    are asked for.
    """
    import ray
    import ray.data

    _check(options.get("output", "png"), options)
    if num < 1 or batch_size < 1:
        raise ValueError(f"num={num}, batch_size={batch_size}: both are 1 or more")
    if not ray.is_initialized():
        ray.init()
    has = ray.cluster_resources()
    if num_gpus is None:
        num_gpus = 1.0 if has.get("GPU", 0) >= 1 and options.get("device") != "cpu" else 0.0
    if workers is None:
        workers = max(1, int(has.get("GPU", 0) / num_gpus if num_gpus else has.get("CPU", 1)))
    if num_cpus is None:
        # A core is left for the task that hands out numbers: without one, Ray waits for ever.
        num_cpus = 1.0 if num_gpus else max(has.get("CPU", 1) - 1, 0.5) / max(workers, has.get("CPU", 1))
    if not num_gpus:
        options = {"device": "cpu", "threads": max(1, round(num_cpus)), **options}
    return ray.data.range(num).map_batches(
        Draw,
        fn_constructor_kwargs={"model": model, **options},
        batch_size=batch_size,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )


def _check(output: str, options: dict[str, Any]) -> None:
    if output not in ("png", "array"):
        raise ValueError(f"output={output!r}: it is 'png' or 'array'")
    for name in _OF_ROWS:
        if name in options:
            raise ValueError(
                f"{name}: the rows say which pictures these are; give `seed`, and numbers in the rows"
            )


def _opened(name: str | None, weights: str | None, **where: str) -> Model:
    """The embedded model of that name, or what lies there."""
    if name is None:
        return Model.embedded(**where)
    if weights is None:
        try:
            return Model.embedded(name, **where)
        except ValueError:
            pass
    return Model.load(name, weights=weights, **where)


def _stretches(numbers: list[int]) -> list[tuple[int, int]]:
    """Numbers that follow each other: the first and how many."""
    steps = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    stretches = [[number for _, number in group] for _, group in steps]
    return [(stretch[0], len(stretch)) for stretch in stretches]
