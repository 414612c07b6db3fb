"""Whatever comes in, an exception comes out, and never the end of the interpreter."""

import random
import subprocess
import sys

import numpy as np
import pytest

import ddim

# Values of every kind, for every argument.
ODD = [
    None,
    True,
    -1,
    0,
    1,
    3,
    2**31,
    2**63,
    2**64,
    10**30,
    0.5,
    -0.0,
    float("nan"),
    float("inf"),
    1e308,
    1j,
    "",
    "x",
    "ddim",
    "heun:order=9",
    "list:1,2",
    "\ud800",
    "a" * 10_000,
    b"x",
    [],
    [1, 2],
    (1, 28, 28),
    ["sneaker"],
    {},
    {"a": 1},
    object(),
    range(3),
    range(10**12),
    np.zeros(3),
    np.zeros((1, 1, 28, 28), np.float32),
    np.zeros((0, 1, 28, 28)),
    np.full((2, 1, 28, 28), np.nan, np.float32),
    np.zeros((28, 28), np.uint8),
    np.zeros((1,) * 9),
    np.array("text"),
    np.zeros((1, 1, 28, 28), np.complex64),
    np.broadcast_to(np.float32(1), (1, 1, 28, 28)),
    print,
    ddim.Noise(1),
    ddim.Plan(steps=2),
    int,
]

ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,
    OSError,
    IndexError,
    AttributeError,
    KeyError,
    UnicodeError,
)


class Liar:
    """An array whose protocol says nonsense that can be found out."""

    def __init__(self, **interface):
        self.__array_interface__ = interface


class Broken:
    @property
    def __array_interface__(self):
        raise ZeroDivisionError

    def __dlpack__(self, **_):
        return "no capsule"


ODD += [
    Liar(),
    Liar(version=3, shape=(1,), typestr="<f4"),
    Liar(version=3, shape=(-1,), typestr="<f4", data=(0, False)),
    Liar(version=3, shape=(1, 1, 28, 28), typestr="<f4", data=(0, False)),
    Broken(),
    Liar(version=3, shape=(2**40, 2**40), typestr="<f4", data=(8, False)),
    Liar(version=3, shape=(1,), typestr="?", data=(8, False)),
]

OPTIONS = [
    "steps",
    "solver",
    "eta",
    "spacing",
    "timesteps",
    "convention",
    "clip",
    "rederive_eps",
    "strength",
    "inpaint",
    "jump_length",
    "resample",
    "plan",
    "seed",
    "first",
    "seeds",
    "noise",
    "classes",
    "labels",
    "guidance",
    "guidance_interval",
    "guidance_rescale",
    "guided_channels",
    "corrector_steps",
    "corrector_snr",
    "reuse",
    "init",
    "mask",
    "progress",
]


def tried(call):
    try:
        return call()
    except ERRORS:
        return None


def test_every_option_with_every_value(model):
    for name in OPTIONS:
        for value in ODD:
            given = {"steps": 1, name: value}
            if name in ("steps",) and isinstance(value, int) and 10 < value < 10**6:
                continue
            tried(lambda: model.sample(1, **given))
            tried(lambda: ddim.Plan(**given))


def test_every_method_with_every_value(model):
    noise, plan = ddim.Noise(0), ddim.Plan(steps=1)
    pictures = model.sample(2, steps=1)
    for value in ODD:
        for call in (
            ddim.Plan,
            ddim.Noise,
            ddim.Noise.of_seeds,
            ddim.Run,
            ddim.set_threads,
            ddim.Model.load,
            ddim.Model.embedded,
            noise.initial,
            noise.__getitem__,
            noise.__eq__,
            noise.__add__,
            pictures.__getitem__,
            pictures.__eq__,
            pictures.png,
            pictures.save,
            model.encode,
            model.decode,
            model.reconstruct,
            model.interpolate,
            model.stream,
            model.to_pictures,
        ):
            tried(lambda: call(value))
        for call in (
            lambda: noise.step(value, (1, 2, 2)),
            lambda: noise.step(0, value),
            lambda: ddim.Noise(0, value),
            lambda: ddim.Run(plan, value),
            lambda: ddim.Run(plan, shape=value),
            lambda: ddim.Run(value, shape=(1, 2, 2)),
            lambda: ddim.Run(plan, shape=(1, 28, 28)).feed(value),
            lambda: model.network(value, 1),
            lambda: model.network(np.zeros((1, 1, 28, 28), np.float32), value),
            lambda: ddim.frechet(value, value),
            lambda: model.network(np.zeros((1, 1, 28, 28), np.float32), 1, classes=value),
            lambda: ddim.kernel_distance(value, np.zeros((30, 3)), subset_size=value),
            lambda: pictures.png(value, value),
            lambda: ddim.precision_recall(np.zeros((30, 3)), value),
            lambda: ddim.Array.frombytes(value, value, value),
            lambda: ddim.Array.frombytes(b"1234", "float32", value),
            lambda: ddim.sample(plan, value, shape=(1, 2, 2)),
            lambda: ddim.sample(plan, lambda x, t: value, shape=(1, 2, 2)),
            lambda: ddim.drive([value], print),
            lambda: ddim.Run._again(plan, noise, value),
            lambda: ddim.Plan._again("{}", value, {}),
            lambda: ddim.Model._again(value, value, value, "cpu", "f32"),
            lambda: ddim.Pictures._again(value, "half_up"),
        ):
            tried(call)
    ddim.set_threads(0)


def test_random_calls(model):
    """A seeded walk through combinations of options."""
    draw = random.Random(20261130)
    small = [value for value in ODD if not (isinstance(value, int) and 10 < value < 10**6)]
    for _ in range(300):
        names = draw.sample(OPTIONS, draw.randint(1, 5))
        given = {"steps": 1, "batch_size": 2, **{name: draw.choice(small) for name in names}}
        tried(lambda: model.sample(draw.choice([0, 1, 2]), **given))


def test_saved_states_that_lie():
    plan, noise = ddim.Plan(solver="unipc", steps=4), ddim.Noise(0)
    run = ddim.Run(plan, noise=noise, shape=(1, 2, 2))
    run.feed(np.zeros((1, 1, 2, 2), np.float32))
    state = run.__getstate__()
    assert ddim.Run._again(plan, noise, state).steps_taken == 1
    for name in state:
        for value in ODD:
            tried(lambda: ddim.Run._again(plan, noise, {**state, name: value}))
    for changed in ({"steps_taken": 5}, {"steps_taken": 3}, {"kept": []}, {"corrections": 1}):
        with pytest.raises(ValueError, match="does not fit the plan"):
            ddim.Run._again(plan, noise, {**state, **changed})


def test_pickles_of_others_end_in_an_exception():
    script = (
        "import pickle, sys, ddim, random\n"
        "run = ddim.Run(ddim.Plan(steps=3), noise=ddim.Noise(1, range(2)), shape=(1, 2, 2))\n"
        "draw, whole = random.Random(1), pickle.dumps(run)\n"
        "for _ in range(2000):\n"
        "    data = bytearray(whole)\n"
        "    for _ in range(draw.randint(1, 3)):\n"
        "        data[draw.randrange(len(data))] = draw.randrange(256)\n"
        "    try:\n"
        "        class Only(pickle.Unpickler):\n"
        "            def find_class(self, module, name):\n"
        "                if module.split('.')[0] != 'ddim' and (module, name) != ('builtins', 'getattr'):\n"
        "                    raise ValueError\n"
        "                return super().find_class(module, name)\n"
        "        import io\n"
        "        Only(io.BytesIO(bytes(data))).load()\n"
        "    except Exception:\n"
        "        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
