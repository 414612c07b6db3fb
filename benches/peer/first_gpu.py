"""All that docs/results.md wants to know of a GPU, in one unattended run of at most ten minutes.

Needs Python with PyTorch and diffusers, and programs that were built beforehand (`just gpu-programs`): a folder for each
compiler of shaders, with `ddim` and the benchmark `call` in it.

    python3 benches/peer/first_gpu.py --programs wgsl=dist/wgsl --programs spirv=dist/spirv --out gpu

Parts come in order of their value; each has a limit of its own and none starts when the minutes are over. `gpu.json` is
written anew after every part, `gpu.md` has the tables. A part that fails or is cut off is kept with what it said: that
is a result too. Rehearsed on a software device with `--ours-device vulkan --device cpu --batches 1`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import call as peer

PRECISIONS = ["f32", "f16", "bf16"]
MODES = ["eager", "eager+tf32", "bf16", "compile+tf32", "compile+bf16"]


class Report:
    """What was found, on disk after every part."""

    def __init__(self, out, minutes):
        self.out, self.parts, self.started, self.limit = out, [], time.monotonic(), 60 * minutes

    def left(self):
        return self.limit - (time.monotonic() - self.started)

    def run(self, name, command, limit, **environment):
        """Runs a part, if there is time, and keeps its lines of JSON even if it is cut off."""
        limit = min(limit, self.left())
        if limit < 5:
            return self.add({"part": name, "skipped": "no time was left"})
        started, memory = time.monotonic(), Memory()
        with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
            try:
                code = subprocess.run(
                    command, stdout=said, stderr=errors, timeout=limit, env={**os.environ, **environment}
                ).returncode
            except subprocess.TimeoutExpired:
                code = f"cut off after {limit:.0f} s"
            except OSError as error:
                code = str(error)
            said.seek(0), errors.seek(0)
            text, complaint = said.read(), errors.read()[-2000:]
        part = {"part": name, "command": command, "code": code, "seconds": time.monotonic() - started}
        part["device_megabytes"] = memory.peak()
        part["rows"] = rows(text)
        if code != 0:
            part["said"] = complaint
        return self.add(part)

    def add(self, part):
        self.parts.append(part)
        with open(self.out + ".json.tmp", "w") as file:
            json.dump({"system": system(), "parts": self.parts}, file, indent=1)
        os.replace(self.out + ".json.tmp", self.out + ".json")
        with open(self.out + ".md.tmp", "w") as file:
            file.write(tables(self.parts))
        os.replace(self.out + ".md.tmp", self.out + ".md")
        print(f"{part['part']}: {part.get('skipped') or part['code']} ({self.left():.0f} s left)", flush=True)
        return part


class Memory:
    """The most memory of the GPU that was in use, asked five times a second, less what was in use before."""

    def __init__(self):
        self.before = self.most = device_memory()
        self.over = threading.Event()
        if self.before is not None:
            threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while not self.over.wait(0.2):
            self.most = max(self.most, device_memory() or 0)

    def peak(self):
        self.over.set()
        return None if self.before is None else self.most - self.before


def device_memory():
    said = nvidia("memory.used")
    return float(said.splitlines()[0]) if said else None


def nvidia(what):
    """What nvidia-smi says, or nothing on other machines."""
    try:
        command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def system():
    import torch

    return {
        "gpu": nvidia("name,driver_version,memory.total") or "no nvidia-smi",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
    }


def rows(text):
    """The JSON of a part: one value, or one a line."""
    try:
        return [json.loads(text)]
    except ValueError:
        lines = (line for line in text.splitlines() if line.startswith("{"))
        return [row for row in map(parsed, lines) if row is not None]


def parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return None  # the line on which the part was cut off


def doctor(report, args, compiler, precision):
    command = [f"{args.programs[compiler]}/ddim", "doctor", "--device", args.ours_device, "--json"]
    report.run(f"doctor, {compiler}, {precision}", [*command, "--precision", precision], args.doctor_limit)


def ours(report, args, compiler, precision, name, folder, steps):
    command = [f"{args.programs[compiler]}/call", folder, "--device", args.ours_device, "--precision", precision]
    command += ["--batch", args.batches, "--repeats", str(args.repeats)]
    command += ["--steps", str(steps)] if steps else ["--ceiling"]
    report.run(f"{timed(name, steps)}, ddim {compiler} {precision}", command, args.call_limit)


def theirs(report, args, mode, name, folder, steps):
    command = [sys.executable, peer.__file__, "--device", args.device, "--batches", args.batches]
    command += ["--repeats", str(args.repeats), "--steps", str(steps), "--worker", name, folder, mode]
    threads = str(os.cpu_count())
    report.run(f"{timed(name, steps)}, PyTorch {mode}", command, args.call_limit, OMP_NUM_THREADS=threads)


def timed(name, steps):
    return f"{name}, {f'{steps} steps' if steps else 'a call'}"


def cold_start(report, args, compiler):
    """Start to PNG with nothing kept, not even by the driver, and then with all that the first run has left."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {"XDG_CACHE_HOME": folder, "__GL_SHADER_DISK_CACHE_PATH": folder, "MESA_SHADER_CACHE_DIR": folder}
        command = [f"{args.programs[compiler]}/ddim", "sample", "--device", args.ours_device, "--steps", "20"]
        command += ["--num", "1", "--batch-size", "1", "--force", "--out", os.path.join(folder, "one.png")]
        for state in ("nothing kept", "everything kept"):
            report.run(f"start to PNG, {compiler}, {state}", command, args.call_limit, **kept)


def tables(parts):
    """Every part in a row: what it took, and the medians of what it timed."""
    lines = ["| part | ended | seconds | GPU memory, MB | batch: median ms (first) |", "|---|---|---|---|---|"]
    for part in parts:
        if "skipped" in part:
            lines.append(f"| {part['part']} | skipped | | | |")
            continue
        timed_rows = [row for row in part["rows"] if "milliseconds" in row]
        cells = ", ".join(
            f"{row['batch']}: {sorted(row['milliseconds'])[len(row['milliseconds']) // 2]:.2f}"
            f" ({row['first_milliseconds']:.0f})"
            for row in timed_rows
        )
        verdicts = [row["passed"] for row in part["rows"] if "passed" in row]
        ended = {True: "passed", False: "OFF"}[verdicts[0]] if verdicts else part["code"]
        memory = "" if part["device_megabytes"] is None else f"{part['device_megabytes']:.0f}"
        lines.append(f"| {part['part']} | {ended} | {part['seconds']:.1f} | {memory} | {cells} |")
    return "\n".join(lines) + "\n"


def measure(report, args, folders):
    first, *others = args.programs
    report.run("devices", [f"{args.programs[first]}/ddim", "devices", "--json"], 60)
    for precision in PRECISIONS:
        doctor(report, args, first, precision)
    for name, folder in folders.items():
        ours(report, args, first, "f32", name, folder, 0)
        theirs(report, args, "eager", name, folder, 0)
    cold_start(report, args, first)
    for compiler in others:
        doctor(report, args, compiler, "f32")
        for name, folder in folders.items():
            ours(report, args, compiler, "f32", name, folder, 0)
    for steps in (20, 0):
        for name, folder in folders.items():
            for precision in PRECISIONS if steps == 0 else ["f32", "bf16"]:
                if (precision, steps) != ("f32", 0):
                    ours(report, args, first, precision, name, folder, steps)
            for mode in MODES if steps == 0 else ["eager", "bf16"]:
                if (mode, steps) != ("eager", 0):
                    theirs(report, args, mode, name, folder, steps)
    for compiler in others:
        cold_start(report, args, compiler)
        for precision in PRECISIONS[1:]:
            doctor(report, args, compiler, precision)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", action="append", required=True, metavar="COMPILER=FOLDER", help="the first is measured most")
    parser.add_argument("--out", default="gpu", help="without its ending")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--networks", default="ddpm-cifar10,embedded")
    parser.add_argument("--batches", default="1,16,64,256")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"], help="where PyTorch computes")
    parser.add_argument("--ours-device", default="vulkan")
    parser.add_argument("--doctor-limit", type=float, default=90, help="seconds of a part")
    parser.add_argument("--call-limit", type=float, default=60, help="seconds of a part")
    args = parser.parse_args()
    args.programs = dict(programs.split("=", 1) for programs in args.programs)
    report = Report(args.out, args.minutes)
    with tempfile.TemporaryDirectory() as root:
        folders = {name: os.path.join(root, name) for name in args.networks.split(",")}
        for name, folder in folders.items():
            peer.golden(name, folder)
        measure(report, args, folders)
    print(tables(report.parts))


if __name__ == "__main__":
    main()
