"""What pipelines and other people's tests expect of any scheduler of diffusers, for every solver."""

import math

import pytest

import ddim

torch = pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

import ddim.diffusers  # noqa: E402
from ddim.diffusers import PlanScheduler  # noqa: E402

SOLVERS = sorted(ddim.solvers())
TRAININGS = [
    {},
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"prediction_type": "v_prediction"},
    {"prediction_type": "sample"},
    {"num_train_timesteps": 500},
]


def every(names=SOLVERS):
    return pytest.mark.parametrize("solver", names)


def network(x, t):
    """Smooth in both, as diffusers' own tests have it."""
    return x * float(t) / (float(t) + 1)


def picture(n=2):
    values = torch.arange(n * 3 * 8 * 8, dtype=torch.float32).reshape(3, 8, 8, n).permute(3, 0, 1, 2)
    return (values / values.numel()).contiguous()


def run(scheduler, steps=10, x=None):
    """The whole loop of a pipeline."""
    scheduler.set_timesteps(steps)
    x = (picture() if x is None else x) * scheduler.init_noise_sigma
    generator = torch.Generator().manual_seed(0)
    for t in scheduler.timesteps:
        out = network(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(out, t, x, generator=generator).prev_sample
    return x


@every()
def test_a_configuration_goes_round(solver, tmp_path):
    for training in TRAININGS:
        scheduler = PlanScheduler(solver=solver, **training)
        scheduler.save_config(tmp_path)
        again = [
            PlanScheduler.from_config(scheduler.config),
            PlanScheduler.from_config(PlanScheduler.load_config(tmp_path)),
            PlanScheduler.from_pretrained(tmp_path),
        ]
        expected = run(scheduler, 4)
        for other in again:
            kept = {name: value for name, value in other.config.items() if not name.startswith("_")}
            assert kept == {name: value for name, value in scheduler.config.items() if not name.startswith("_")}
            assert (run(other, 4) == expected).all(), training


@every()
def test_every_number_of_steps(solver):
    scheduler = PlanScheduler(solver=solver)
    for steps in (1, 2, 3, 10, 50, 1000):
        try:
            scheduler.set_timesteps(steps)
        except ValueError as error:  # Some begin with several steps, or have a longest run: they say so.
            assert str(steps) in str(error) and steps in (1, 2, 3, 1000), error
            continue
        times = scheduler.timesteps
        assert scheduler.num_inference_steps == steps
        assert len(times) >= steps and times.dim() == 1 and times.device.type == "cpu"
        assert float(times[0]) < scheduler.config.num_train_timesteps and float(times.min()) >= 0
    for wrong in (0, 1001, -1):
        with pytest.raises((ValueError, OverflowError)):
            scheduler.set_timesteps(wrong)


@every()
def test_what_a_step_returns(solver):
    scheduler = PlanScheduler(solver=solver)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        scheduler.set_timesteps(10)
        x = (picture() * scheduler.init_noise_sigma).to(dtype)
        t = scheduler.timesteps[0]
        out = network(scheduler.scale_model_input(x, t), t)
        assert scheduler.scale_model_input(x, t).shape == x.shape
        named = scheduler.step(out, t, x, generator=torch.Generator().manual_seed(0))
        scheduler.set_timesteps(10)
        plain = scheduler.step(out, t, x, generator=torch.Generator().manual_seed(0), return_dict=False)
        assert isinstance(plain, tuple) and (plain[0] == named.prev_sample).all()
        assert named.prev_sample.shape == x.shape and named.prev_sample.dtype == dtype
        assert named.pred_original_sample.shape == x.shape


@every()
def test_a_scheduler_forgets_the_run_before(solver):
    scheduler = PlanScheduler(solver=solver)
    first, other, again = run(scheduler), run(scheduler, 6), run(scheduler)
    assert (first == again).all() and torch.isfinite(first).all()
    assert not (first == other).all()


@every()
def test_all_trainings_run(solver):
    for training in TRAININGS:
        drawn = run(PlanScheduler(solver=solver, **training))
        assert drawn.shape == (2, 3, 8, 8) and torch.isfinite(drawn).all(), training


@every()
def test_noise_is_added_as_the_training_added_it(solver):
    """q(x_t | x_0), as DDPMScheduler adds it: whatever the solver, in the state's own coordinates scaled back."""
    scheduler, reference = PlanScheduler(solver=solver), diffusers.DDPMScheduler()
    scheduler.set_timesteps(10)
    x, noise = picture(), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    t = scheduler.timesteps[3]
    whole = torch.tensor([int(t), int(t)])
    noisy = scheduler.add_noise(x, noise, torch.stack([t, t]))
    assert noisy.shape == x.shape and noisy.dtype == x.dtype
    if float(t) == int(t):
        expected = reference.add_noise(x, noise, whole)
        # A solver over noise levels has the state x_t / sqrt(alpha_bar): its input is x_t again.
        given = scheduler.scale_model_input(noisy, t)
        same = [(candidate - expected).abs().max() < 1e-4 for candidate in (noisy, given)]
        assert any(same)


# These take their first step in several calls, which a run that begins later would have to take as well.
IN_PARTS = ["pndm", "plms"]


@every([solver for solver in SOLVERS if solver not in IN_PARTS])
def test_it_begins_in_the_middle(solver):
    scheduler = PlanScheduler(solver=solver)
    scheduler.set_timesteps(10)
    times = scheduler.timesteps
    begin = len(times) // 2 // 2 * 2  # Between steps of methods that call twice.
    scheduler.set_begin_index(begin)
    x = scheduler.add_noise(picture(), torch.zeros(2, 3, 8, 8), times[begin].repeat(2))
    for t in times[begin:]:
        x = scheduler.step(network(scheduler.scale_model_input(x, t), t), t, x).prev_sample
    assert torch.isfinite(x).all() and scheduler.begin_index == begin


@every(IN_PARTS)
def test_a_first_step_in_several_calls_is_not_left_out(solver):
    scheduler = PlanScheduler(solver=solver)
    scheduler.set_timesteps(10)
    scheduler.set_begin_index(4)
    t = scheduler.timesteps[4]
    with pytest.raises(ValueError, match=solver):
        scheduler.step(picture(), t, picture())


@every(["ddim", "ddpm", "unipc", "dpm++", "euler-a", "sde-dpm++"])
def test_pictures_do_not_depend_on_the_batch(solver):
    def drawn(pictures):
        scheduler = PlanScheduler(solver=solver)
        scheduler.set_timesteps(6)
        scheduler.noise = ddim.Noise(3, pictures)
        x = scheduler.latents((3, 8, 8)) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            x = scheduler.step(network(scheduler.scale_model_input(x, t), t), t, x).prev_sample
        return x

    together = drawn(range(8))
    assert (torch.cat([drawn([0, 1, 2]), drawn([3, 4, 5]), drawn([6, 7])]) == together).all()
    assert (torch.cat([drawn([k]) for k in range(8)]) == together).all()


def test_the_attributes_that_pipelines_read():
    scheduler = PlanScheduler()
    assert scheduler.order == 1 and math.isfinite(float(scheduler.init_noise_sigma))
    assert len(scheduler) == scheduler.config.num_train_timesteps
    assert {"DDIMScheduler", "DDPMScheduler"} <= {cls.__name__ for cls in scheduler.compatibles}
    assert scheduler.timesteps[0] == 999, "before set_timesteps it has those of the training"
