"""A scheduler for pipelines of diffusers, whose numbers come from a `ddim.Plan`.

    pipe.scheduler = ddim.diffusers.PlanScheduler.from_config(pipe.scheduler.config, solver="unipc")
    images = pipe(prompt, num_inference_steps=8).images

It reads the configuration of any diffusers scheduler and means by it what that class means; every solver of ddim,
every spacing and list of timesteps goes with every prediction type. Needs torch and diffusers.
"""

from __future__ import annotations

import inspect
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import diffusers
    import torch
    from diffusers.configuration_utils import ConfigMixin
    from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin, SchedulerOutput
    from diffusers.utils.torch_utils import randn_tensor
except ModuleNotFoundError as error:
    said = f'ddim.diffusers needs torch and diffusers: pip install "ddim[diffusers]" ({error})'
    raise ModuleNotFoundError(said, name=error.name) from error

from ._ddim import Noise, Plan

__all__ = ["PlanScheduler", "PlanSchedulerOutput"]

# Options of the plan, as `Plan` has them; everything else in a configuration belongs to the training.
_OPTIONS = ("solver", "eta", "spacing", "convention", "clip", "rederive_eps")
_OWN = {*_OPTIONS, "tuned", "trained_as"}

# Methods that call the network twice a step, so that pipelines count their timesteps in pairs.
_TWO_CALLS = {"heun", "edm", "dpm2"}

# What pipelines look at, where a configuration does not say.
_DEFAULTS = {"num_train_timesteps": 1000, "prediction_type": "epsilon"}


@dataclass
class PlanSchedulerOutput(SchedulerOutput):
    """`prev_sample`: the next state. `pred_original_sample`: the clean picture that was predicted, limited."""

    prev_sample: torch.Tensor
    pred_original_sample: torch.Tensor | None = None


class PlanScheduler(SchedulerMixin, ConfigMixin):
    """A diffusers scheduler that takes the rows of a `ddim.Plan`.

    Options, as of `ddim.Plan`: `solver`, `eta`, `spacing`, `convention`, `clip`, `rederive_eps`. `tuned` is what
    `ddim.tune` has found, and `spacing="tuned:FILE"` a file of `ddim tune`; either is saved along. `trained_as` is the diffusers class whose
    configuration the other keywords are; without a `solver` it is the method, too.

    `noise`: a `ddim.Noise`, so that each picture has noise of its own, the same in any batch; `latents` gives what
    it starts with.

    Raises ValueError for a configuration that cannot be read, and in `set_timesteps` for steps that cannot be had.
    """

    _compatibles = [scheduler.name for scheduler in KarrasDiffusionSchedulers]
    order = 1
    config_name = "scheduler_config.json"
    ignore_for_config: list[str] = []
    has_compatibles = True

    def __init__(
        self,
        *,
        solver: str | None = None,
        eta: float | str | None = None,
        spacing: str | None = None,
        convention: str | None = None,
        clip: bool | None = None,
        rederive_eps: bool | None = None,
        tuned: Mapping[str, Any] | None = None,
        trained_as: str = "DDIMScheduler",
        **training: Any,
    ) -> None:
        if spacing is not None and spacing.startswith("tuned:"):
            tuned, spacing = json.loads(Path(spacing[len("tuned:") :]).read_text())["steps"], "tuned"
        if tuned is not None and spacing not in (None, "tuned"):
            raise ValueError(f"tuned and spacing={spacing!r} both say where the timesteps are: give one of them")
        spacing = spacing if tuned is None else "tuned"
        for name in ("trained_betas", "disable_corrector"):
            if training.get(name) is not None:
                training[name] = [float(b) if name == "trained_betas" else int(b) for b in training[name]]
        self.register_to_config(
            **{**_DEFAULTS, **training},
            solver=solver,
            eta=eta,
            spacing=spacing,
            convention=convention,
            clip=clip,
            rederive_eps=rederive_eps,
            tuned=None if tuned is None else {str(steps): dict(entry) for steps, entry in tuned.items()},
            trained_as=trained_as,
        )
        self.noise: Noise | None = None
        # What is wrong whatever the training and the steps is said now.
        Plan(
            **{
                name: self.config[name]
                for name in ("solver", "eta", "convention")
                if self.config[name] is not None
            }
        )
        levels = Plan(self._training(), solver="ddim", spacing="leading", steps=1, convention="exact").alpha_bars
        self._alpha_bars = torch.from_dlpack(levels).clone()
        self.alphas_cumprod = self._alpha_bars.float()
        before = torch.cat([torch.ones(1, dtype=torch.float64), self._alpha_bars[:-1]])
        self.betas = (1 - self._alpha_bars / before).float()
        self.alphas = 1 - self.betas
        self.init_noise_sigma = 1.0
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(len(self._alpha_bars) - 1, -1, -1)
        self._plan: Plan | None = None
        self._forget()

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: bool = False, **options: Any) -> Any:
        """A scheduler for what another one's configuration says of the training; `options` are those of this
        class.

        `config`: `pipe.scheduler.config`, the scheduler itself, a dict, or what `load_config` gives. A
        configuration that does not name its class is of the one that has these options.
        """
        if config is None:
            raise ValueError("from_config needs a configuration, such as pipe.scheduler.config")
        if isinstance(config, SchedulerMixin):
            config = {**config.config, "_class_name": type(config).__name__}
        known = {name: value for name, value in dict(config).items() if not name.startswith("_")}
        of = dict(config).get("_class_name") or _class_with(set(known))
        if of is not None and of != cls.__name__:
            # Options of ours that a scheduler of others carries along say nothing of its training.
            known = {name: value for name, value in known.items() if name not in _OWN}
            known["trained_as"] = of
        scheduler = cls(**{**known, **options})
        return (scheduler, {}) if return_unused_kwargs else scheduler

    def _training(self) -> dict[str, Any]:
        """The configuration of the class that the network was trained for."""
        found = {
            name: value for name, value in self.config.items() if name not in _OWN and not name.startswith("_")
        }
        return {"_class_name": self.config["trained_as"], **found}

    def _compile(
        self, n_steps: int | None, timesteps: Sequence[int] | None, strength: float | None = None
    ) -> Plan:
        options = {name: self.config[name] for name in _OPTIONS if self.config[name] is not None}
        if timesteps is not None:
            options.pop("spacing", None)
            options["timesteps"] = timesteps
        elif options.get("spacing") == "tuned":
            entry = (self.config["tuned"] or {}).get(str(n_steps))
            if entry is None:
                there = ", ".join(self.config["tuned"] or {}) or "none"
                raise ValueError(f"nothing is tuned for {n_steps} steps, only for: {there}")
            options.pop("spacing")
            options.setdefault("solver", entry["solver"])
            options["timesteps"] = entry["timesteps"]
        else:
            options["steps"] = n_steps
        if strength is not None:
            options["strength"] = strength
        return Plan(self._training(), **options)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[int] | torch.Tensor | None = None,
    ) -> None:
        """Compiles the plan of `num_inference_steps` steps, or of these `timesteps`, noisy to clean, for any
        solver."""
        if (num_inference_steps is None) == (timesteps is None):
            raise ValueError("give num_inference_steps or timesteps, and not both")
        if timesteps is not None:
            given = [float(t) for t in timesteps]
            if not all(t.is_integer() for t in given):
                raise ValueError(f"timesteps are whole numbers, and not {given}")
            self._asked: tuple[int | None, list[int] | None] = (None, [int(t) for t in given])
        else:
            self._asked = (num_inference_steps, None)
        self._plan = plan = self._compile(*self._asked)
        self.num_inference_steps = plan.steps
        times = plan.timesteps
        dtype = torch.int64 if all(t.is_integer() for t in times) else torch.float32
        self.timesteps = torch.tensor(times, dtype=torch.float64).to(dtype).to(device or "cpu")
        self.init_noise_sigma = plan.start_scale
        self.order = 2 if plan.solver in _TWO_CALLS else 1
        self._forget()

    def _forget(self) -> None:
        self._rows: list[_Row] | None = None
        self._table: torch.Tensor | None = None
        self._step_index: int | None = None
        self._begin_index: int | None = None
        self._skipped = 0
        self._history: deque[torch.Tensor] = deque()
        self._start: torch.Tensor | None = None

    @property
    def plan(self) -> Plan:
        """The plan that `set_timesteps` has compiled."""
        if self._plan is None:
            raise ValueError("there is no plan yet: call set_timesteps first")
        return self._plan

    @property
    def step_index(self) -> int | None:
        """The row that is next, counted from 0; None before the first."""
        return self._step_index

    @property
    def begin_index(self) -> int | None:
        """The row that a pipeline has said it begins with."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Says which row is the first, for a run that begins with a noisy picture."""
        self._begin_index = int(begin_index)

    def index_for_timestep(self, timestep: float | torch.Tensor) -> int:
        """The first row that is called with this time, or the nearest to it."""
        # Not every device has numbers of 64 bits.
        return int((self.timesteps.cpu().double() - float(timestep)).abs().argmin())

    @property
    def sigmas(self) -> torch.Tensor:
        """The noise levels sqrt((1 - alpha_bar)/alpha_bar) of the rows, and that of the end."""
        rows = self.plan.rows
        levels = torch.tensor([row.alpha_bar for row in rows] + [rows[-1].alpha_bar_prev], dtype=torch.float64)
        return ((1 - levels) / levels).sqrt().float()

    def latents(
        self, shape: Sequence[int], device: str | torch.device | None = None, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """The noise that the pictures of `noise` start from, [n, c, h, w] for `shape` (c, h, w): `latents=` of a
        pipeline."""
        if self.noise is None:
            raise ValueError("set scheduler.noise to a ddim.Noise first")
        return _tensor(self.noise.initial((shape[0], shape[1], shape[2]))).to(
            device or "cpu", dtype or torch.float32
        )

    def scale_model_input(
        self, sample: torch.Tensor, timestep: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """The state as the network wants it."""
        if self._plan is None:
            return sample
        index = self._step_index
        if index is None:
            index = self._begin_index if self._begin_index is not None else 0
            if self._begin_index is None and timestep is not None:
                index = self.index_for_timestep(timestep)
        scale = self._plan_row(index).input_scale
        return sample if scale == 1.0 else sample * scale

    def _plan_row(self, index: int) -> Any:
        rows = self._all_rows()
        return rows[min(index, len(rows) - 1)]

    def _all_rows(self) -> list[_Row]:
        if self._rows is None:
            self._rows = _rows(self.plan)
        return self._rows

    def _begin(self, index: int) -> None:
        """A run that begins at this row: with a plan whose first row it is, since rows look back at those
        before."""
        self._history.clear()
        self._start, self._step_index = None, index
        self._all_rows()
        if index == 0:
            return
        plan, n = self.plan, self.plan.steps
        left = n - index // self.order
        rest = self._compile(*self._asked, strength=left / n)
        rows = _rows(rest)
        if [row.time for row in rows] != plan.timesteps[index:]:
            raise ValueError(f"{plan.solver} cannot begin at row {index} of {len(plan)}: begin with a whole step")
        # The rows before are never taken.
        self._rows, self._skipped = self._all_rows()[:index] + rows, index

    def step(
        self,
        model_output: torch.Tensor,
        timestep: float | torch.Tensor,
        sample: torch.Tensor,
        generator: Any = None,
        return_dict: bool = True,
        variance_noise: torch.Tensor | None = None,
        index: Sequence[int] | torch.Tensor | None = None,
        **others: Any,
    ) -> PlanSchedulerOutput | tuple[torch.Tensor, torch.Tensor]:
        """Takes the step that follows a network call, `prev_sample` from `sample` and `model_output`, [n, c, ...].

        `index`: the row of each picture, where pictures of a batch are not equally far; then `timestep` does not
        count. A picture whose row is 0 begins anew. `variance_noise`: standard normal, in place of that of `noise`
        or `generator`. Options of other schedulers, which some pipelines always pass, may say what is done here.

        Raises TypeError and ValueError for those that ask for something else.
        """
        self._check_others(others)
        if index is not None:
            return self._step_each(model_output, sample, index, generator, return_dict, variance_noise)
        if self._step_index is None:
            begin = self._begin_index
            self._begin(self.index_for_timestep(timestep) if begin is None else begin)
        k = self._step_index
        assert k is not None
        rows = self._all_rows()
        if k >= len(rows):
            raise ValueError(f"all {len(rows)} rows are taken: call set_timesteps for another run")
        row, x, out = rows[k], sample.float(), model_output.float()
        if self._start is None and row.looks_at_start:
            self._start = x.clone()
        spread: torch.Tensor | float = row.sigma
        if out.shape[1] != x.shape[1]:
            out, second = out.split(x.shape[1], dim=1)
            spread = row.spread(second) if row.learned is not None else row.sigma
        x0 = torch.mul(x, row.x0_from_x).add_(out, alpha=row.x0_from_out)
        if row.limit is None:
            following = torch.mul(x, row.from_x).add_(out, alpha=row.from_out)
        else:
            x0 = _limited(x0, row.limit)
            following = torch.mul(x, row.limited_from_x).add_(x0, alpha=row.from_x0)
            if row.limited_from_out:
                following.add_(out, alpha=row.limited_from_out)
        if row.c_start and self._start is not None:
            following.add_(self._start, alpha=row.c_start)
        for weight, kept in zip(row.history, self._history):
            if weight:
                following.add_(kept, alpha=weight)
        if isinstance(spread, torch.Tensor) or spread != 0.0:
            z = self._variance_noise(variance_noise, out, generator, [k - self._skipped] * len(x))
            following = (
                following.add_(z * spread) if isinstance(spread, torch.Tensor) else following.add_(z, alpha=spread)
            )
        if row.keeps is not None:
            kept = x0 if row.keeps == "x0" else out if row.keeps == "out" else row.eps(x, out, x0)
            self._history.appendleft(kept)
            while len(self._history) > row.remembers:
                self._history.pop()
        self._step_index = k + 1
        return self._result(following, x0, sample.dtype, return_dict)

    def _check_others(self, others: Mapping[str, Any]) -> None:
        # None of them is in the signature, by which pipelines know what a scheduler can be told.
        for name, value in others.items():
            if name == "eta":
                if value not in (None, 0.0, self.config["eta"]):
                    own = self.config["eta"]
                    raise ValueError(
                        f"eta={value!r}: the plan of this scheduler has eta={own!r}; leave it out of the call, "
                        f"and make the scheduler with PlanScheduler.from_config(config, eta={value!r})"
                    )
            elif name == "use_clipped_model_output":
                if value not in (None, False):
                    raise ValueError(
                        f"use_clipped_model_output={value!r}: leave it out, and make the scheduler with "
                        "PlanScheduler.from_config(config, rederive_eps=True)"
                    )
            else:
                raise TypeError(f"step() has no option {name!r}: leave it out")

    def _step_each(
        self,
        model_output: torch.Tensor,
        sample: torch.Tensor,
        index: Sequence[int] | torch.Tensor,
        generator: Any,
        return_dict: bool,
        variance_noise: torch.Tensor | None,
    ) -> PlanSchedulerOutput | tuple[torch.Tensor, torch.Tensor]:
        places = [int(k) for k in index]
        rows, x, out = self._all_rows(), sample.float(), model_output.float()
        if len(places) != len(x):
            raise ValueError(f"index has {len(places)} rows for {len(x)} pictures: give one for each")
        if any(not 0 <= k < len(rows) for k in places):
            raise ValueError(f"index {places}: rows are 0 to {len(rows) - 1}")
        chosen = [rows[k] for k in places]

        def column(values: list[float]) -> torch.Tensor:
            shape = [len(values)] + [1] * (x.dim() - 1)
            return torch.tensor(values, dtype=torch.float64).to(torch.float32).to(x.device).reshape(shape)

        spread = column([row.sigma for row in chosen])
        if out.shape[1] != x.shape[1]:
            out, second = out.split(x.shape[1], dim=1)
            if any(row.learned is not None for row in chosen):
                each = [
                    row.spread(one[None]) if row.learned else torch.full_like(one[None], row.sigma)
                    for row, one in zip(chosen, second)
                ]
                spread = torch.cat(each)
        x0 = column([row.x0_from_x for row in chosen]) * x + column([row.x0_from_out for row in chosen]) * out
        if chosen[0].limit is not None:
            x0 = _limited(x0, chosen[0].limit)
        following = column([row.limited_from_x for row in chosen]) * x
        following = following + column([row.limited_from_out for row in chosen]) * out
        following = following + column([row.from_x0 for row in chosen]) * x0
        if chosen[0].looks_at_start:
            begins = column([float(k == 0) for k in places]) > 0
            self._start = x if self._start is None else torch.where(begins, x, self._start)
            following = following + column([row.c_start for row in chosen]) * self._start
        for back, kept in enumerate(self._history):
            weights = [row.history[back] if back < len(row.history) else 0.0 for row in chosen]
            following = following + column(weights) * kept
        if bool((spread != 0).any()):
            following = following + spread * self._variance_noise(variance_noise, out, generator, places)
        if chosen[0].keeps is not None:
            eps = [row.eps(x[i : i + 1], out[i : i + 1], x0[i : i + 1]) for i, row in enumerate(chosen)]
            self._history.appendleft({"x0": x0, "out": out}.get(chosen[0].keeps, torch.cat(eps)))
            while len(self._history) > chosen[0].remembers:
                self._history.pop()
        return self._result(following, x0, sample.dtype, return_dict)

    def _result(
        self, following: torch.Tensor, x0: torch.Tensor, dtype: torch.dtype, return_dict: bool
    ) -> PlanSchedulerOutput | tuple[torch.Tensor, torch.Tensor]:
        following, x0 = following.to(dtype), x0.to(dtype)
        return PlanSchedulerOutput(following, x0) if return_dict else (following, x0)

    def _variance_noise(
        self, given: torch.Tensor | None, like: torch.Tensor, generator: Any, places: list[int]
    ) -> torch.Tensor:
        if given is not None:
            return given.to(like.device, like.dtype)
        if self.noise is None:
            return randn_tensor(like.shape, generator=generator, device=like.device, dtype=like.dtype)
        if len(self.noise) != len(like):
            raise ValueError(f"scheduler.noise is of {len(self.noise)} pictures, and there are {len(like)}")
        if like.dim() != 4:
            raise ValueError(f"scheduler.noise is for pictures [n, c, h, w], and these are {list(like.shape)}")
        shape = (like.shape[1], like.shape[2], like.shape[3])
        if len(set(places)) == 1:
            return _tensor(self.noise.step(places[0], shape)).to(like.device, like.dtype)
        each = [_tensor(self.noise[i].step(k, shape)) for i, k in enumerate(places)]
        return torch.cat(each).to(like.device, like.dtype)

    def add_noise(
        self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """Pictures with the noise of these times, in the coordinates of the plan where there is one."""
        times = [float(t) for t in timesteps.reshape(-1)]
        signal, level = zip(*(self._level(time) for time in times))
        kept, added = (torch.tensor(each, dtype=torch.float64) for each in (signal, level))
        return _column(kept, original_samples) * original_samples + _column(added, original_samples) * noise

    def _level(self, time: float) -> tuple[float, float]:
        """What is left of a picture at a time, and how much noise it has."""
        exploding = False
        if self._plan is not None:
            rows = self._all_rows()
            # A run that begins in the middle begins with a row's level, not with one between two training steps.
            found = [row for row in rows if row.time == time]
            if found:
                return found[0].signal, found[0].noise
            exploding = rows[0].signal == 1.0
        below = min(max(int(time), 0), len(self._alpha_bars) - 1)
        a = float(self._alpha_bars[below])
        return (1.0, ((1 - a) / a) ** 0.5) if exploding else (a**0.5, (1 - a) ** 0.5)

    def get_velocity(self, sample: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What a network that predicts v is trained on."""
        a = self._alpha_bars[timesteps.cpu()].reshape(-1)
        return _column(a.sqrt(), sample) * noise - _column((1 - a).sqrt(), sample) * sample

    def __len__(self) -> int:
        return len(self._alpha_bars)


def _class_with(options: set[str]) -> str | None:
    """The scheduler of diffusers that has exactly these options: a class fills in its own where none are given."""
    if "trained_as" in options:
        return PlanScheduler.__name__
    names = [
        "DDIMScheduler",
        "DDPMScheduler",
        "PNDMScheduler",
        *(scheduler.name for scheduler in KarrasDiffusionSchedulers),
    ]
    for name in names:
        has = getattr(getattr(diffusers, name, None), "__init__", None)
        if has is not None and options == set(inspect.signature(has).parameters) - {"self", "kwargs"}:
            return name
    return None


@dataclass(frozen=True)
class _Row:
    """A row of a plan, folded into the weights of (x, out, x0), in double precision."""

    time: float
    input_scale: float
    signal: float
    noise: float
    x0_from_x: float
    x0_from_out: float
    # Weights of a step whose x0 is limited, and so counts by itself.
    limited_from_x: float
    limited_from_out: float
    from_x0: float
    # Weights of one whose x0 is not.
    from_x: float
    from_out: float
    c_start: float
    history: list[float]
    sigma: float
    learned: tuple[str, list[float]] | None
    eps_from: tuple[float, float, float]
    limit: tuple[Any, ...] | None
    keeps: str | None
    remembers: int
    looks_at_start: bool

    def spread(self, second: torch.Tensor) -> torch.Tensor:
        """The standard deviation that the second half of a network's output means."""
        assert self.learned is not None
        kind, numbers = self.learned
        if kind == "variance":
            return second.sqrt()
        if kind == "range":
            small, large = numbers
            second = second * (0.5 * (large - small)) + 0.5 * (large + small)
        return (second * 0.5).exp()

    def eps(self, x: torch.Tensor, out: torch.Tensor, x0: torch.Tensor) -> torch.Tensor:
        """The noise that is predicted."""
        from_x, from_out, from_x0 = self.eps_from
        if from_x0:
            return torch.mul(x, from_x).add_(x0, alpha=from_x0)
        return torch.mul(x, from_x).add_(out, alpha=from_out) if from_x else out * from_out


def _rows(plan: Plan) -> list[_Row]:
    rows, found = plan.rows, []
    remembers = max((len(row.history) for row in rows), default=0)
    looks_at_start = any(row.c_start for row in rows)
    for row in rows:
        # The eps that fits an x0 which is not limited is the network's own, without the rounding of a difference.
        if plan.rederives_eps and plan.limit is not None:
            eps_from = (row.rederived_from_x, 0.0, row.rederived_from_x0)
        else:
            eps_from = (row.eps_from_x, row.eps_from_out, 0.0)
        from_x, from_out = row.c_x + row.c_eps * eps_from[0], row.c_eps * eps_from[1]
        from_x0 = row.c_x0 + row.c_eps * eps_from[2]
        found.append(
            _Row(
                time=row.time,
                input_scale=row.input_scale,
                signal=-row.rederived_from_x0 / row.rederived_from_x,
                noise=1.0 / row.rederived_from_x,
                x0_from_x=row.x0_from_x,
                x0_from_out=row.x0_from_out,
                limited_from_x=from_x,
                limited_from_out=from_out,
                from_x0=from_x0,
                from_x=from_x + from_x0 * row.x0_from_x,
                from_out=from_out + from_x0 * row.x0_from_out,
                c_start=row.c_start,
                history=row.history,
                sigma=row.sigma if row.sigma is not None else 0.0,
                learned=row.learned,
                eps_from=eps_from,
                limit=plan.limit,
                keeps=plan.keeps,
                remembers=remembers,
                looks_at_start=looks_at_start,
            )
        )
    return found


def _limited(x0: torch.Tensor, limit: tuple[Any, ...]) -> torch.Tensor:
    if limit[0] == "clip":
        return x0.clamp_(-limit[1], limit[1])
    _, ratio, most = limit
    bound = torch.quantile(x0.flatten(1).abs(), ratio, dim=1).clamp(1.0, most).reshape([-1] + [1] * (x0.dim() - 1))
    return x0.clamp(-bound, bound) / bound


def _column(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A number a picture: not every device has those of 64 bits, so they are rounded before they go there."""
    return values.to(like.dtype).to(like.device).reshape([-1] + [1] * (like.dim() - 1))


def _tensor(array: Any) -> torch.Tensor:
    return torch.from_dlpack(array).clone()
