"""Reference numbers for the Inception-v3 of ddim-features, in golden.json beside this file.

    pip install torch torchvision numpy pillow pytorch-fid==0.3.0 torch-fidelity==0.4.0 clean-fid
    python make.py

The real weights are 95 MB; these are made of a hash, which the test in Rust makes again. Both published programs are
asked, in float64, and have to agree with each other.
"""

import json
import os

import numpy as np
import torch
import torch.nn.functional as F
from cleanfid.resize import build_resizer
from pytorch_fid import inception as pytorch_fid
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

SAMPLES = 200
U64 = (1 << 64) - 1


def mix(x):
    """SplitMix64 (Steele et al. 2014, figure 16) of an array of uint64."""
    with np.errstate(over="ignore"):
        z = x.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def key(name):
    """FNV-1a of the name."""
    hash = 0xCBF29CE484222325
    for byte in name.encode():
        hash = ((hash ^ byte) * 0x100000001B3) & U64
    return np.uint64(hash)


def units(name, count):
    """Numbers from -1 to 1, of 24 bits, so that they are exact in float32."""
    bits = mix(key(name) ^ mix(np.arange(count))) >> np.uint64(40)
    return bits.astype(np.float64) / 2.0**23 - 1.0


def weights(name, shape):
    """He's variance for kernels (uniform numbers have variance 1/3), and a normalisation near 1."""
    u = units(name, int(np.prod(shape)))
    part = name.rsplit(".", 1)[1]
    if len(shape) >= 2:
        gain = 1.0 if name.startswith("fc.") else 2.0
        u = u * np.sqrt(3.0 * gain / np.prod(shape[1:]))
    elif name.startswith("fc."):
        u = u * 0.5
    else:
        centre, spread = {"weight": (1, 0.25), "bias": (0, 0.25), "running_mean": (0, 0.25), "running_var": (1, 0.5)}[part]
        u = centre + spread * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def picture(height, width, channels=3):
    """8-bit levels [height, width, channels]: a ramp with noise on it."""
    count = height * width * channels
    noise = (mix(np.arange(count)) >> np.uint64(57)).astype(np.int64)
    y, x, c = np.unravel_index(np.arange(count), (height, width, channels))
    levels = (160 * x // width + 60 * y // height * (c + 1) // channels) % 129 + noise
    return levels.astype(np.uint8).reshape(height, width, channels)


def sampled(values):
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    at = (mix(np.arange(SAMPLES)) % np.uint64(values.size)).astype(np.int64)
    return {"size": values.size, "rms": float(np.sqrt(np.mean(values**2))), "values": [float(f"{v:.9g}") for v in values[at]]}


def prepared(name, levels):
    """The three resizes, in the arithmetic of their programs."""
    x = torch.from_numpy(levels.transpose(2, 0, 1).copy())[None]
    if name == "torch-fidelity":
        x = interpolate_bilinear_2d_like_tensorflow1x(x.float(), size=(299, 299), align_corners=False)
        return (x - 128) / 128
    if name == "pytorch-fid":
        x = F.interpolate(x.float() / 255, size=(299, 299), mode="bilinear", align_corners=False)
        return 2 * x - 1
    resize = build_resizer("clean")
    x = torch.from_numpy(resize(levels).transpose(2, 0, 1).copy())[None]
    return (x.float() - 128) / 128


LAYERS = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
LAYERS += [f"Mixed_{name}" for name in ["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"]]


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # torch-fidelity downloads its weights when it is made; pytorch-fid's architecture takes the same names.
    holder = {}
    patched = lambda *a, **k: holder["state"]
    import torch_fidelity.feature_extractor_inceptionv3 as module

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
    state = {
        name: value if name.endswith("num_batches_tracked") else weights(name, tuple(value.shape))
        for name, value in architecture.state_dict().items()
    }
    holder["state"] = state
    architecture.load_state_dict(state)
    pytorch_fid.fid_inception_v3 = lambda: architecture
    other = pytorch_fid.InceptionV3([0, 1, 2, 3], resize_input=False, normalize_input=False).double().eval()

    module.load_state_dict_from_url = patched
    names = ["2048", "logits_unbiased", "logits"]
    network = FeatureExtractorInceptionV3("inception", names).double()
    network.feature_extractor_internal_dtype = torch.float64
    seen = {}
    for name in LAYERS:
        getattr(network, name).register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, o))

    levels = picture(32, 32)
    tensor = torch.from_numpy(levels.transpose(2, 0, 1).copy())[None]
    with torch.no_grad():
        pooled, unbiased, logits = network(tensor)
        x = (interpolate_bilinear_2d_like_tensorflow1x(tensor.double(), size=(299, 299), align_corners=False) - 128) / 128
        blocks = other(x)
    assert torch.allclose(blocks[3].flatten(), pooled.double().flatten(), rtol=1e-6), "the two programs disagree"
    spatial = seen["Mixed_6d"][:, :7].permute(0, 2, 3, 1)

    golden = {"layers": {name: sampled(seen[name]) for name in LAYERS}}
    golden["layers"] |= {"pooled": sampled(pooled), "spatial": sampled(spatial)}
    golden["layers"] |= {"logits": sampled(logits), "unbiased": sampled(unbiased)}
    golden["prepared"] = [
        {"name": name, "height": h, "width": w} | sampled(prepared(name, picture(h, w)))
        for name in ["torch-fidelity", "pytorch-fid", "clean-fid"]
        for h, w in [(32, 32), (17, 40), (350, 310)]
    ]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
    with open(path, "w") as file:
        json.dump(golden, file, indent=None, separators=(",", ":"))
        file.write("\n")
    for name, layer in golden["layers"].items():
        print(name, layer["size"], layer["rms"])


main()
