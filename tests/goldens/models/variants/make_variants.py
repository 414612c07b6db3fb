"""Makes the files beside it with diffusers 0.42.1 and torch 2.15.0 (CPU, one thread, float32).

Each file is one tiny network with random weights, for blocks and options that the published models leave out:
`config` in the metadata, the weights under `weights.`, an input `x`, `timesteps`, `class_labels` where there are
classes, and `eps`, what the network says. `max_abs_difference_from_float64` says how far `eps` is from a float64 run.
"""

import json
import pathlib

import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file

SMALL = dict(in_channels=2, out_channels=2, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
             attention_head_dim=None, time_embedding_dim=8)

VARIANTS = {
    "resnet_blocks_mish": (dict(
        SMALL, down_block_types=("ResnetDownsampleBlock2D", "ResnetDownsampleBlock2D"),
        up_block_types=("ResnetUpsampleBlock2D", "ResnetUpsampleBlock2D"), act_fn="mish",
        mid_block_scale_factor=1.5), (8, 4), [3.0, 700.0], None),
    "attention_resnet_resampling_scale_shift_gelu": (dict(
        SMALL, down_block_types=("AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D"), downsample_type="resnet", upsample_type="resnet",
        resnet_time_scale_shift="scale_shift", attention_head_dim=3, attn_norm_num_groups=4, act_fn="gelu",
        mid_block_scale_factor=0.7, norm_eps=1e-3), (4, 8), [0.0, 999.0], None),
    "fourier_class_timestep_relu_centred": (dict(
        SMALL, down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        time_embedding_type="fourier", class_embed_type="timestep", act_fn="relu", center_input_sample=True,
        ), (4, 4), [0.5, 1.7], [3.0, 0.5]),
    "learned_class_identity_no_middle": (dict(
        SMALL, down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        time_embedding_type="learned", num_train_timesteps=6, class_embed_type="identity", mid_block_type=None,
        ), (4, 4), [5, 0], "vectors"),
    "attention_everywhere_padding_0_odd_width": (dict(
        SMALL, block_out_channels=(5, 10, 10), norm_num_groups=5, layers_per_block=2,
        down_block_types=("AttnDownBlock2D", "ResnetDownsampleBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "ResnetUpsampleBlock2D", "AttnUpBlock2D"), downsample_padding=0, freq_shift=1,
        flip_sin_to_cos=False, class_embed_type="timestep", attention_head_dim=2, out_channels=4,
        ), (4, 8), [12.0, 400.5], [1.0, 2.0]),
    "one_level_table": (dict(
        SMALL, block_out_channels=(8,), down_block_types=("AttnDownBlock2D",), up_block_types=("AttnUpBlock2D",),
        num_class_embeds=3, add_attention=False, attention_head_dim=8), (3, 5), [10.0, 20.0], [2, 0]),
}


def randomise(model):
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        if name == "time_proj.weight" or name == "class_embedding.weight":
            continue
        if parameter.dim() > 1:
            value = noise / parameter[0].numel() ** 0.5
        elif "norm" in name and name.endswith("weight"):
            value = 1 + 0.25 * noise
        else:
            value = 0.1 * noise
        parameter.data.copy_(value)


def labels_of(kind, config):
    if kind is None:
        return None
    if kind == "vectors":
        return torch.randn(2, config["time_embedding_dim"])
    return torch.tensor(kind)


def main():
    torch.set_num_threads(1)
    for name, (config, size, times, label_kind) in VARIANTS.items():
        torch.manual_seed(len(name))
        model = UNet2DModel(**config).eval()
        randomise(model)
        x = torch.randn(2, config["in_channels"], *size)
        t = torch.tensor(times)
        labels = labels_of(label_kind, config)
        with torch.no_grad():
            eps = model(x, t, labels).sample
            doubled = model.double()
            # Sines and cosines come as float32 whatever they are given.
            doubled.time_proj.register_forward_hook(lambda _module, _inputs, out: out.double())
            wide = lambda v: v.double() if v is not None and v.is_floating_point() else v
            difference = (doubled(x.double(), wide(t), wide(labels)).sample - eps).abs().max().item()
            weights = {f"weights.{k}": v.float().contiguous() for k, v in doubled.state_dict().items()}
        tensors = dict(weights, x=x, timesteps=t, eps=eps.contiguous())
        if labels is not None:
            tensors["class_labels"] = labels
        info = {"made_with": "diffusers 0.42.1, torch 2.15.0", "max_abs_difference_from_float64": difference}
        metadata = {"config": json.dumps(dict(model.config)), "info": json.dumps(info)}
        save_file(tensors, pathlib.Path(__file__).parent / f"{name}.safetensors", metadata)
        print(name, tuple(eps.shape), f"largest {eps.abs().max():.3f}", f"float64 differs by {difference:.2e}")


if __name__ == "__main__":
    main()
