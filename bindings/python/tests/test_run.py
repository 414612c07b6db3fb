"""Runs, plans and noise: shared calls, pickles, any network."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import ddim


def half(x, times):
    return x * np.float32(0.5)


def driven(run, network=half):
    while (wanted := run.wants()) is not None:
        run.feed(network(np.asarray(wanted.x), wanted.time))
    return np.array(np.asarray(run.x))


PLANS = {
    "ddim": dict(solver="ddim", eta=1.0, steps=5),
    "unipc": dict(solver="unipc", steps=6),
    "iddim": dict(solver="iddim", steps=4),
    "lms": dict(solver="lms", steps=7),
    "heun": dict(solver="heun", steps=3),
    "plms": dict(solver="plms", steps=6),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_run_goes_on_elsewhere_with_the_same_bits(name, tmp_path):
    plan, noise = ddim.Plan(**PLANS[name]), ddim.Noise(7, [0, 4])
    whole = driven(ddim.Run(plan, noise=noise, shape=(3, 4, 4)))
    run = ddim.Run(plan, noise=noise, shape=(3, 4, 4))
    for _ in range(len(plan)):
        run = pickle.loads(pickle.dumps(run))
        run.feed(half(np.asarray(run.wants().x), 0))
    assert run.done and (np.asarray(run.x) == whole).all()
    # In another process, from the middle on.
    run = ddim.Run(plan, noise=noise, shape=(3, 4, 4))
    for _ in range(len(plan) // 2):
        run.feed(half(np.asarray(run.wants().x), 0))
    (tmp_path / "run.pickle").write_bytes(pickle.dumps(run))
    script = (
        "import pickle, sys, numpy as np\n"
        "run = pickle.load(open(sys.argv[1], 'rb'))\n"
        "while (wanted := run.wants()) is not None:\n"
        "    run.feed(np.asarray(wanted.x) * np.float32(0.5))\n"
        "np.save(sys.argv[2], np.asarray(run.x))\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "run.pickle", tmp_path / "x.npy"], check=True)
    assert (np.load(tmp_path / "x.npy") == whole).all()


def test_corrections_and_known_parts_pickle(tmp_path):
    plan, noise = ddim.Plan(steps=4, eta=1.0), ddim.Noise(3, range(2))
    known = np.full((2, 1, 4, 4), 0.25, np.float32)
    mask = np.zeros((1, 1, 4, 4), np.float32)
    mask[..., :2] = 1
    options = dict(noise=noise, shape=(1, 4, 4), corrector_steps=2, corrector_snr=0.1, known=known, mask=mask)
    whole, run = driven(ddim.Run(plan, **options)), ddim.Run(plan, **options)
    kinds = []
    while (wanted := run.wants()) is not None:
        kinds.append(wanted.correction)
        fed = run.feed(half(np.asarray(wanted.x), 0))
        assert (fed is None) == (wanted.correction is not None)
        run = pickle.loads(pickle.dumps(run))
    assert kinds == [None] + [0, 1, None] * 3
    assert (np.asarray(run.x) == whole).all() and (whole[..., 2:] == 0.25).all()


def test_runs_share_calls_and_have_the_bits_that_they_have_alone(model):
    plans = [
        ddim.Plan(model, solver=solver, steps=steps) for solver, steps in [("ddim", 4), ("unipc", 5), ("heun", 3)]
    ]
    alone = [model.sample(2, plan=plan, seed=k, classes="bag") for k, plan in enumerate(plans)]
    runs = [ddim.Run(plan, noise=ddim.Noise(k, range(2)), shape=model.shape) for k, plan in enumerate(plans)]
    calls = []

    def network(x, times):
        calls.append(len(x))
        return model.network(x, times, classes="bag")

    # An Array has no slices: numpy has.
    ddim.drive(runs, lambda x, times: np.asarray(network(x, times)))
    assert calls == [6, 6, 6, 6, 4]
    for run, pictures in zip(runs, alone):
        assert (np.asarray(run.x) == np.asarray(pictures.raw())).all()
    few = [ddim.Run(plan, noise=ddim.Noise(k, range(2)), shape=model.shape) for k, plan in enumerate(plans)]
    calls.clear()
    ddim.drive(few, lambda x, times: np.asarray(network(x, times)), most=4)
    assert max(calls) == 4
    assert all((np.asarray(a.x) == np.asarray(b.x)).all() for a, b in zip(runs, few))


def test_any_network_of_numpy(model):
    plan, noise = ddim.Plan(model, steps=4), ddim.Noise(7, range(2))
    expected = np.asarray(model.sample(plan=plan, noise=noise, classes="bag").raw())

    def network(x, times):
        assert times.shape == (2,) and times.dtype == np.int64 and not x.flags.writeable
        return model.network(x, times, classes="bag")

    assert (ddim.sample(plan, network, noise=noise, shape=model.shape) == expected).all()
    start = np.asarray(noise.initial(model.shape)) * plan.start_scale
    assert (ddim.sample(plan, network, noise=noise, x=start) == expected).all()

    class Output:
        def __init__(self, sample):
            self.sample = sample

    steps = []
    wrapped = lambda x, times: Output(network(x, times))  # noqa: E731
    ddim.sample(plan, wrapped, noise=noise, shape=model.shape, progress=steps.append)
    assert [step.index for step in steps] == [0, 1, 2, 3]
    assert (np.asarray(steps[-1].x) == expected).all()
    in_a_tuple = ddim.sample(plan, lambda x, t: (network(x, t),), noise=noise, shape=model.shape)
    assert (in_a_tuple == expected).all()
    # What a network gives is read: neither it nor its input is written to.
    kept = []
    ddim.sample(plan, lambda x, t: kept.append((x, x.copy())) or x, noise=noise, shape=model.shape)
    assert all((x == copy).all() for x, copy in kept)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8, np.bool_])
def test_outputs_of_any_type_and_layout(dtype):
    plan = ddim.Plan(steps=1)
    out = (np.random.default_rng(0).normal(size=(2, 3, 4, 5)) * 2).astype(dtype)

    def fed(array):
        run = ddim.Run(plan, noise=ddim.Noise(0, range(2)), shape=(3, 4, 5))
        run.feed(array)
        return np.asarray(run.x)

    expected = fed(out.astype(np.float32))
    assert (fed(out) == expected).all()
    assert (fed(np.asfortranarray(out)) == expected).all()
    assert (fed(np.ascontiguousarray(out[::-1, ..., ::-1])[::-1, ..., ::-1]) == expected).all()


def test_a_learned_variance_takes_twice_the_channels():
    config = {"_class_name": "DDPMScheduler", "variance_type": "learned_range"}
    plan = ddim.Plan(config, steps=3)
    assert plan.rows[0].sigma is None and plan.rows[0].learned[0] == "range" and plan.stochastic
    run = ddim.Run(plan, shape=(2, 4, 4))
    with pytest.raises(ValueError, match="4"):
        run.feed(np.zeros((1, 2, 4, 4), np.float32))
    assert run.feed(np.zeros((1, 4, 4, 4), np.float32)).index == 0


def test_errors_leave_a_run_as_it_was():
    run = ddim.Run(ddim.Plan(steps=2), shape=(1, 4, 4))
    before = np.array(np.asarray(run.x))
    for error, wrong in [
        (ValueError, np.zeros((1, 1, 4, 5), np.float32)),
        (ValueError, np.zeros((2, 1, 4, 4), np.float32)),
        (ValueError, np.zeros((1, 5, 4, 4), np.float32)),
        (ValueError, np.zeros((4, 4), np.float32)),
        (ValueError, np.zeros((1, 1, 4, 4), np.complex64)),
        (ValueError, np.zeros((1, 1, 4, 4), ">f4")),
        (TypeError, "out"),
        (TypeError, None),
    ]:
        with pytest.raises(error):
            run.feed(wrong)
        assert run.steps_taken == 0 and (np.asarray(run.x) == before).all()
    with pytest.raises(RuntimeError, match="not finite"):
        run.feed(np.full((1, 1, 4, 4), np.nan, np.float32))
    run = ddim.Run(ddim.Plan(steps=1), shape=(1, 4, 4))
    run.feed(np.zeros((1, 1, 4, 4), np.float32))
    assert run.done and run.wants() is None
    with pytest.raises(ValueError, match="finished"):
        run.feed(np.zeros((1, 1, 4, 4), np.float32))
    for options in (
        {},
        {"shape": (1, 4, 4), "x": before},
        {"shape": (0, 4, 4)},
        {"x": before, "noise": ddim.Noise(0, range(2))},
        {"x": before, "known": before},
        {"x": before, "known": before, "mask": np.zeros((1, 1, 4, 3), np.float32)},
        {"x": before, "corrector_steps": 5000},
    ):
        with pytest.raises(ValueError):
            ddim.Run(ddim.Plan(steps=2), **options)
    for match, known, mask in [
        ("mask has 255.*divide bytes by 255", before, np.full((1, 1, 4, 4), 255, np.uint8)),
        ("mask has -0.5", before, np.full((1, 1, 4, 4), -0.5, np.float32)),
        ("mask has NaN", before, np.full((1, 1, 4, 4), np.nan, np.float32)),
        ("known has numbers that are not finite", before * np.inf, np.ones((1, 1, 4, 4), np.uint8)),
    ]:
        with pytest.raises(ValueError, match=match):
            ddim.Run(ddim.Plan(steps=2), before, known=known, mask=mask)
    with pytest.raises(MemoryError):
        ddim.Run(ddim.Plan(), noise=ddim.Noise(0, range(1000)), shape=(10_000, 100_000, 100_000))


def test_a_plan_is_a_table(model, command):
    plan = ddim.Plan(model, solver="dpm++", steps=10)
    table = json.loads(plan.to_json())
    assert len(plan) == 10 and [row.c_x for row in plan.rows] == table["c_x"]
    assert plan.timesteps == table["time"] and plan.keeps == table["keeps"] == "x0"
    assert plan == ddim.Plan(model, solver="dpm++", steps=10) != ddim.Plan(model, solver="dpm++", steps=9)
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan and repr(again) == repr(plan)
    tuned = ddim.Plan(model, spacing="tuned", steps=5)
    assert pickle.loads(pickle.dumps(tuned)) == tuned and tuned.timesteps[0] > 900
    for options in (
        {"eta": "hat"},
        {"eta": 0.25},
        {"timesteps": (900, 10)},
        {"strength": 0.5},
        {"convention": "openai"},
        {"clip": True, "rederive_eps": True},
        {"inpaint": "repaint", "jump_length": 2, "resample": 3},
    ):
        plan = ddim.Plan(model, **options)
        assert pickle.loads(pickle.dumps(plan)) == plan, options
    # The exact convention takes the noise from the clipped picture; who says that he does not want it is heard.
    exact = {"convention": "exact", "clip": True, "steps": 4}
    assert ddim.Plan(model, **exact).rederives_eps
    assert not ddim.Plan(model, **exact, rederive_eps=False).rederives_eps
    with pytest.raises(ValueError, match='timesteps and spacing="tuned": give one of them'):
        ddim.Plan(model, spacing="tuned", steps=5, timesteps=[900, 10])


def test_plans_of_other_trainings(tmp_path):
    config = {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True, "beta_schedule": "scaled_linear"}
    plan = ddim.Plan(config, steps=5)
    assert (plan.solver, plan.convention) == ("euler", "diffusers")
    assert ddim.Plan(json.dumps(config), steps=5) == plan
    (tmp_path / "scheduler_config.json").write_text(json.dumps(config))
    assert ddim.Plan(tmp_path, steps=5) == ddim.Plan(tmp_path / "scheduler_config.json", steps=5) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert ddim.Plan(config, solver="unipc", steps=5).solver == "unipc"
    with pytest.raises(ValueError, match="NoScheduler"):
        ddim.Plan({"_class_name": "NoScheduler"})
    with pytest.raises(FileNotFoundError):
        ddim.Plan(tmp_path / "nowhere")
    with pytest.raises(TypeError, match="not for int"):
        ddim.Plan(3)
    with pytest.warns(UserWarning, match="beta_shedule"):
        ddim.Plan({"beta_shedule": "linear"})
    for name, about in ddim.solvers().items():
        assert about and len(ddim.Plan(solver=name, steps=8)) >= 8


def test_noise_belongs_to_a_picture():
    noise = ddim.Noise(7, range(5))
    first = np.asarray(noise.initial((3, 4, 4)))
    assert (np.asarray(noise[3].initial((3, 4, 4))) == first[3:4]).all()
    assert (np.asarray(noise[::2].initial((3, 4, 4))) == first[::2]).all()
    assert (np.asarray(noise.step(2, (3, 4, 4))) != first).all()
    assert noise[:2] + noise[2:] == noise == pickle.loads(pickle.dumps(noise))
    assert ddim.Noise.of_seeds([3, 9]).streams == [(3, 0), (9, 0)] and len(noise) == 5
    assert abs(first.mean()) < 0.2 and abs(first.std() - 1) < 0.2
    for wrong in (
        lambda: ddim.Noise(-1),
        lambda: ddim.Noise(0, [-1]),
        lambda: ddim.Noise(0, 5),
        lambda: ddim.Noise(2**64),
        lambda: noise[5],
        lambda: noise["a"],
        lambda: noise.initial((0, 1, 1)),
        lambda: noise.step(2**40, (1, 1, 1)),
    ):
        with pytest.raises((ValueError, TypeError, OverflowError, IndexError)):
            wrong()


def test_arrays_are_read_where_they_lie():
    noise = ddim.Noise(7, range(2)).initial((1, 2, 2))
    a = np.asarray(noise)
    assert a.__array_interface__["data"][0] == noise.__array_interface__["data"][0] and not a.flags.writeable
    assert noise.tobytes() == a.tobytes() and noise.nbytes == a.nbytes and noise.dtype == a.dtype.name
    assert (np.asarray(pickle.loads(pickle.dumps(noise))) == a).all()
    b = np.from_dlpack(noise)
    assert (b == a).all() and b.__array_interface__["data"][0] == a.__array_interface__["data"][0]
    del noise
    assert abs(b).max() > 0  # The numbers outlive the array.
    with pytest.raises(ValueError):
        ddim.Array.frombytes(b"1234", "float32", (2, 1, 1, 1))


def test_distances():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 8)), rng.normal(size=(300, 8)) + 1.0
    assert abs(ddim.frechet(a, a)) < 1e-6 and 7 < ddim.frechet(a, b) < 10
    distance, error = ddim.kernel_distance(a, b, subset_size=100)
    assert distance > 10 * error > 0
    found = ddim.precision_recall(b, a)
    assert set(found) == {"precision", "recall", "density", "coverage"} and 0 <= found["precision"][0] < 1
    for wrong in (a[:, :7], a[0], a[:0], np.full((400, 8), np.nan)):
        with pytest.raises(ValueError):
            ddim.frechet(a, wrong)


def test_the_eta_of_a_solver_is_its_own():
    noisy = ddim.Plan(solver="ddim:eta=0.5", steps=5)
    assert noisy.to_json() == ddim.Plan(eta=0.5, steps=5).to_json() != ddim.Plan(steps=5).to_json()
    assert ddim.Plan(solver="ddim:eta=hat", steps=5).to_json() == ddim.Plan(eta="hat", steps=5).to_json()
    with pytest.raises(ValueError, match="leave it out with \"ddim:eta=0.5\""):
        ddim.Plan(solver="ddim:eta=0.5", eta=1.0)
