"""What `ddim.load_diffusers` takes for the CIFAR-10 network of DDPM, and what a call takes in Python and in the program.

    python bindings/python/benches/load.py target/release/ddim

The network has random weights, which take as long as others. Python and the program take turns; a call's time is that of a
run of twelve calls less that of a run of two, sixteen pictures each. Needs torch and diffusers.
"""

import statistics
import subprocess
import sys
import tempfile
import time

import diffusers
import torch

import ddim

PROGRAM, TURNS, PICTURES = sys.argv[1], 5, 16
SHORT, LONG = 2, 12


def cifar10():
    """The network of google/ddpm-cifar10-32."""
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=32,
        in_channels=3,
        out_channels=3,
        block_out_channels=(128, 256, 256, 256),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
        act_fn="silu",
    )


def seconds(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def a_call(draw):
    """Seconds a call of a run that is drawn by `draw(steps)`."""
    short = seconds(lambda: draw(SHORT))
    return (seconds(lambda: draw(LONG)) - short) / (LONG - SHORT)


pipeline = diffusers.DDPMPipeline(cifar10(), diffusers.DDPMScheduler())
loads = [seconds(lambda: ddim.load_diffusers(pipeline, device="cpu")) for _ in range(TURNS)]
print(f"load_diffusers: {statistics.median(loads):.2f} s ({min(loads):.2f} to {max(loads):.2f})")

with tempfile.TemporaryDirectory() as folder:
    pipeline.save_pretrained(folder)
    model = ddim.load_diffusers(pipeline, device="cpu")
    words = [PROGRAM, "sample", "-q", "--device", "cpu", "--model", folder, "--num", str(PICTURES), "--force"]

    def in_python(steps):
        model.sample(PICTURES, steps=steps)

    def in_the_program(steps):
        out = f"{folder}/drawn.npz"
        subprocess.run([*words, "--steps", str(steps), "--out", out], check=True, stdout=subprocess.DEVNULL)

    in_python(1)
    in_the_program(1)
    turns = [(a_call(in_python), a_call(in_the_program)) for _ in range(TURNS)]

for name, times in zip(("Python", "the program"), zip(*turns)):
    print(f"a call of {PICTURES} pictures in {name}: {statistics.median(times) * 1e3:.0f} ms")
ratio = statistics.median(python / program for python, program in turns)
print(f"Python to the program, median of {TURNS} turns: {ratio:.3f}")
