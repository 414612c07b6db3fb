"""Ends of runs of diffusers 0.42.1 that no trajectory here covers, all arithmetic in float64.

Prints noise_level_ends.json. The start is x_i = (i - 4)/3, i = 0..7, times init_noise_sigma; the network is
n(x, t) = 0.6 x + 0.3 tanh(x) t/(t + 1), of the scaled model input.
"""

import json

import diffusers
import numpy as np
import torch

torch.float32, np.float32 = torch.float64, np.float64  # what the schedulers ask for

SPACINGS = [{"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
CASES = [("EulerDiscreteScheduler", config, 7) for config in SPACINGS]
CASES += [("KDPM2DiscreteScheduler", config, 7) for config in [{}, {"prediction_type": "v_prediction"}]]
CASES += [("HeunDiscreteScheduler", {"timestep_spacing": "leading", "prediction_type": "sample"}, 6)]
CASES += [
    ("PNDMScheduler", {"timestep_spacing": spacing, "skip_prk_steps": skip, "prediction_type": prediction}, steps)
    for spacing in ["leading", "linspace", "trailing"]
    for skip in [False, True]
    for prediction in ["epsilon", "v_prediction"]
    for steps in [7, 11]
]


def run(name, config, steps):
    scheduler = getattr(diffusers, name)(**config)
    scheduler.set_timesteps(steps)
    x = (torch.arange(8, dtype=torch.float64) - 4) / 3 * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        model_input = scheduler.scale_model_input(x, t)
        out = 0.6 * model_input + 0.3 * torch.tanh(model_input) * t / (t + 1)
        x = scheduler.step(out, t, x).prev_sample
    config = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    timesteps = [float("%.12g" % t) for t in scheduler.timesteps]
    x = [float("%.15g" % v) for v in x]
    return {"scheduler": name, "config": config, "num_inference_steps": steps, "timesteps": timesteps, "x": x}


print("[\n" + ",\n".join(json.dumps(run(*case)) for case in CASES) + "\n]")
