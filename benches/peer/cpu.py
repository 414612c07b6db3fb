"""One network call here and in PyTorch on the same CPU, in turn: `just bench-cpu`.

Writes models with random weights, checks that both programs say the same about the same pictures, and then lets each
time its calls, one after the other, several rounds. Prints medians and their spread, billions of additions and
multiplications a second (convolutions counted as if done directly) beside those of a matrix product, the ratio and the
peak memory.

    pip install torch==2.15.0 diffusers==0.42.1
    python benches/peer/cpu.py --networks ddpm-cifar10,small,embedded --modes eager,channels_last --rounds 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

NETWORKS = {
    # google/ddpm-cifar10-32: Ho et al. 2020, 35.7 million parameters.
    "ddpm-cifar10": (
        dict(
            sample_size=32, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(128, 256, 256, 256),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6,
        ),
        [1, 4, 16],
    ),
    "small": (
        dict(
            sample_size=32, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            attention_head_dim=16, norm_num_groups=8,
        ),
        [1, 16, 64],
    ),
    "embedded": (None, [1, 16, 64]),
}


def load(name, folder):
    """The model in PyTorch, its weights in `folder`."""
    import torch
    from diffusers import DDIMScheduler, UNet2DModel

    if name == "embedded":
        return UNet2DModel.from_pretrained("assets/fashion-mnist", subfolder="unet").eval()
    unet = os.path.join(folder, "unet")
    if os.path.exists(unet):
        return UNet2DModel.from_pretrained(folder, subfolder="unet").eval()
    torch.manual_seed(0)
    model = UNet2DModel(**NETWORKS[name][0]).eval()
    model.save_pretrained(unet)
    DDIMScheduler(num_train_timesteps=1000).save_pretrained(os.path.join(folder, "scheduler"))
    return model


def pictures(model, batch):
    import torch

    config = model.config
    size = config.sample_size if isinstance(config.sample_size, (list, tuple)) else [config.sample_size] * 2
    shape = (batch, config.in_channels, *size)
    return torch.sin(torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64)).float().reshape(shape)


def labels(model, batch):
    import torch

    return torch.zeros(batch, dtype=torch.long) if model.config.num_class_embeds else None


def worker(name, folder, mode, repeats):
    """Times the calls of PyTorch; one process for each mode, as peak memory belongs to a process."""
    import resource
    import time

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = load(name, folder)
    dtype = torch.bfloat16 if "bf16" in mode else torch.float32
    layout = torch.channels_last if "channels_last" in mode else torch.contiguous_format
    model = model.to(dtype=dtype, memory_format=layout)
    call = torch.compile(model) if "compile" in mode else model
    with torch.inference_mode():
        for batch in NETWORKS[name][1]:
            x = pictures(model, batch).to(dtype=dtype, memory_format=layout)
            run = lambda: call(x, 500, class_labels=labels(model, batch)).sample
            run(), run()
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                run()
                times.append(1e3 * (time.perf_counter() - start))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            print(json.dumps({"batch": batch, "milliseconds": times, "peak_megabytes": peak}), flush=True)


def golden(name, folder):
    """What PyTorch says about four pictures, for the other program to compare with."""
    import torch
    from safetensors.torch import save_file

    model = load(name, folder)
    with torch.inference_mode():
        out = model(pictures(model, 4), 500, class_labels=labels(model, 4)).sample
    if name == "embedded":
        import shutil

        shutil.copytree("assets/fashion-mnist", folder, dirs_exist_ok=True)
    save_file({"output": out.contiguous()}, os.path.join(folder, "output.safetensors"))


def lines(command, **environment):
    run = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, **environment}, check=True, text=True)
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="ddpm-cifar10,small,embedded")
    parser.add_argument("--modes", default="eager,channels_last", help="eager, channels_last, compile, bf16, joined by +")
    parser.add_argument("--ours", default="", help="more arguments for our program, such as --direct or --plain")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(*args.worker, args.repeats)
    threads = {"OMP_NUM_THREADS": args.threads, "RAYON_NUM_THREADS": args.threads}
    for name in args.networks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            golden(name, folder)
            times, peaks, off, ceiling = {}, {}, 0.0, 0.0
            for _ in range(args.rounds):
                batches = ",".join(map(str, NETWORKS[name][1]))
                ours = ["cargo", "bench", "-q", "--bench", "cpu", "--", folder, "--batch", batches]
                ours += ["--repeats", str(args.repeats), *args.ours.split()]
                runs = [("ours", [*ours, "--ceiling"])]
                if any("bf16" in mode for mode in args.modes.split(",")):
                    runs.append(("ours, bf16", [*ours, "--bf16"]))
                for mode in args.modes.split(","):
                    theirs = [sys.executable, __file__, "--repeats", str(args.repeats), "--worker", name, folder, mode]
                    runs.append((mode, theirs))
                for who, command in runs:
                    for row in lines(command, **threads):
                        if "ceiling_gflops" in row:
                            ceiling = max(ceiling, row["ceiling_gflops"])
                            continue
                        times.setdefault((row["batch"], who), []).extend(row["milliseconds"])
                        peaks[who] = max(peaks.get(who, 0), row["peak_megabytes"] or 0)
                        if who == "ours":
                            off = max(off, row.get("difference") or 0)
                            gflop = row["gflops"] * statistics.median(row["milliseconds"]) / 1e3 / row["batch"]
            print(f"{name}: {gflop:.2f} GFLOP a picture; a matrix product here does {ceiling:.0f} GFLOP/s")
            print(f"  largest difference {off:.1e}; peak memory in MB:", {k: round(v) for k, v in peaks.items()})
            for batch in NETWORKS[name][1]:
                ours = times[batch, "ours"]
                for who in [who for b, who in times if b == batch]:
                    these = times[batch, who]
                    middle = statistics.median(these)
                    print(
                        f"  batch {batch:3} {who:24} {middle:9.2f} ms (best {min(these):9.2f}, worst {max(these):9.2f})"
                        f"  {batch * gflop / middle * 1e3:6.0f} GFLOP/s  {middle / statistics.median(ours):5.2f} x ours"
                    )


if __name__ == "__main__":
    main()
