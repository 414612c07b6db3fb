"""Terms of the variational bound in bits per dimension, in float64: bound.json.

The Markovian cases follow the formulas of OpenAI's improved-diffusion (`calc_bpd_loop`: the posterior of the chain of
the kept timesteps, `normal_kl`, a discretised Gaussian for the last term), with the exact normal distribution
function in the place of its approximation by a tanh. The cases with an eta below 1 follow DDIM Eq. (7), (10), (11).
Nothing here knows how the program arranges its sums. Needs numpy and scipy.
"""

import json

import numpy as np
from scipy.stats import norm

TRAIN_STEPS = 1000
TAU = [0, 9, 99, 349, 749, 999]  # clean to noisy
PICTURES, CHANNELS, SIDE = 2, 1, 3

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, TRAIN_STEPS))


def pretend_model(x, t):
    """Twice the channels of x: a prediction, and what a learned variance is made of."""
    return np.concatenate([0.9 * x + 0.3 * np.sin(2 * x + t / 200), np.cos(x + t / 300)], axis=1)


def normal_kl(mean1, logvar1, mean2, logvar2):
    return 0.5 * (-1.0 + logvar2 - logvar1 + np.exp(logvar1 - logvar2) + (mean1 - mean2) ** 2 * np.exp(-logvar2))


def discretised_log_likelihood(x, mean, logvar):
    deviation = np.exp(0.5 * logvar)
    upper, lower = (x + 1 / 255 - mean) / deviation, (x - 1 / 255 - mean) / deviation
    middle = np.where(
        lower > 0,
        norm.logsf(lower) + np.log1p(-np.exp(norm.logsf(upper) - norm.logsf(lower))),
        norm.logcdf(upper) + np.log1p(-np.exp(norm.logcdf(lower) - norm.logcdf(upper))),
    )
    return np.where(x < -0.999, norm.logcdf(upper), np.where(x > 0.999, norm.logsf(lower), middle))


def flat_mean(x):
    return x.reshape(len(x), -1).mean(axis=1) / np.log(2)


def terms(x0, noise, prediction, clip, variance, decoder, eta):
    """`variance`: small, large, learned_range or learned_log, or None for the sigma of eta."""
    kept = ALPHA_BAR[TAU]
    before = np.append(1.0, kept[:-1])
    betas = 1 - kept / before
    posterior_variance = betas * (1 - before) / (1 - kept)
    clipped_log = np.log(np.append(posterior_variance[1], posterior_variance[1:]))
    found = []
    for k in reversed(range(len(TAU))):
        a, p = kept[k], before[k]
        eps = noise[len(TAU) - 1 - k]
        x = np.sqrt(a) * x0 + np.sqrt(1 - a) * eps
        out, values = np.split(pretend_model(x, TAU[k]), 2, axis=1)
        if prediction == "epsilon":
            guess = np.sqrt(1 / a) * x - np.sqrt(1 / a - 1) * out
        else:
            guess = np.sqrt(a) * x - np.sqrt(1 - a) * out
        if clip:
            guess = np.clip(guess, -1, 1)
        if variance is None:
            sigma = eta * np.sqrt((1 - p) / (1 - a)) * np.sqrt(1 - a / p)

            def mean(clean):
                direction = np.sqrt(max(1 - p - sigma**2, 0.0)) * (x - np.sqrt(a) * clean) / np.sqrt(1 - a)
                return np.sqrt(p) * clean + direction

            true_log = model_log = 2 * np.log(sigma) if k else None
        else:

            def mean(clean):
                return betas[k] * np.sqrt(p) / (1 - a) * clean + (1 - p) * np.sqrt(a / p) / (1 - a) * x

            true_log = clipped_log[k]
            model_log = {
                "small": clipped_log[k],
                "large": np.log(betas[k]),
                "learned_range": (values + 1) / 2 * np.log(betas[k]) + (1 - values) / 2 * clipped_log[k],
                "learned_log": values,
            }[variance]
        if k == 0:
            if variance is None or variance in ("small", "large"):
                model_log = np.log(betas[0]) if decoder == "large" else clipped_log[0]
            found.append(flat_mean(-discretised_log_likelihood(x0, mean(guess), model_log + 0 * x0)))
        else:
            found.append(flat_mean(normal_kl(mean(x0), true_log, mean(guess), model_log) + 0 * x0))
    prior = flat_mean(normal_kl(np.sqrt(kept[-1]) * x0, np.log(1 - kept[-1]), 0.0, 0.0))
    return prior, found


def main():
    draw = np.random.default_rng(20240117)
    shape = (PICTURES, CHANNELS, SIDE, SIDE)
    grey = draw.integers(0, 256, shape)
    grey[0, 0, 0] = [0, 255, 1]
    noise = draw.standard_normal((len(TAU),) + shape).astype(np.float32).astype(np.float64)
    x0 = (grey / 127.5 - 1).astype(np.float32).astype(np.float64)
    cases = []
    for prediction, clip, variance, decoder, eta in [
        ("epsilon", False, "small", "small", None),
        ("epsilon", True, "small", "small", None),
        ("v", False, "large", "large", None),
        ("v", True, "learned_range", "small", None),
        ("epsilon", False, "learned_log", "small", None),
        ("v", False, None, "large", 1.0),
        ("v", True, None, "small", 0.5),
        ("epsilon", False, None, "large", 0.2),
    ]:
        prior, found = terms(x0, noise, prediction, clip, variance, decoder, eta)
        cases.append(
            {
                "prediction": prediction,
                "clip": clip,
                "variance": variance,
                "decoder": decoder,
                "eta": eta,
                "prior": prior.tolist(),
                "terms": [term.tolist() for term in found],
            }
        )
    golden = {
        "about": "bits per dimension of each picture; terms from noisy to clean, the last is the decoder",
        "tau": TAU[::-1],
        "shape": shape,
        "grey": grey.ravel().tolist(),
        "noise": noise.reshape(len(TAU), -1).tolist(),
        "cases": cases,
    }
    with open("bound.json", "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


main()
