"""One network call, or a run of eta 0, here and in PyTorch on the same machine, in turn.

Writes models with random weights and lets both programs time their calls, one after the other, several rounds. Prints how
far apart their outputs for the same pictures are, medians and their spread, billions of additions and
multiplications a second (convolutions counted as if done directly) beside those of a matrix product, the ratio and the
peak memory.

On the CPU (`just bench-cpu`), with PyTorch from PyPI:

    pip install torch==2.15.0 diffusers==0.42.1
    python benches/peer/call.py --networks ddpm-cifar10,small,embedded --modes eager,channels_last --rounds 3

On a GPU (`just bench-gpu`), with the build of PyTorch that suits it:

    python benches/peer/call.py --device cuda --ours-device vulkan --networks ddpm-cifar10,embedded \\
        --modes eager,eager+tf32,compile+tf32,bf16,compile+bf16 --steps 0,20
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

NETWORKS = {
    # google/ddpm-cifar10-32: Ho et al. 2020, 35.7 million parameters.
    "ddpm-cifar10": dict(
        sample_size=32, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6,
    ),
    "small": dict(
        sample_size=32, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=16, norm_num_groups=8,
    ),
    "embedded": None,
}
CPU_BATCHES = {"ddpm-cifar10": "1,4,16", "small": "1,16,64", "embedded": "1,16,64"}
GPU_BATCHES = "1,16,64,256"
EMBEDDED = "assets/fashion-mnist"


def load(name, folder):
    """The model in PyTorch, its weights in `folder`."""
    import torch
    from diffusers import DDIMScheduler, UNet2DModel

    if name == "embedded":
        return UNet2DModel.from_pretrained(EMBEDDED, subfolder="unet").eval()
    unet = os.path.join(folder, "unet")
    if os.path.exists(unet):
        return UNet2DModel.from_pretrained(folder, subfolder="unet").eval()
    torch.manual_seed(0)
    model = UNet2DModel(**NETWORKS[name]).eval()
    model.save_pretrained(unet)
    DDIMScheduler(num_train_timesteps=1000).save_pretrained(os.path.join(folder, "scheduler"))
    return model


def pictures(model, batch):
    """Pictures that any program can make: x[k] = sin(k) of the running number k."""
    import torch

    config = model.config
    size = config.sample_size if isinstance(config.sample_size, (list, tuple)) else [config.sample_size] * 2
    shape = (batch, config.in_channels, *size)
    return torch.sin(torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64)).float().reshape(shape)


def labels(model, batch, device="cpu"):
    import torch

    return torch.zeros(batch, dtype=torch.long, device=device) if model.config.num_class_embeds else None


def runner(call, model, scheduler, steps, device):
    """A call at one time, or a run of eta 0, as a function of pictures."""
    if not steps:
        return lambda x: call(x, 500, class_labels=labels(model, len(x), device)).sample

    def run(x):
        classes = labels(model, len(x), device)
        scheduler.set_timesteps(steps, device=device)
        for t in scheduler.timesteps:
            x = scheduler.step(call(x, t, class_labels=classes).sample, t, x, eta=0.0).prev_sample
        return x

    return run


def worker(name, folder, mode, args):
    """Times PyTorch; one process for each mode, as peak memory belongs to a process."""
    import resource

    import torch
    from diffusers import DDIMScheduler

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = "tf32" in mode
    cuda = args.device == "cuda"
    wait = torch.cuda.synchronize if cuda else lambda: None
    model = load(name, folder)
    scheduler = DDIMScheduler.from_pretrained(EMBEDDED if name == "embedded" else folder, subfolder="scheduler")
    dtype = torch.bfloat16 if "bf16" in mode else torch.float16 if "f16" in mode else torch.float32
    layout = torch.channels_last if "channels_last" in mode else torch.contiguous_format
    model = model.to(device=args.device, dtype=dtype, memory_format=layout)
    called = torch.compile(model) if "compile" in mode else model

    def milliseconds(run, x):
        wait()
        start = time.perf_counter()
        run(x)
        wait()
        return 1e3 * (time.perf_counter() - start)

    with torch.inference_mode():
        for batch in map(int, batches(name, args).split(",")):
            x = pictures(model, batch).to(device=args.device, dtype=dtype, memory_format=layout)
            for steps in counts(args):
                run = runner(called, model, scheduler, steps, args.device)
                first, _ = milliseconds(run, x), milliseconds(run, x)
                times = [milliseconds(run, x) for _ in range(args.repeats)]
                # Of the host; what a GPU holds is another thing.
                peak = None if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024e-3
                row = {"batch": batch, "steps": steps, "milliseconds": times, "first_milliseconds": first}
                row |= {"peak_megabytes": peak, "device_megabytes": allocated(cuda)}
                print(json.dumps(row), flush=True)


def allocated(cuda):
    """The most that PyTorch's own allocator has held on the GPU."""
    import torch

    return torch.cuda.max_memory_reserved() / 1e6 if cuda else None


def golden(name, folder):
    """What PyTorch says on the CPU about four pictures, for the other program to compare with."""
    import torch
    from safetensors.torch import save_file

    model = load(name, folder)
    with torch.inference_mode():
        out = model(pictures(model, 4), 500, class_labels=labels(model, 4)).sample
    if name == "embedded":
        shutil.copytree(EMBEDDED, folder, dirs_exist_ok=True)
    save_file({"output": out.contiguous()}, os.path.join(folder, "output.safetensors"))


def counts(args):
    """What is timed: a call for 0, a run of so many steps otherwise."""
    return [int(count) for count in args.steps.split(",")]


def batches(name, args):
    return args.batches or (CPU_BATCHES[name] if args.device == "cpu" else GPU_BATCHES)


def lines(command, **environment):
    run = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, **environment}, check=True, text=True)
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def programs(name, folder, args):
    """Who is timed, and how each is started."""
    ours = ["cargo", "bench", "-q", *args.features.split(), "--bench", "call", "--", folder]
    ours += ["--batch", batches(name, args), "--repeats", str(args.repeats), "--device", args.ours_device]
    ours += ["--steps", args.steps]
    yield "ours", [*ours, "--ceiling", *args.ours.split()]
    modes = args.modes.split(",")
    for precision in ("bf16", "f16"):
        if any(precision in mode.split("+") for mode in modes):
            yield f"ours, {precision}", [*ours, "--precision", precision, *args.ours.split()]
    for mode in modes:
        theirs = [sys.executable, __file__, "--repeats", str(args.repeats), "--device", args.device]
        theirs += ["--steps", args.steps, "--batches", batches(name, args)]
        yield mode, [*theirs, "--worker", name, folder, mode]


def compare(name, folder, args):
    threads = {"OMP_NUM_THREADS": args.threads, "RAYON_NUM_THREADS": args.threads}
    golden(name, folder)
    times, firsts, peaks, gflop, differences, ceiling = {}, {}, {}, {}, [], 0.0
    for _ in range(args.rounds):
        for who, command in programs(name, folder, args):
            for row in lines(command, **threads):
                if "ceiling_gflops" in row:
                    ceiling = max(ceiling, row["ceiling_gflops"])
                    continue
                key = (row["steps"], row["batch"], who)
                times.setdefault(key, []).extend(row["milliseconds"])
                firsts.setdefault(key, []).append(row["first_milliseconds"])
                if args.device == "cpu":
                    peaks[who] = max(peaks.get(who, 0), row["peak_megabytes"])
                if who == "ours":
                    differences.append(row["difference"])
                    gflop[row["steps"]] = row["gflop_a_picture"]
    print(f"{name}: a matrix product here does {ceiling:.0f} GFLOP/s")
    compared = [difference for difference in differences if difference is not None]
    off = f"{max(compared):.1e}" if compared else "not compared"
    print(f"  largest difference: {off}; peak memory in MB:", {k: round(v) for k, v in peaks.items()} or "not measured")
    for steps in counts(args):
        print(f"  {f'a run of {steps} steps' if steps else 'a call'}: {gflop[steps]:.2f} GFLOP a picture")
        table(steps, gflop[steps], times, firsts)


def table(steps, gflop, times, firsts):
    for batch in sorted({batch for count, batch, _ in times if count == steps}):
        ours = statistics.median(times[steps, batch, "ours"])
        for who in [who for count, b, who in times if (count, b) == (steps, batch)]:
            these, middle = times[steps, batch, who], statistics.median(times[steps, batch, who])
            print(
                f"  batch {batch:3} {who:22} {middle:9.2f} ms (best {min(these):9.2f}, worst {max(these):9.2f})"
                f"  {batch * gflop / middle * 1e3:7.0f} GFLOP/s  {middle / ours:5.2f} x ours"
                f"  first {statistics.median(firsts[steps, batch, who]):9.1f} ms",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="ddpm-cifar10,small,embedded")
    parser.add_argument("--modes", default="eager,channels_last", help="eager, channels_last, compile, tf32, bf16, f16, joined by +")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="where PyTorch computes")
    parser.add_argument("--ours-device", default="cpu", help="where ours does: cpu, vulkan, metal, dx12")
    parser.add_argument("--features", default="", help="how ours is built, such as '--features spirv'")
    parser.add_argument("--ours", default="", help="more arguments for our program, such as --plain")
    parser.add_argument("--steps", default="0", help="0 times calls, 20 runs of eta 0 with so many steps; 0,20 does both")
    parser.add_argument("--batches", default="", help="batch sizes, such as 1,16")
    parser.add_argument("--threads", default=str(os.cpu_count()), help="threads of each program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(*args.worker, args)
    for name in args.networks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            compare(name, folder, args)


if __name__ == "__main__":
    main()
