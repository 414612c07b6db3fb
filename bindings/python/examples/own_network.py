"""A network of your own, in numpy: runs of different length and method share its calls, and one goes on from a
pickle."""

import pickle

import numpy as np

import ddim

# What the network was trained with: here the linear schedule of the DDPM paper, and it predicts the noise.
plans = [ddim.Plan(solver="ddim", steps=20, clip=True), ddim.Plan(solver="unipc", steps=8)]
alpha_bars = np.asarray(plans[0].alpha_bars)


def network(x, times):
    """The best prediction of the noise where all pictures are a grey level of 0.3: x is [n, c, h, w], times are
    [n]."""
    a = np.interp(times, np.arange(len(alpha_bars)), alpha_bars).reshape(-1, 1, 1, 1)
    return (x - 0.3 * np.sqrt(a)) / np.sqrt(1 - a)


# Each run has noise of its own, which belongs to its pictures, whoever else is in a call.
runs = [ddim.Run(plan, noise=ddim.Noise(seed=7, pictures=[k]), shape=(1, 16, 16)) for k, plan in enumerate(plans)]

# A few steps by hand, and then the run waits in a file, or goes to another machine.
for _ in range(3):
    wanted = runs[0].wants()
    runs[0].feed(network(np.asarray(wanted.x), np.array([wanted.time])))
runs[0] = pickle.loads(pickle.dumps(runs[0]))

# The rest together: a call serves both runs while both want one.
calls = []
ddim.drive(runs, lambda x, times: calls.append(len(x)) or network(x, times))

for run in runs:
    picture = np.asarray(run.x)
    print(f"{run.plan.solver}: {len(run.plan)} steps, grey level {picture.mean():.4f} +- {picture.std():.4f}")
    assert abs(picture - 0.3).max() < 1e-3
print(f"{len(calls)} calls for {sum(calls)} predictions")
assert len(calls) == 17 and sum(calls) == 25
