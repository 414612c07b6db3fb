"""Distances between two sets of features, by the reference implementations: distances.npz and statistics.npz.

    pip install numpy scipy torch pytorch-fid torch-fidelity prdc clean-fid
    python make_distances.py
"""

import math

import numpy as np
import torch
from prdc import compute_prdc
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy.stats import wasserstein_distance
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

DIMS, FIRST, SECOND, DIRECTIONS, CLASSES = 24, 300, 240, 16, 7

rng = np.random.default_rng(4)
mixing = rng.normal(size=(DIMS, DIMS)) / math.sqrt(DIMS)
first = (rng.normal(size=(FIRST, DIMS)) @ mixing + 0.3).astype(np.float32)
second = (1.2 * rng.normal(size=(SECOND, DIMS)) @ mixing).astype(np.float32)
logits = 2 * rng.normal(size=(FIRST, CLASSES)).astype(np.float32)
probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
directions = rng.normal(size=(DIMS, DIRECTIONS))
directions /= np.linalg.norm(directions, axis=0)
projected = [(features @ directions).astype(np.float32) for features in (first, second)]


def moments(features):
    """As pytorch-fid's calculate_activation_statistics, of features in double precision."""
    features = features.astype(np.float64)
    return np.mean(features, axis=0), np.cov(features, rowvar=False)


def frechet(one, other):
    return calculate_frechet_distance(*moments(one), *moments(other))


def kernel():
    """The first pictures of both, as many as fit into one subset: the choice of subsets is everybody's own."""
    sets = [torch.from_numpy(features[:SECOND].astype(np.float64)) for features in (first, second)]
    found = kid_features_to_metric(*sets, kid_subsets=2, kid_subset_size=SECOND, verbose=False)
    return found["kernel_inception_distance_mean"]


def precision_recall():
    """The first set is the drawn one, the second the reference."""
    sets = [torch.from_numpy(features.astype(np.float64)) for features in (first, second)]
    found = prc_features_to_metric(*sets, prc_neighborhood=3, prc_batch_size=1000, verbose=False)
    return found["precision"], found["recall"]


def score():
    scores = isc_features_to_metric(torch.from_numpy(logits.astype(np.float64)), splits=10, shuffle=False)
    return scores["inception_score_mean"], scores["inception_score_std"]


def sliced():
    """Of order 1 by SciPy, of order 2 by repeating both sets to one length."""
    columns = [(projected[0][:, k].astype(np.float64), projected[1][:, k].astype(np.float64)) for k in range(DIRECTIONS)]
    length = math.lcm(FIRST, SECOND)
    longer = lambda values: np.repeat(np.sort(values), length // len(values))
    order_1 = np.mean([wasserstein_distance(a, b) for a, b in columns])
    order_2 = math.sqrt(np.mean([np.mean((longer(a) - longer(b)) ** 2) for a, b in columns]))
    return order_1, order_2


dc = compute_prdc(real_features=second.astype(np.float64), fake_features=first.astype(np.float64), nearest_k=5)
np.savez_compressed(
    "distances.npz",
    first=first,
    second=second,
    probabilities=probabilities,
    projected_first=projected[0],
    projected_second=projected[1],
    frechet=np.array(frechet(first, second)),
    frechet_short=np.array(frechet(first[:15], second)),
    kernel=np.array(kernel()),
    precision_recall=np.array(precision_recall()),
    density_coverage=np.array([dc["density"], dc["coverage"]]),
    inception_score=np.array(score()),
    sliced=np.array(sliced()),
)
mu, sigma = moments(second)
np.savez_compressed("statistics.npz", mu=mu, sigma=sigma)  # as pytorch-fid's --save-stats
for name, values in np.load("distances.npz").items():
    print(name, values.dtype, values.shape, values if values.size < 3 else "")
