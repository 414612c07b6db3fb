"""Targets of progressive distillation in float64: targets.json.

Algorithm 2 of Salimans & Ho 2022 (arXiv:2202.00512), line by line: z' and z'' by two DDIM steps of a pretended teacher,
the target x~ from z and z''. What the student should say and what its error counts follow from the definitions of v and
of the signal-to-noise ratio. Nothing here knows how the program arranges its sums. Needs numpy.
"""

import json
from pathlib import Path

import numpy as np

TRAIN_STEPS = 1000
Z = np.array([-2.5, -0.75, 0.0, 0.5, 3.0])


def cosine_alpha_bars():
    """squaredcos_cap_v2 of diffusers (Nichol & Dhariwal 2021, Eq. 17, betas at most 0.999)."""
    level = lambda t: np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = [min(1 - level((i + 1) / TRAIN_STEPS) / level(i / TRAIN_STEPS), 0.999) for i in range(TRAIN_STEPS)]
    return np.cumprod(1 - np.array(betas))


ALPHA_BARS = cosine_alpha_bars()


def mixture(t):
    """alpha and sigma at a timestep; -1 is the finished picture."""
    alpha_bar = 1.0 if t < 0 else ALPHA_BARS[t]
    return np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)


def pretend_teacher(z, t, prediction):
    """The x0 that it predicts, of an output that depends on z and t."""
    alpha, sigma = mixture(t)
    out = 0.7 * np.sin(z + t / 500) + 0.2 * z
    return alpha * z - sigma * out if prediction == "v" else out


def ddim_step(z, x, t, s):
    (alpha, sigma), (alpha_s, sigma_s) = mixture(t), mixture(s)
    return alpha_s * x + sigma_s / sigma * (z - alpha * x)


def case(prediction, t, t1, t2):
    z1 = ddim_step(Z, pretend_teacher(Z, t, prediction), t, t1)
    z2 = ddim_step(z1, pretend_teacher(z1, t1, prediction), t1, t2)
    (alpha, sigma), (alpha2, sigma2) = mixture(t), mixture(t2)
    x = (z2 - sigma2 / sigma * Z) / (alpha2 - sigma2 / sigma * alpha)
    eps = (Z - alpha * x) / sigma
    snr = alpha**2 / sigma**2
    # |x - x'|^2 of two x is sigma^2 |v - v'|^2 of the v that belong to them.
    of_output = sigma**2 if prediction == "v" else 1.0
    return {
        "timesteps": [t, t1, t2],
        "z": Z.tolist(),
        "x0": x.tolist(),
        "output": (alpha * eps - sigma * x if prediction == "v" else x).tolist(),
        "truncated_snr": max(snr, 1.0) * of_output,
        "snr_plus_one": (snr + 1) * of_output,
    }


def stage(prediction, student):
    """The steps of a student: floor(T i/n) - 1, noisy to clean, and the picture."""
    teacher = [TRAIN_STEPS * i // (2 * student) - 1 for i in range(2 * student, -1, -1)]
    cases = [case(prediction, *teacher[k : k + 3]) for k in range(0, 2 * student, 2)]
    return {"prediction": prediction, "from": 2 * student, "cases": cases}


stages = [stage(prediction, student) for prediction in ["v", "x0"] for student in [8, 4, 2, 1]]
Path(__file__).with_name("targets.json").write_text(json.dumps(stages, indent=1) + "\n")
