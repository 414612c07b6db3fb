"""What a call of a Python network costs around the network, and a step of PlanScheduler beside diffusers' own.

    python bindings/python/benches/steps.py

Each number is the least of many, in microseconds, on one thread; ours and theirs take turns. Needs torch and diffusers.
"""

import time
import warnings

import diffusers
import torch

import ddim
from ddim.diffusers import PlanScheduler

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
SHAPE, STEPS, TURNS = (3, 32, 32), 20, 40


def call(arrays, pictures):
    """Seconds a call of a network that does nothing."""
    plan, noise = ddim.Plan(steps=200), ddim.Noise(0, range(pictures))
    begun = time.perf_counter()
    ddim.sample(plan, lambda x, times: x, arrays=arrays, shape=SHAPE, noise=noise)
    return (time.perf_counter() - begun) / len(plan)


def step(scheduler, start, out):
    """Seconds a step, of a run whose network always says the same."""
    scheduler.set_timesteps(STEPS)
    x, begun = start, time.perf_counter()
    for t in scheduler.timesteps:
        scheduler.scale_model_input(x, t)
        x = scheduler.step(out, t, x).prev_sample
    return (time.perf_counter() - begun) / len(scheduler.timesteps)


for arrays in ("numpy", "torch"):
    for pictures in (1, 16):
        least = min(call(arrays, pictures) for _ in range(TURNS))
        print(f"a call of {pictures}x3x32x32 in {arrays}: {least * 1e6:.0f}")

start, out = torch.randn(16, *SHAPE), torch.randn(16, *SHAPE)
theirs = {
    "ddim": diffusers.DDIMScheduler(),
    "ddpm": diffusers.DDPMScheduler(),
    "euler": diffusers.EulerDiscreteScheduler(),
    "euler-a": diffusers.EulerAncestralDiscreteScheduler(),
    "heun": diffusers.HeunDiscreteScheduler(),
    "dpm2": diffusers.KDPM2DiscreteScheduler(),
    "plms": diffusers.PNDMScheduler(skip_prk_steps=True),
    "pndm": diffusers.PNDMScheduler(),
    "dpm++": diffusers.DPMSolverMultistepScheduler(),
    "sde-dpm++": diffusers.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"),
    "dpm++-single": diffusers.DPMSolverSinglestepScheduler(lower_order_final=True),
    "unipc": diffusers.UniPCMultistepScheduler(),
    "deis": diffusers.DEISMultistepScheduler(),
}
for solver, other in theirs.items():
    ours, pairs = PlanScheduler.from_config(other, solver=solver), []
    for _ in range(TURNS):
        pairs.append((step(ours, start, out), step(other, start, out)))
    least = [min(column) * 1e6 for column in zip(*pairs)]
    print(f"a step of 16x3x32x32 by {solver}: {least[0]:.0f}, diffusers {least[1]:.0f}")
