"""Makes more_solvers.json: settings of the solvers in log-SNR that the trajectories leave out.

Run with diffusers 0.42.1, torch 2.15.0, numpy 2.4.6 and one thread: python make_more_solvers.py > more_solvers.json
"""

import contextlib, itertools, json, math, sys, warnings

import diffusers, numpy, torch

warnings.filterwarnings("ignore")
diffusers.logging.set_verbosity_error()
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
# The schedulers ask for float32 by name.
torch.float32, numpy.float32 = torch.float64, numpy.float64

SHAPE = [2, 1, 2, 2]
STEPS = 20
MODEL = {"a": 0.7, "b": 0.2, "c": 0.6, "w": 0.02, "k": 4e-6}
# What the tests read of a configuration, defaults included.
READ = """beta_schedule beta_start beta_end num_train_timesteps rescale_betas_zero_snr solver_order prediction_type
thresholding dynamic_thresholding_ratio sample_max_value algorithm_type solver_type lower_order_final euler_at_final
use_karras_sigmas use_exponential_sigmas final_sigmas_type timestep_spacing steps_offset predict_x0
disable_corrector""".split()
random = numpy.random.default_rng(20240311)
# Multiples of 1/1024 are exact in float32 too.
START = (random.standard_normal(SHAPE) * 1024).round() / 1024
NOISE = (random.standard_normal([STEPS] + SHAPE) * 1024).round() / 1024


def model(x, t):
    m, t = MODEL, float(t)
    drift = m["b"] * math.sin(m["w"] * t) + m["c"] * math.sqrt(1 - math.exp(-m["k"] * t * t))
    return m["a"] * torch.tanh(x) + drift * x


@contextlib.contextmanager
def noise(scheduler):
    module = sys.modules[type(scheduler).__module__]
    drawn = iter(NOISE)
    kept = getattr(module, "randn_tensor", None)
    module.randn_tensor = lambda *_, **__: torch.from_numpy(next(drawn))
    yield
    module.randn_tensor = kept


def run(name, steps, **settings):
    scheduler = getattr(diffusers, name)(**settings)
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(START.copy())
    with noise(scheduler):
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t), t, x).prev_sample
    assert torch.isfinite(x).all(), (name, steps, settings)
    config = {key: value for key, value in scheduler.config.items() if key in READ and value is not None}
    return {
        "scheduler": name,
        "config": config,
        "num_inference_steps": steps,
        "timesteps": scheduler.timesteps.tolist(),
        "final_float64": x.flatten().tolist(),
    }


def cases():
    single, multi = "DPMSolverSinglestepScheduler", "DPMSolverMultistepScheduler"
    unipc, deis = "UniPCMultistepScheduler", "DEISMultistepScheduler"
    kinds = [("dpmsolver++", "sigma_min"), ("dpmsolver++", "zero"), ("dpmsolver", "sigma_min")]
    for order, steps, (algorithm, end), variant in itertools.product(
        (1, 2, 3), (9, 10, 11), kinds, ("midpoint", "heun")
    ):
        yield run(single, steps, solver_order=order, algorithm_type=algorithm, final_sigmas_type=end,
                  solver_type=variant)
    yield run(single, 10, lower_order_final=True, final_sigmas_type="sigma_min")
    yield run(single, 12, lower_order_final=True, final_sigmas_type="sigma_min", solver_order=3)
    yield run(single, 10, use_karras_sigmas=True, final_sigmas_type="sigma_min")
    yield run(single, 10, prediction_type="v_prediction")
    yield run(single, 10, prediction_type="sample", solver_order=3)
    yield run(single, 10, thresholding=True, sample_max_value=1.5)
    for algorithm, order, variant in itertools.product(
        ("sde-dpmsolver", "sde-dpmsolver++"), (1, 2), ("midpoint", "heun")
    ):
        yield run(multi, 10, algorithm_type=algorithm, solver_order=order, solver_type=variant,
                  final_sigmas_type="sigma_min")
    yield run(multi, 20, algorithm_type="dpmsolver", solver_order=3, solver_type="heun",
              final_sigmas_type="sigma_min")
    yield run(multi, 10, algorithm_type="dpmsolver", thresholding=True, sample_max_value=1.5,
              final_sigmas_type="sigma_min")
    yield run(multi, 10, lower_order_final=False)
    yield run(multi, 10, rescale_betas_zero_snr=True, timestep_spacing="trailing", prediction_type="v_prediction")
    yield run(multi, 10, beta_schedule="squaredcos_cap_v2", use_karras_sigmas=True)
    yield run(multi, 10, use_karras_sigmas=True, final_sigmas_type="sigma_min", lower_order_final=False)
    for order, variant, predict_x0 in itertools.product((1, 2, 3), ("bh1", "bh2"), (True, False)):
        yield run(unipc, 10, solver_order=order, solver_type=variant, predict_x0=predict_x0,
                  final_sigmas_type="sigma_min", lower_order_final=False)
    yield run(unipc, 10, solver_type="bh1", solver_order=3, final_sigmas_type="sigma_min")
    yield run(unipc, 10, prediction_type="sample")
    yield run(unipc, 10, use_exponential_sigmas=True, final_sigmas_type="sigma_min")
    yield run(unipc, 10, disable_corrector=list(range(10)))
    yield run(unipc, 10, thresholding=True, sample_max_value=1.5)
    yield run(deis, 10, use_karras_sigmas=True)
    yield run(deis, 20, use_karras_sigmas=True, solver_order=3)
    yield run(deis, 10, lower_order_final=False, solver_order=3, prediction_type="sample")
    yield run(deis, 10, thresholding=True, sample_max_value=1.5)


print("{")
print(' "what": "last states of float64 runs, each from the same start, noise and model",')
print(' "made_by": "make_more_solvers.py",')
print(f' "pretend_model": {json.dumps(MODEL)},')
print(f' "shape": {SHAPE},')
print(f' "x_unit": {START.flatten().tolist()},')
print(f' "noise": {NOISE.reshape(STEPS, -1).tolist()},')
print(' "cases": [')
print(",\n".join("  " + json.dumps(case) for case in cases()))
print(" ]\n}")
