"""Mean and covariance of the features of an embedded classifier, beside its weights.

    pip install torch numpy safetensors
    python statistics.py fashion-mnist train-images-idx3-ubyte.gz 55000

writes fashion-mnist/classifier/train.npz, of the images before index 55000, and held_out.npz, of the others. The
network is written down once more here, so that this also checks the one in Rust: the accuracy that is printed has to
be that of `ddim train --classifier`.
"""

import gzip
import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file

name, images, first_held_out = sys.argv[1], sys.argv[2], int(sys.argv[3])
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), name, "classifier")
config = json.load(open(os.path.join(folder, "config.json")))
weights = load_file(os.path.join(folder, "model.safetensors"))
w = {key: torch.from_numpy(value) for key, value in weights.items()}
groups = config["network"]["norm_groups"]
widths = config["network"]["widths"]


def idx(path):
    data = gzip.open(path).read()
    axes = data[3]
    shape = np.frombuffer(data, ">u4", axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def look(levels):
    """Features and logits of 8-bit pictures."""
    x = torch.from_numpy(levels).float().unsqueeze(1) / 127.5 - 1

    def normal(x, part):
        return F.silu(F.group_norm(x, groups, w[part + ".weight"], w[part + ".bias"], eps=1e-5))

    for k in range(len(widths)):
        p = f"stages.{k}."
        y = normal(F.conv2d(x, w[p + "down.weight"], w[p + "down.bias"], stride=2, padding=1), p + "down_norm")
        x = y + normal(F.conv2d(y, w[p + "same.weight"], w[p + "same.bias"], padding=1), p + "same_norm")
    features = F.linear(x.mean((2, 3)), w["features.weight"], w["features.bias"])
    return features, F.linear(F.silu(features), w["logits.weight"], w["logits.bias"])


def fingerprint(data):
    """That of ddim-checkpoint: FNV-1a, eight bytes at a time."""
    mask = (1 << 64) - 1
    hash = 0xCBF29CE484222325 ^ len(data)
    words = [data[at : at + 8] for at in range(0, len(data) // 8 * 8, 8)] + [data[len(data) // 8 * 8 :]]
    for word in words:
        hash = ((hash ^ int.from_bytes(word.ljust(8, b"\0"), "little")) * 0x100000001B3) & mask
        hash = (hash << 23 | hash >> 41) & mask
    return f"{hash:016x}"


# In the order of the network; linear layers are [out, in], as in the file.
order = [f"stages.{k}.{layer}.{part}" for k in range(len(widths)) for layer in ["down", "down_norm", "same", "same_norm"] for part in ["weight", "bias"]]
order += [f"{layer}.{part}" for layer in ["features", "logits"] for part in ["weight", "bias"]]
assert sorted(order) == sorted(weights)
written = b"".join(key.encode() + weights[key].astype("<f4").tobytes() for key in order)
shape = f"[{', '.join(map(str, widths))}]-{config['network']['features']}"
identity = f"classifier {config['name']} {shape}, weights {fingerprint(written)}, level/127.5 - 1"
print(identity)

torch.set_num_threads(1)
pictures = idx(images)
labels = idx(images.replace("images-idx3", "labels-idx1"))
with torch.no_grad():
    parts = [look(pictures[at : at + 500]) for at in range(0, len(pictures), 500)]
features = torch.cat([part[0] for part in parts]).double().numpy()
named = torch.cat([part[1] for part in parts]).argmax(1).numpy()
for part, where in [("train", slice(0, first_held_out)), ("held_out", slice(first_held_out, None))]:
    these = features[where]
    print(part, len(these), "pictures,", int((named[where] == labels[where]).sum()), "named rightly")
    np.savez(
        os.path.join(folder, part + ".npz"),
        mu=these.mean(0),
        sigma=np.cov(these, rowvar=False),
        count=np.int64(len(these)),
        identity=np.array(identity),
    )
