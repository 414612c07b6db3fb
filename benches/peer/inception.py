"""How long PyTorch takes for Inception's features of the pictures of `inception::tests::speed` in ddim-features.

    pip install torch torchvision pytorch-fid
    python benches/peer/inception.py [THREADS] [--fused]

The network is pytorch-fid's, with the weights that it is made with: time does not depend on them. `--fused` folds
normalisations into convolutions and freezes the network, which pytorch-fid does not.
"""

import sys
import time

import numpy as np
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
    return pytorch_fid.InceptionV3([3]).eval()


def mix(x):
    """SplitMix64."""
    with np.errstate(over="ignore"):
        z = x.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def picture(height, width):
    count = height * width * 3
    noise = (mix(np.arange(count)) >> np.uint64(57)).astype(np.int64)
    y, x, c = np.unravel_index(np.arange(count), (height, width, 3))
    levels = (160 * x // width + 60 * y // height * (c + 1) // 3) % 129 + noise
    return torch.from_numpy((levels.reshape(height, width, 3) / 255).astype(np.float32).transpose(2, 0, 1).copy())


def main():
    threads = next((int(word) for word in sys.argv[1:] if word.isdigit()), 2)
    torch.set_num_threads(threads)
    model = network()
    # Pictures of one size go in at once.
    pictures = torch.stack([picture(32, 32) for _ in range(16)])
    with torch.no_grad():
        if "--fused" in sys.argv:
            model = torch.jit.optimize_for_inference(torch.jit.trace(model, pictures, strict=False))
        for _ in range(2):
            model(pictures)
        times = []
        for _ in range(7):
            start = time.perf_counter()
            model(pictures)
            times.append(time.perf_counter() - start)
    times.sort()
    print(f"{threads} threads, PyTorch {torch.__version__}: {times[3]:.3f} s for 16 pictures, {times[0]:.3f} at best")


main()
