"""PlanScheduler against numbers that diffusers gave, and its contract."""

import inspect
import json
import math

import numpy as np
import pytest

import ddim
from conftest import GOLDENS

torch = pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import ddim.diffusers  # noqa: E402
from ddim.diffusers import PlanScheduler  # noqa: E402

RUNS = sorted((GOLDENS / "schedulers" / "trajectories").glob("*/*.json"))


def network(golden):
    p = golden["pretend_model"]

    def pretend(x, t):
        x, t = x.double(), float(t)
        out = p["a"] * torch.tanh(x) + p["b"] * math.sin(p["w"] * t) * x
        out = (out + p["c"] * math.sqrt(1 - math.exp(-p["k"] * t * t)) * x).float()
        # Where a variance is learned, as many channels again.
        return (
            torch.cat([out, (p["p"] + p["q"] * torch.sin(x)).float()], dim=1) if "variance_formula" in p else out
        )

    return pretend


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_trajectories_of_diffusers(path):
    golden = json.loads(path.read_text())
    arguments, options = golden["step_arguments"], {}
    if arguments.get("eta"):
        options["eta"] = arguments["eta"]
    if "s_churn" in arguments:
        options["solver"] = f"euler:churn={arguments['s_churn']},churn_noise={arguments['s_noise']},churn_at=after"
    if "order" in arguments:
        options["solver"] = f"lms:order={arguments['order']}"
    scheduler = PlanScheduler.from_config(golden["config"], **options)
    if arguments.get("use_clipped_model_output"):
        try:
            scheduler = PlanScheduler.from_config(golden["config"], **options, rederive_eps=True)
            scheduler.set_timesteps(golden["num_inference_steps"], timesteps=golden["custom_timesteps"])
        except ValueError:  # Nothing is clipped, and there is nothing to rederive.
            scheduler = PlanScheduler.from_config(golden["config"], **options)
    if golden["custom_timesteps"]:
        scheduler.set_timesteps(timesteps=golden["custom_timesteps"])
    else:
        scheduler.set_timesteps(golden["num_inference_steps"])
    shape = golden["shape"]
    pretend, states = network(golden), [np.array(x) for x in golden["x"]]
    x = torch.tensor(golden["x_unit"], dtype=torch.float32).reshape(shape) * scheduler.init_noise_sigma
    noise = iter(golden["noise"] or [])
    assert len(scheduler.timesteps) == len(states) - 1
    largest = max(np.abs(state).max() for state in states)
    own = golden["float64_rerun"]["max_abs_difference_over_trajectory"]
    for k, t in enumerate(scheduler.timesteps):
        out = pretend(scheduler.scale_model_input(x, t), t)
        row = scheduler._all_rows()[k]
        z = torch.tensor(next(noise), dtype=torch.float32).reshape(shape) if row.sigma or row.learned else None
        x = scheduler.step(out, t, x, variance_noise=z).prev_sample
        off = np.abs(x.numpy().reshape(-1) - states[k + 1].reshape(-1)).max()
        # What is rounded to float32 there is as far from exact numbers as its rerun in float64 says.
        assert off < 1e-4 * max(1.0, largest) and off < 1e-4 + 4 * own, f"step {k}: {off}"


SOLVERS = sorted(ddim.solvers())


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_gives_what_the_run_gives(solver):
    """The same plan by torch and by the library, for all predictions, limits and conventions."""
    for prediction in ("epsilon", "v_prediction", "sample"):
        for options in ({}, {"clip": True}, {"convention": "exact"}, {"spacing": "karras"}):
            config = {"_class_name": "DDIMScheduler", "prediction_type": prediction, "clip_sample": False}
            scheduler = PlanScheduler.from_config(config, solver=solver, **options)
            scheduler.set_timesteps(8)
            scheduler.noise = noise = ddim.Noise(7, range(2))
            run = ddim.Run(scheduler.plan, noise=noise, shape=(3, 4, 4))
            x = scheduler.latents((3, 4, 4)) * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                given = scheduler.scale_model_input(x, t)
                wanted = run.wants()
                assert wanted.time == pytest.approx(float(t), rel=1e-6)  # It is f32 there.
                out = torch.tanh(given * 0.7)
                x = scheduler.step(out, t, x, return_dict=False)[0]
                run.feed(torch.tanh(torch.from_dlpack(wanted.x) * 0.7))
                expected = torch.from_dlpack(run.x)
                assert (x - expected).abs().max() < 1e-4 * max(1.0, float(expected.abs().max())), (
                    prediction,
                    options,
                )
            assert run.done


@pytest.mark.parametrize("solver", SOLVERS)
def test_own_timesteps_for_every_solver(solver):
    scheduler = PlanScheduler(solver=solver)
    times = [990, 700, 421, 300, 212, 100, 40, 3]
    scheduler.set_timesteps(timesteps=times)
    assert sorted(set(times)) == sorted({int(t) for t in scheduler.timesteps if float(t) in times})
    x = torch.randn(1, 3, 4, 4) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x = scheduler.step(torch.tanh(scheduler.scale_model_input(x, t)), t, x).prev_sample
    assert torch.isfinite(x).all()


def test_noise_belongs_to_pictures():
    scheduler = PlanScheduler(solver="ddpm")

    def drawn(pictures):
        scheduler.set_timesteps(6)
        scheduler.noise = ddim.Noise(7, pictures)
        x = scheduler.latents((3, 8, 8))
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(x), t, x).prev_sample
        return x

    together = drawn(range(8))
    for parts in ([[k] for k in range(8)], [[0, 1, 2], [3, 4, 5], [6, 7]]):
        assert (torch.cat([drawn(part) for part in parts]) == together).all()
    with pytest.raises(ValueError, match="is of 2 pictures"):
        scheduler.set_timesteps(6)
        scheduler.noise = ddim.Noise(7, range(2))
        scheduler.step(torch.zeros(3, 3, 4, 4), scheduler.timesteps[0], torch.zeros(3, 3, 4, 4))


@pytest.mark.parametrize("solver", ["ddim", "unipc", "iddim", "lms", "sde-dpm++"])
def test_a_vector_of_indices_in_one_step(solver):
    """Two pictures of which the second begins three steps later: each has what it has alone."""
    scheduler = PlanScheduler(solver=solver)

    def alone(picture):
        scheduler.set_timesteps(6)
        scheduler.noise = ddim.Noise(7, [picture])
        x = scheduler.latents((3, 4, 4)) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(scheduler.scale_model_input(x, t)), t, x).prev_sample
        return x

    expected = [alone(0), alone(1)]
    scheduler.set_timesteps(6)
    scheduler.noise = ddim.Noise(7, range(2))
    starts = scheduler.latents((3, 4, 4)) * scheduler.init_noise_sigma
    scales = torch.tensor([row.input_scale for row in scheduler.plan.rows]).reshape(-1, 1, 1, 1)
    x, finished = starts.clone(), []
    for k in range(9):
        # The first is done after 6 steps and begins again, the second waits for 3 in its first row.
        places = [k % 6, max(k - 3, 0)]
        if k <= 3:
            x[1] = starts[1]
        out = torch.tanh(x * scales[places].float())
        x = scheduler.step(out, 0, x, index=torch.tensor(places)).prev_sample
        if k == 5:
            finished.append(x[0:1])
    finished.append(x[1:2])
    for found, wanted in zip(finished, expected):
        assert (found - wanted).abs().max() < 1e-5 * max(1.0, float(wanted.abs().max()))
    with pytest.raises(ValueError, match="index has 1 rows"):
        scheduler.step(out, 0, x, index=[0])
    with pytest.raises(ValueError, match="rows are 0 to 5"):
        scheduler.step(out, 0, x, index=[0, 6])


def tiny_unet():
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )


def test_a_pipeline_saves_it_and_loads_it_again(tmp_path):
    pipe = diffusers.DDPMPipeline(tiny_unet(), diffusers.DDPMScheduler(clip_sample=False))
    (tmp_path / "tuned.json").write_text(
        json.dumps({"weights": "", "steps": {"4": {"solver": "unipc", "timesteps": [999, 700, 400, 100]}}})
    )
    tuned = f"tuned:{tmp_path / 'tuned.json'}"
    for options in ({"solver": "unipc"}, {"solver": "dpm++", "spacing": "karras"}, {"spacing": tuned}):
        pipe.scheduler = PlanScheduler.from_config(
            pipe.scheduler.config, **{"solver": None, "spacing": None, **options}
        )

        def drawn(pipe):
            generator = torch.Generator().manual_seed(3)
            return pipe(batch_size=2, num_inference_steps=4, generator=generator, output_type="np").images

        pictures = drawn(pipe)
        pipe.save_pretrained(tmp_path / "pipe")
        again = diffusers.DDPMPipeline.from_pretrained(tmp_path / "pipe")
        assert isinstance(again.scheduler, PlanScheduler)
        assert (drawn(again) == pictures).all()
        assert again.scheduler.plan == pipe.scheduler.plan
    # And back to a scheduler of diffusers.
    back = diffusers.UniPCMultistepScheduler.from_config(pipe.scheduler.config)
    assert back.config.num_train_timesteps == 1000


def test_a_pipeline_that_always_says_eta():
    pipe = diffusers.DDIMPipeline(tiny_unet(), diffusers.DDIMScheduler(clip_sample=False))

    def drawn(**options):
        generator = torch.Generator().manual_seed(3)
        options = {"num_inference_steps": 4, "output_type": "np", **options}
        return pipe(batch_size=2, generator=generator, **options).images

    theirs = drawn()
    pipe.scheduler = PlanScheduler.from_config(pipe.scheduler)
    assert np.abs(drawn() - theirs).max() < 1e-4
    for said, match in [
        ({"eta": 0.5}, "eta=0.5: the plan of this scheduler has eta=None"),
        ({"use_clipped_model_output": True}, "rederive_eps=True"),
    ]:
        with pytest.raises(ValueError, match=match):
            drawn(**said)
    pipe.scheduler = PlanScheduler.from_config(pipe.scheduler, eta=0.5)
    noisy = drawn()
    assert (noisy == drawn(eta=0.5, use_clipped_model_output=False)).all() and np.abs(noisy - theirs).max() > 1e-3
    with pytest.raises(TypeError, match="step\\(\\) has no option 's_churn'"):
        pipe.scheduler.step(torch.zeros(1, 3, 8, 8), 1, torch.zeros(1, 3, 8, 8), s_churn=0.1)
    # By these pipelines know what they can say.
    assert not {"eta", "use_clipped_model_output"} & set(inspect.signature(pipe.scheduler.step).parameters)


def test_a_device_without_numbers_of_64_bits():
    class Narrow(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor) and found.device.type == "meta" and found.dtype == torch.float64:
                raise TypeError("this device has no float64")
            return found

    class There(torch.Tensor):
        """Timesteps on such a device."""

        def double(self):
            raise TypeError("this device has no float64")

        def cpu(self):
            return self.as_subclass(torch.Tensor)

    scheduler = PlanScheduler(solver="euler")
    scheduler.set_timesteps(4)
    nearest = [scheduler.index_for_timestep(t) for t in (0, 400, 999)]
    scheduler.timesteps = scheduler.timesteps.as_subclass(There)
    assert [scheduler.index_for_timestep(t) for t in (0, 400, 999)] == nearest
    x = torch.zeros(2, 3, 4, 4, device="meta")
    t = torch.tensor([0, 500])
    with Narrow():
        assert scheduler.get_velocity(x, x, t).dtype == torch.float32
        assert scheduler.add_noise(x, x, t).dtype == torch.float32
        with pytest.raises(TypeError, match="no float64"):
            t.double().to("meta")


def test_the_class_of_a_configuration_is_meant():
    made = {
        diffusers.DDIMScheduler(): ("ddim", None),
        diffusers.EulerDiscreteScheduler(): ("euler", None),
        diffusers.HeunDiscreteScheduler(): ("heun", 2),
        diffusers.UniPCMultistepScheduler(): ("unipc", None),
        diffusers.PNDMScheduler(skip_prk_steps=True): ("plms", None),
        diffusers.DPMSolverMultistepScheduler(): ("dpm++", None),
    }
    for other, (solver, order) in made.items():
        scheduler = PlanScheduler.from_config(other.config)
        assert dict(PlanScheduler.from_config(other).config) == dict(scheduler.config)
        scheduler.set_timesteps(7)
        other.set_timesteps(7)
        assert scheduler.plan.solver == solver and scheduler.order == (order or 1)
        if solver not in ("heun",):
            assert [float(t) for t in scheduler.timesteps] == [float(t) for t in other.timesteps]
        assert float(scheduler.init_noise_sigma) == pytest.approx(float(other.init_noise_sigma), rel=1e-4)
        assert (scheduler.alphas_cumprod - other.alphas_cumprod).abs().max() < 1e-6
    with pytest.raises(ValueError):
        PlanScheduler.from_config({"_class_name": "FlowMatchEulerDiscreteScheduler"})


@pytest.mark.parametrize("solver", ["ddim", "ddpm", "euler", "heun", "unipc", "dpm++", "lms", "deis"])
def test_image_to_image_begins_in_the_middle(solver):
    scheduler = PlanScheduler(solver=solver, clip=False)
    scheduler.set_timesteps(10)
    picture, noise = torch.full((1, 3, 4, 4), 0.3), torch.randn(1, 3, 4, 4)
    first = 6 * scheduler.order
    scheduler.set_begin_index(first)
    times = scheduler.timesteps[first:]
    x = scheduler.add_noise(picture, noise, times[:1])
    for t in times:
        # The best network for data that is one picture.
        row = scheduler._all_rows()[scheduler.step_index or first]
        given = scheduler.scale_model_input(x, t)
        signal = row.signal * row.input_scale
        level = row.noise * row.input_scale
        x = scheduler.step((given - signal * picture) / level, t, x, variance_noise=noise).prev_sample
    # Some end at the level of the first training step, with noise of 0.01.
    assert (x - picture).abs().max() < 0.05


def test_the_usual_methods_of_a_scheduler():
    scheduler, theirs = PlanScheduler(), diffusers.DDIMScheduler()
    x, noise, t = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4), torch.tensor([0, 500, 999])
    assert (scheduler.add_noise(x, noise, t) - theirs.add_noise(x, noise, t)).abs().max() < 1e-5
    assert (scheduler.get_velocity(x, noise, t) - theirs.get_velocity(x, noise, t)).abs().max() < 1e-5
    assert len(scheduler) == 1000 and scheduler.compatibles
    for wrong in (
        lambda: scheduler.set_timesteps(),
        lambda: scheduler.set_timesteps(5, timesteps=[1]),
        lambda: scheduler.plan,
        lambda: scheduler.set_timesteps(timesteps=[0.5]),
        lambda: scheduler.set_timesteps(5000),
        lambda: scheduler.latents((3, 4, 4)),
        lambda: scheduler.step(x, 0, x),
        lambda: PlanScheduler(solver="dmp"),
        lambda: scheduler.set_timesteps(timesteps=[1, 2]),
    ):
        with pytest.raises(ValueError):
            wrong()
        scheduler = PlanScheduler()
    scheduler.set_timesteps(2)
    half = scheduler.step(x.half(), scheduler.timesteps[0], x.half()).prev_sample
    assert half.dtype == torch.float16
