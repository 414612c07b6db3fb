"""How long Inception's features of 16 pictures take here and in PyTorch, in turn.

    pip install torch torchvision pytorch-fid
    python benches/peer/inception.py [THREADS] [--rounds N]

The network is pytorch-fid's, with the weights that it is made with, which both programs are given: time does not depend on
them. Each round runs `cargo bench --bench inception` and then PyTorch: eager, and traced and frozen with normalisations
folded into convolutions, which pytorch-fid does not. Medians and the best of seven runs.
"""

import os
import subprocess
import tempfile
import sys
import time

import torch
from pytorch_fid import inception as pytorch_fid


def network():
    architecture = pytorch_fid._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    for name, block in [
        ("Mixed_5b", pytorch_fid.FIDInceptionA(192, pool_features=32)),
        ("Mixed_5c", pytorch_fid.FIDInceptionA(256, pool_features=64)),
        ("Mixed_5d", pytorch_fid.FIDInceptionA(288, pool_features=64)),
        ("Mixed_6b", pytorch_fid.FIDInceptionC(768, channels_7x7=128)),
        ("Mixed_6c", pytorch_fid.FIDInceptionC(768, channels_7x7=160)),
        ("Mixed_6d", pytorch_fid.FIDInceptionC(768, channels_7x7=160)),
        ("Mixed_6e", pytorch_fid.FIDInceptionC(768, channels_7x7=192)),
        ("Mixed_7b", pytorch_fid.FIDInceptionE_1(1280)),
        ("Mixed_7c", pytorch_fid.FIDInceptionE_2(2048)),
    ]:
        setattr(architecture, name, block)
    pytorch_fid.fid_inception_v3 = lambda: architecture
    return architecture, pytorch_fid.InceptionV3([3]).eval()


def timed(model, pictures):
    for _ in range(2):
        model(pictures)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        model(pictures)
        times.append(time.perf_counter() - start)
    times.sort()
    return f"{times[3]:.3f} s for {len(pictures)} pictures, {times[0]:.3f} at best"


def main():
    words = sys.argv[1:]
    rounds = int(words[words.index("--rounds") + 1]) if "--rounds" in words else 3
    threads = next((int(word) for word in words[:1] if word.isdigit()), 2)
    torch.set_num_threads(threads)
    architecture, model = network()
    # Of one size, so that they go in at once.
    pictures = torch.rand(16, 3, 32, 32)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "inception.pth")
        torch.save(architecture.state_dict(), weights)
        frozen = torch.jit.optimize_for_inference(torch.jit.trace(model, pictures, strict=False))
        ours = ["cargo", "bench", "--bench", "inception", "--", weights]
        for _ in range(rounds):
            run = subprocess.run(
                ours, env={**os.environ, "RAYON_NUM_THREADS": str(threads)}, capture_output=True, text=True, check=True
            )
            print(f"{threads} threads, ddim: {run.stdout.strip().splitlines()[-1]}", flush=True)
            print(f"{threads} threads, PyTorch {torch.__version__}: {timed(model, pictures)}", flush=True)
            print(f"{threads} threads, PyTorch {torch.__version__}, frozen: {timed(frozen, pictures)}", flush=True)


main()
