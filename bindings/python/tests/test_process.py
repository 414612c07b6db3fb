"""Signals, threads, forks, and what importing costs."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import ddim

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


def test_four_threads_draw_with_one_model(model):
    expected = [model.sample(3, steps=4, seed=seed) for seed in range(4)]
    drawn = [None] * 4

    def draw(seed):
        drawn[seed] = model.sample(3, steps=4, seed=seed)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert drawn == expected


def test_other_threads_run_meanwhile(model):
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.perf_counter()
    model.sample(16, steps=20)
    took = time.perf_counter() - begun
    stop.set()
    thread.join()
    assert len(ticks) > took * 50  # Of up to 1000 a second, on a machine that has other things to do as well.


@posix
@pytest.mark.parametrize("what", ["sample", "progress", "stream", "encode"])
def test_ctrl_c_ends_it(model, what):
    call = time.perf_counter()
    model.network(np.zeros((16, 1, 28, 28), np.float32), 5)
    call = time.perf_counter() - call
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        if what == "sample":
            model.sample(5000, steps=50)
        elif what == "progress":
            model.sample(5000, steps=50, progress=lambda step: None)
        elif what == "stream":
            for _ in model.stream(16, steps=1000):
                pass
        else:
            model.encode(np.zeros((16, 1, 28, 28), np.float32), steps=1000)
    took = time.perf_counter() - sent[0]
    # 50 ms and one call; a machine under load may need a few of either.
    assert took < 4 * (0.05 + call) + 0.2, f"{took:.3f} s after the signal, a call takes {call:.3f} s"


@fork
def test_a_forked_child_draws(model):
    # So many that each operation on all of them is divided among threads, and a solver that scales what the
    # network is given.
    picture = np.zeros((32, 1, 28, 28), np.float32)
    plan = ddim.Plan(model, solver="euler", steps=1)

    def draw():
        drawn = model.sample(32, steps=1, seed=7, solver="euler", batch_size=32)
        changed = model.sample(32, steps=2, init=picture, solver="euler", batch_size=32)
        _, errors = model.reconstruct(picture, steps=1, batch_size=32)
        run = ddim.Run(plan, noise=ddim.Noise(7, range(32)), shape=model.shape)
        x = np.array(run.wants().x)
        run.feed(np.zeros_like(x))
        assert run.done
        return [drawn.array().tobytes(), changed.array().tobytes(), errors.tobytes(), x.tobytes()]

    expected = draw()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if draw() == expected else 3)
        finally:
            os._exit(4)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="this system does not list threads")
def test_only_threads_of_the_pool_compute():
    """A child that computes on any other pool waits for threads that only its parent has."""
    script = (
        "import os, ddim, numpy as np\n"
        "model = ddim.Model.embedded(device='cpu')\n"
        "mask = np.ones((28, 28), np.float32)\n"
        "some = dict(steps=2, batch_size=32)\n"
        "drawn = model.sample(32, solver='euler', **some)\n"
        "model.sample(32, init=drawn, mask=mask, eta=1.0, guidance=2.0, corrector_steps=1, **some)\n"
        "model.interpolate([1, 2, 3, 4], grid=6, **some)\n"
        "model.reconstruct(drawn, **some)\n"
        "list(model.stream(32, init=drawn, steps=2, solver='euler'))\n"
        "plan = ddim.Plan({'_class_name': 'DDIMScheduler', 'thresholding': True}, steps=2)\n"
        "for plan in (plan, ddim.Plan(solver='heun', steps=2)):\n"
        "    run = ddim.Run(plan, noise=ddim.Noise(0, range(32)), shape=(1, 28, 28))\n"
        "    while wanted := run.wants():\n"
        "        run.feed(np.asarray(wanted.x) * 0.5)\n"
        "ddim.precision_recall(np.ones((300, 64)), np.zeros((300, 64)))\n"
        "tasks = [open(f'/proc/self/task/{task}/comm').read() for task in os.listdir('/proc/self/task')]\n"
        "others = [name for name in tasks if not name.startswith('ddim-')]\n"
        "assert len(others) == 1, tasks\n"
    )
    # The threads of numpy's own algebra are none of ours.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@fork
def test_a_stream_of_the_parent_ends_in_the_child(model):
    stream = model.stream(1, steps=3)
    next(stream)
    child = os.fork()
    if child == 0:
        try:
            next(stream)
        except RuntimeError:
            os._exit(0)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [step.index for step in stream] == [1, 2]


def test_bits_do_not_depend_on_the_number_of_threads(model):
    expected = model.sample(5, steps=3, eta=1.0)
    try:
        for threads in (1, 3):
            ddim.set_threads(threads)
            assert model.sample(5, steps=3, eta=1.0) == expected
            # A stream that waits keeps no thread.
            stream = model.stream(2, steps=3)
            next(stream)
            assert model.sample(5, steps=3, eta=1.0) == expected
    finally:
        ddim.set_threads(0)
    with pytest.raises(ValueError):
        ddim.set_threads(10**6)


def test_importing_brings_nothing():
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import ddim\n"
        "brought = set(sys.modules) - before\n"
        "assert not {'numpy', 'torch', 'PIL', 'diffusers', 'typing'} & brought, sorted(brought)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


GIGABYTE = """
import ctypes, os, sys
import numpy as np
import ddim

def peak():
    \"\"\"Bytes of memory at most since the last call.\"\"\"
    lines = open("/proc/self/status").read().split("VmHWM:")[1].split()
    open("/proc/self/clear_refs", "w").write("5")
    return int(lines[0]) << 10

noise = ddim.Noise(7, range(1024))
warm = np.asarray(noise[:1].initial((1, 8, 8))).sum()
peak()
before = peak()
array = noise.initial((1, 512, 512))
made = peak() - before
assert array.nbytes == 1 << 30
# Some MB are threads and the allocator's.
assert made < 1.05 * array.nbytes, f"made in {made >> 20} MiB"
before = peak()
read = np.asarray(array)
places = {read.__array_interface__["data"][0], np.from_dlpack(array).__array_interface__["data"][0]}
if "torch" in sys.argv:
    import torch
    before = max(before, peak())
    places.add(torch.from_dlpack(array).data_ptr())
assert len(places) == 1 and read.shape == (1024, 1, 512, 512)
assert read[::64, :, ::64, ::64].std() > 0.5
grown = peak() - before
assert grown < 32 << 20, f"read with {grown >> 20} MiB more"
taken = ddim.Pictures._again(array, "half_even")
grown = peak() - before
assert grown < 1.05 * array.nbytes, f"taken in with {grown >> 20} MiB more"
print("done")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="the peak of memory is Linux's to say")
@pytest.mark.parametrize("reader", ["numpy", "torch"])
def test_a_gigabyte_is_read_where_it_lies(reader):
    if reader == "torch":
        pytest.importorskip("torch", reason="torch is not installed")
    with open("/proc/meminfo") as info:
        free = next(int(line.split()[1]) >> 20 for line in info if line.startswith("MemAvailable"))
    if free < 4:
        pytest.skip(f"{free} GiB of memory are free, and 4 are needed")
    done = subprocess.run([sys.executable, "-c", GIGABYTE, reader], capture_output=True, text=True, timeout=120)
    assert done.stdout == "done\n", done.stderr
