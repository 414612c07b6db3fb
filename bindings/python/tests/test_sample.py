"""Drawing: the bytes of the command line, and what can be asked of pictures."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import ddim
from conftest import GOLDENS


@pytest.mark.parametrize("batch_size", [1, 3, 16])
@pytest.mark.parametrize("solver", ["ddim", "ddpm", "unipc", "dpm++:order=3", "heun"])
def test_the_bytes_are_those_of_the_command_line(model, command, solver, batch_size):
    words = ["sample", "--device", "cpu", "--num", 5, "--steps", 6, "--seed", 7, "--solver", solver]
    folder = command(*words, "--batch-size", 4, "--out", "drawn.npz")
    expected = np.load(folder / "drawn.npz")["arr_0"]
    drawn = model.sample(5, steps=6, seed=7, solver=solver, batch_size=batch_size)
    assert (np.asarray(drawn) == expected).all()


@pytest.mark.parametrize(
    "words, options",
    [
        (["--eta", 0.5, "--seeds", "3,9"], {"eta": 0.5, "seeds": [3, 9]}),
        (["--eta", "hat", "--num", 2], {"eta": "hat", "num": 2}),
        (["--class", "sneaker,bag", "--num", 3], {"classes": ["sneaker", "bag"], "num": 3}),
        (
            [
                "--class",
                "coat",
                "--guidance",
                2,
                "--guidance-interval",
                "0.2,5",
                "--guidance-rescale",
                0.5,
                "--num",
                2,
            ],
            {"classes": "coat", "guidance": 2, "guidance_interval": (0.2, 5), "guidance_rescale": 0.5, "num": 2},
        ),
        (["--spacing", "karras", "--num", 2], {"spacing": "karras", "num": 2}),
        (["--timesteps", "900,500,100", "--num", 2], {"timesteps": [900, 500, 100], "num": 2}),
        (["--convention", "openai", "--num", 2], {"convention": "openai", "num": 2}),
        (["--no-clip", "--num", 2], {"clip": False, "num": 2}),
        (["--clip", "--rederive-eps", "--num", 2], {"clip": True, "rederive_eps": True, "num": 2}),
        (["--reuse", "up_blocks.1:1,3", "--num", 2], {"reuse": "up_blocks.1:1,3", "num": 2}),
        (
            ["--corrector-steps", 1, "--corrector-snr", 0.1, "--num", 2],
            {"corrector_steps": 1, "corrector_snr": 0.1, "num": 2},
        ),
    ],
)
def test_options_mean_what_they_mean_on_the_command_line(model, command, words, options):
    steps = [] if "timesteps" in options else ["--steps", 5]
    folder = command("sample", "--device", "cpu", *steps, *words, "--out", "drawn.npz")
    expected = np.load(folder / "drawn.npz")["arr_0"]
    if "timesteps" not in options:
        options = {**options, "steps": 5}
    assert (np.asarray(model.sample(**options)) == expected).all()


@pytest.mark.parametrize("steps, student", [(1, "1-step"), (2, "2-steps"), (4, "4-steps")])
def test_students_are_those_of_the_command_line(command, steps, student):
    folder = command("sample", "--device", "cpu", "--num", 3, "--steps", steps, "--out", "drawn.npz")
    student = ddim.Model.embedded(f"fashion-mnist-{student}", device="cpu")
    assert (np.asarray(student.sample(3)) == np.load(folder / "drawn.npz")["arr_0"]).all()


def test_tuned_steps_are_those_of_the_command_line(model, command):
    folder = command(
        "sample", "--device", "cpu", "--spacing", "tuned", "--steps", 5, "--num", 2, "--out", "drawn.npz"
    )
    expected = np.load(folder / "drawn.npz")["arr_0"]
    assert (np.asarray(model.sample(2, spacing="tuned", steps=5)) == expected).all()
    with pytest.raises(ValueError, match="has nothing for 7 steps, only for"):
        model.sample(2, spacing="tuned", steps=7)


def test_pictures_to_change_are_those_of_the_command_line(model, command, tmp_path):
    start = model.sample(1, steps=10, seed=3, classes="bag")
    start.save(tmp_path / "bag.png")
    mask = np.zeros((28, 28), np.uint8)
    mask[:14] = 255
    ddim.Pictures._again(np.where(mask > 0, 1.0, -1.0).astype(np.float32)[None, None], "half_even").save(
        tmp_path / "mask.png"
    )
    init = ["--init", tmp_path / "bag.png", "--class", "coat", "--steps", 10, "--num", 2, "--device", "cpu"]

    def drawn(*words):
        return np.load(command("sample", *init, *words, "--out", "drawn.npz") / "drawn.npz")["arr_0"]

    options = {"classes": "coat", "steps": 10, "num": 2}
    for given in (tmp_path / "bag.png", start, np.asarray(start), np.asarray(start)[0, :, :, 0]):
        assert (np.asarray(model.sample(init=given, **options)) == drawn()).all()
    expected = drawn("--mask", tmp_path / "mask.png", "--inpaint", "repaint")
    for given in (tmp_path / "mask.png", mask, (mask > 0).astype(np.float32)):
        repainted = model.sample(init=start, mask=given, inpaint="repaint", **options)
        assert (np.asarray(repainted) == expected).all()
    assert (np.asarray(repainted)[:, 14:] == np.asarray(start)[:, 14:]).all()


def test_a_picture_is_the_same_in_any_call(model):
    all_of_them = model.sample(14, steps=3, seed=7, eta=1.0)
    assert model.sample(2, steps=3, seed=7, eta=1.0, first=11) == all_of_them[11:13]
    noise = ddim.Noise(7, [12, 0, 5])
    some = model.sample(noise=noise, classes=[2, 0, 5], steps=3, eta=1.0)
    assert [some[k] == all_of_them[j] for k, j in enumerate([12, 0, 5])] == [True] * 3
    values = noise.initial(model.shape)
    assert model.sample(noise=values, classes=[2, 0, 5], steps=3) == model.sample(
        noise=noise, classes=[2, 0, 5], steps=3
    )


def test_a_model_of_files(command):
    folder = GOLDENS / "models" / "classes_scale_shift"
    model = ddim.Model.load(folder, device="cpu")
    path = command("sample", "--device", "cpu", "--model", folder, "--num", 3, "--steps", 4, "--out", "drawn.npz")
    assert (np.asarray(model.sample(3, steps=4)) == np.load(path / "drawn.npz")["arr_0"]).all()
    again = pickle.loads(pickle.dumps(model))
    assert again.sample(1, steps=2) == model.sample(1, steps=2)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ddim.Model.load("nowhere")


def test_a_model_of_latents(command):
    folder = GOLDENS / "latent" / "models" / "ldm"
    model = ddim.Model.load(folder, device="cpu")
    c, h, w = model.picture_shape
    assert h > model.shape[1]
    path = command("sample", "--device", "cpu", "--model", folder, "--num", 3, "--steps", 4, "--out", "drawn.npz")
    pictures = model.sample(3, steps=4, batch_size=2)
    assert pictures.shape == (3, h, w, c) and (np.asarray(pictures) == np.load(path / "drawn.npz")["arr_0"]).all()
    latents = model.encode(pictures, steps=4)
    assert latents.shape == (3, *model.shape) and model.decode(latents, steps=4).shape == pictures.shape
    assert model.sample(2, steps=4, init=pictures, strength=0.5).shape == (2, h, w, c)
    with pytest.raises(ValueError, match="latents"):
        model.sample(1, init=pictures, mask=np.zeros((h, w), np.float32))
    # What a run and a stream end in is latents, which the model decodes.
    *_, last = model.stream(3, steps=4)
    run = ddim.Run(ddim.Plan(model, steps=4), noise=ddim.Noise(0, range(3)), shape=model.shape)
    while wanted := run.wants():
        run.feed(model.network(wanted.x, wanted.time))
    assert last.x.shape == run.x.shape == latents.shape
    assert model.to_pictures(last.x) == model.to_pictures(np.asarray(run.x)) == pictures
    with pytest.raises(ValueError, match="drawn has shape"):
        model.to_pictures(pictures.raw())
    with pytest.raises(ValueError, match="not finite"):
        model.to_pictures(np.full((1, *model.shape), np.nan, np.float32))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of memory is that of Linux")
def test_room_is_asked_for_pictures_and_not_for_latents():
    # Room for 1 GB more; the pictures need 2, their latents less than half of one. The last corner is looked at
    # only where there is room.
    script = (
        "import math, resource, sys, ddim\n"
        "model = ddim.Model.load(sys.argv[1], device='cpu')\n"
        "grid = math.isqrt(2**31 // (4 * math.prod(model.picture_shape)))\n"
        "assert 4 * grid**2 * math.prod(model.shape) < 2**29\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 2**30,) * 2)\n"
        "try:\n"
        "    model.interpolate([1, 2, 3, 'nowhere.png'], grid=grid)\n"
        "except MemoryError as error:\n"
        "    assert 'does not fit into memory' in str(error)\n"
        "    sys.exit(0)\n"
        "sys.exit('there was room')\n"
    )
    folder = GOLDENS / "latent" / "models" / "ldm"
    subprocess.run([sys.executable, "-c", script, folder], check=True)


def test_steps_are_shown_and_streamed(model):
    seen = []
    pictures = model.sample(3, steps=4, batch_size=2, progress=seen.append)
    assert [(step.first, step.index, step.n_steps, step.count) for step in seen] == [
        (first, index, 4, 3) for first in (0, 2) for index in range(4)
    ]
    assert (np.asarray(seen[3].x) == np.asarray(pictures.raw())[:2]).all()
    streamed = list(model.stream(3, steps=4))
    assert (np.asarray(streamed[-1].x) == np.asarray(pictures.raw())).all()
    assert [step.index for step in streamed] == [0, 1, 2, 3]
    assert (np.asarray(streamed[1].x0)[:2] == np.asarray(seen[1].x0)).all()

    def broken(step):
        raise ZeroDivisionError("of the callback")

    with pytest.raises(ZeroDivisionError, match="of the callback"):
        model.sample(3, steps=4, progress=broken)
    # A callback may draw itself.
    assert model.sample(1, steps=2, progress=lambda step: model.sample(1, steps=1)) == model.sample(1, steps=2)


def test_there_and_back(model, command, tmp_path):
    pictures = model.sample(3, steps=10, seed=1, classes="bag")
    for k in range(3):
        pictures[k].save(tmp_path / f"{k}.png")
    files = [tmp_path / f"{k}.png" for k in range(3)]
    path = command(
        "encode", *files, "--steps", 15, "--device", "cpu", "--class", "bag", "--out", "noise.safetensors"
    )
    (path / "noise.safetensors").rename(tmp_path / "noise.safetensors")
    path = command("decode", "../noise.safetensors", "--device", "cpu", "--out", "decoded.npz")
    latents = model.encode(pictures, steps=15, classes="bag")
    assert (np.asarray(model.encode(files, steps=15, classes="bag")) == np.asarray(latents)).all()
    again = model.decode(latents, steps=15, classes="bag", batch_size=2)
    assert (np.asarray(again) == np.load(path / "decoded.npz")["arr_0"]).all()
    twice, errors = model.reconstruct(pictures, steps=15, classes="bag")
    assert twice == again and errors.dtype == "float64" and 0 < np.asarray(errors).max() < 0.1
    for name, value in [
        ("strength", 0.5),
        ("clip", True),
        ("rederive_eps", False),
        ("inpaint", "replace"),
        ("jump_length", 2),
        ("resample", 2),
    ]:
        for call, given in [
            (model.encode, pictures),
            (model.decode, latents),
            (model.reconstruct, pictures),
            (model.interpolate, [1, 2]),
        ]:
            with pytest.raises(ValueError, match=f"{name} is for sample"):
                call(given, steps=2, **{name: value})


def test_between_two_and_four(model, command):
    words = ["interpolate", "--device", "cpu", "--steps", 4, "--class", "bag", "--out", "drawn.npz"]
    line = np.load(command(*words, "--seeds", "1,2", "--count", 5) / "drawn.npz")["arr_0"]
    assert (np.asarray(model.interpolate([1, 2], count=5, steps=4, classes="bag")) == line).all()
    grid = np.load(command(*words, "--corners", "1,2,3,4", "--grid", 3) / "drawn.npz")["arr_0"]
    assert (np.asarray(model.interpolate([1, 2, 3, 4], grid=3, steps=4, classes="bag")) == grid).all()
    ends = model.sample(2, steps=4, classes="bag")
    between = model.interpolate([ends[0], 2], count=3, steps=4, classes="bag")
    assert np.abs(np.asarray(between.raw())[0] - np.asarray(ends[0].raw())[0]).mean() < 0.2


def test_pictures_are_seen(model, tmp_path):
    pictures = model.sample(3, steps=2)
    assert pictures._repr_png_().startswith(b"\x89PNG") and pictures[:0]._repr_png_() is None
    pictures.save(tmp_path / "three.png")
    assert (tmp_path / "three.png").read_bytes() == pictures.png()
    with pytest.raises(ValueError, match="end the name in .png"):
        pictures.save(tmp_path / "three.jpg")
    with pytest.raises(IndexError):
        pictures[3]
    assert pictures[-1] == pictures[2] and pictures[::2] == pictures[[0, 2][0] : 3 : 2]
    assert [len(one) for one in pictures] == [1, 1, 1]
    PIL = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    assert isinstance(pictures.grid(), PIL.Image)
    assert np.asarray(pictures[0].grid(scale=1)).shape == (28, 28)
    assert model.encode(pictures[0].grid(scale=1), steps=2).shape == (1, 1, 28, 28)


def test_what_is_wrong_is_said(model):
    for error, match, options in [
        (TypeError, 'sample\\(\\) has no option "step".*steps', {"step": 3}),
        (ValueError, "there is no solver", {"solver": "dmp"}),
        (ValueError, "adaptive", {"solver": "adaptive"}),
        (ValueError, "steps = -1", {"steps": -1}),
        (TypeError, "steps = '3'", {"steps": "3"}),
        (ValueError, "eta", {"eta": 1.5}),
        (ValueError, "eta belongs to", {"eta": 0.5, "solver": "unipc"}),
        (ValueError, "no such class", {"classes": ["shoe box"]}),
        (ValueError, "class 11", {"classes": 11}),
        (ValueError, "give one of them", {"classes": 1, "labels": [0.5]}),
        (ValueError, "batch size 0", {"batch_size": 0}),
        (ValueError, "strength", {"strength": 0.5}),
        (ValueError, "mask", {"mask": np.zeros((28, 28), np.float32)}),
        (ValueError, "inpaint is for", {"inpaint": "repaint"}),
        (ValueError, "change nothing without guidance", {"guidance_rescale": 0.5}),
        (ValueError, "corrector_snr is for", {"corrector_snr": 0.1}),
        (ValueError, "does not say which calls", {"reuse": "up_blocks.1"}),
        (ValueError, "has nothing called", {"reuse": "up:2"}),
        (ValueError, "looks back", {"corrector_steps": 1, "solver": "unipc"}),
        (ValueError, "leave out seed", {"seeds": [1], "seed": 2}),
        (ValueError, "leave num out", {"seeds": [1], "num": 2}),
        (ValueError, "noise has shape", {"noise": np.zeros((1, 3, 28, 28), np.float32)}),
        (TypeError, "plan is a ddim.Plan", {"plan": 3}),
        (ValueError, "leave out one of them", {"plan": ddim.Plan(), "steps": 3}),
        (MemoryError, "memory", {"num": 9_000_000, "batch_size": 9_000_000}),
        (FileNotFoundError, "nowhere", {"init": "nowhere.png"}),
        (TypeError, "init is", {"init": object()}),
    ]:
        with pytest.raises(error, match=match):
            model.sample(**options)
    with pytest.raises(ValueError, match="there is no device"):
        ddim.Model.embedded(device="gpu:x")
    with pytest.raises(ValueError, match="fashion-mnist"):
        ddim.Model.embedded("mnist")
