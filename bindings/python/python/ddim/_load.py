"""A model of diffusers that is in memory already."""

from __future__ import annotations

from ._ddim import Model

# As in _sample.py: `typing` takes long to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a pipeline may have besides a network and a scheduler, and what is read from its folder alone.
_OTHER_PARTS = ("vae", "vqvae", "transformer", "text_encoder", "bert", "movq")


def load_diffusers(
    pipeline: Any,
    scheduler: Any = None,
    *,
    device: str = "auto",
    precision: str = "f32",
    check: bool = False,
) -> Model:
    """A `Model` of a network that diffusers has in memory: a pipeline with a `UNet2DModel` (DDPMPipeline,
    DDIMPipeline and the like), or such a network and its scheduler.

    The weights are copied: what becomes of the pipeline afterwards does not matter, and training goes on without
    consequence here. `device` and `precision` are those of `Model.load`. `check=True` compares the two on a batch of
    noise and prints how far they are apart and what a call takes in each.

    A model from memory does not pickle: save the pipeline to a folder and load that where models have to travel.

    Raises TypeError for what is no such network, and ValueError for a pipeline of more parts, which
    `pipeline.save_pretrained("folder")` and `Model.load("folder")` take.
    """
    unet = getattr(pipeline, "unet", pipeline)
    scheduler = getattr(pipeline, "scheduler", None) if scheduler is None else scheduler
    name = type(unet).__name__
    if name != "UNet2DModel":
        raise TypeError(f"a UNet2DModel of diffusers, or a pipeline that has one, is taken, and no {name}")
    if scheduler is None:
        raise TypeError("a network alone does not say how it was trained: give its scheduler, too")
    others = [part for part in _OTHER_PARTS if getattr(pipeline, part, None) is not None]
    if others:
        raise ValueError(
            f"the pipeline has a {others[0]}, too: pipeline.save_pretrained(folder), then ddim.Model.load(folder)"
        )
    model = Model._of_files(
        _config(unet), _config(scheduler), _safetensors(unet), device=device, precision=precision
    )
    if check:
        print(_compared(unet, model))
    return model


def tune(pipeline: Any, steps: int | list[int], scheduler: Any = None, **options: Any) -> dict[int, dict[str, Any]]:
    """The timesteps and the solver that suit a pipeline of yours, for each number of steps: `Model.tune` of its
    network, with the options of that. What is found goes into a scheduler:

        found = ddim.tune(pipeline, [5, 8])
        pipeline.scheduler = ddim.diffusers.PlanScheduler.from_config(pipeline.scheduler.config, tuned=found)
        pipeline(num_inference_steps=5)

    Raises as `load_diffusers` and `Model.tune` do.
    """
    return load_diffusers(pipeline, scheduler).tune(steps, **options)


def _config(part: Any) -> str:
    """The configuration as `save_pretrained` writes it."""
    return str(part.to_json_string())


def _safetensors(unet: Any) -> bytes:
    """The weights as `save_pretrained` writes them."""
    from safetensors.torch import save

    return bytes(save({name: value.detach().contiguous().cpu() for name, value in unet.state_dict().items()}))


def _compared(unet: Any, model: Model) -> str:
    """How far the two are apart on noise, and what a call of each takes: the best of three."""
    import json
    import time

    import numpy as np
    import torch

    steps = json.loads(model.scheduler_config)["num_train_timesteps"]
    x = torch.randn(4, *model.shape, generator=torch.Generator().manual_seed(0))
    classes = unet.config.num_class_embeds
    labels = torch.arange(4) % classes if classes else None
    options = {"classes": labels.tolist()} if labels is not None else {}
    at = steps // 2

    def theirs() -> Any:
        with torch.no_grad():
            given = x.to(unet.device, unet.dtype)
            told = labels.to(unet.device) if labels is not None else None
            return unet(given, at, class_labels=told).sample.float().cpu().numpy()

    def ours() -> Any:
        return np.asarray(model.network(x, at, **options))

    def best(call: Any) -> float:
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            call()
            times.append(time.perf_counter() - begun)
        return 1000 * min(times)

    expected, found = theirs(), ours()
    apart, largest = np.abs(expected - found).max(), np.abs(expected).max()
    return (
        f"largest difference {apart:.1e} of {largest:.1e}; "
        f"a call with 4 pictures takes {best(ours):.1f} ms, in torch {best(theirs):.1f} ms"
    )
