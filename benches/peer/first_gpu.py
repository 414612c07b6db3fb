"""All that docs/results.md wants to know of a GPU, in one unattended run of at most ten minutes.

Needs Python with PyTorch and diffusers, and programs that were built beforehand (`just gpu-programs`): a folder for each
compiler of shaders, with `ddim` and the benchmark `call` in it. From the top folder of this project:

    python3 benches/peer/first_gpu.py --programs wgsl=dist/wgsl --programs spirv=dist/spirv --out gpu

Parts come in order of their value; each has a limit of its own, and none starts when the minutes are over. `gpu.json` and
`gpu.md`, the table, are written anew after every part. A part that fails, hangs or is cut off is kept with what it said
until then: that is a result too. Rehearsed on a software device (`just gpu-rehearsal`).
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from glob import glob

import call as peer

PRECISIONS = ["f32", "f16", "bf16"]
MODES = ["eager", "bf16", "eager+tf32", "compile+tf32", "compile+bf16"]


class Report:
    """What was found, on disk after every part."""

    def __init__(self, out, minutes):
        self.out, self.parts, self.started, self.limit = out, [], time.monotonic(), 60 * minutes
        self.system = system()

    def left(self):
        return self.limit - (time.monotonic() - self.started)

    def run(self, name, command, limit, **environment):
        """Runs a part, if there is time, and keeps its lines of JSON even if it is cut off."""
        limit = min(limit, self.left())
        if limit < 5:
            return self.add({"part": name, "skipped": "no time was left"})
        started = time.monotonic()
        with tempfile.TemporaryFile("w+", errors="replace") as said, tempfile.TemporaryFile("w+", errors="replace") as errors:
            code, memory = finished(command, limit, said, errors, environment)
            said.seek(0), errors.seek(0)
            text, complaint = said.read(), errors.read()[-2000:]
        part = {"part": name, "command": command, "code": code, "seconds": time.monotonic() - started}
        part |= memory | {"rows": rows(text)}
        if code != 0:
            part["said"] = complaint
        return self.add(part)

    def add(self, part):
        self.parts.append(part)
        written(self.out + ".json", json.dumps({"system": self.system, "parts": self.parts}, indent=1))
        written(self.out + ".md", tables(self.system, self.parts))
        print(f"{part['part']}: {part.get('skipped') or ended(part)} ({self.left():.0f} s left)", flush=True)
        return part


def written(path, text):
    with open(path + ".tmp", "w") as file:
        file.write(text)
    os.replace(path + ".tmp", path)


def finished(command, limit, said, errors, environment):
    """The exit code, or why there is none, and the memory it took. Ends all that the command has started."""
    environment = {**os.environ, **environment}
    memory = Memory()
    try:
        process = subprocess.Popen(command, stdout=said, stderr=errors, env=environment, start_new_session=True)
    except OSError as error:
        return str(error), memory.peak()
    memory.of(process.pid)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        code = f"cut off after {limit:.0f} s"
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        code = f"{code}, and the driver does not let go of it"
    return code, memory.peak()


class Memory:
    """The most that was held, looked at ten times a second: of the GPU by all processes, less what they held before, and of
    the host by the one that is watched."""

    def __init__(self):
        self.before = self.device = device_memory()
        self.host, self.pid, self.over = None, None, threading.Event()

    def of(self, pid):
        self.pid = pid
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        asked = 0.0
        while not self.over.wait(0.1):
            self.host = host_memory(self.pid) or self.host
            # nvidia-smi takes longer than a look into a file.
            if self.before is not None and time.monotonic() - asked > 0.3:
                asked = time.monotonic()
                self.device = max(self.device, device_memory() or 0)

    def peak(self):
        self.over.set()
        device = None if self.before is None else self.device - self.before
        return {"device_megabytes": device, "host_megabytes": self.host}


def host_memory(pid):
    """The most resident memory of a process so far."""
    try:
        with open(f"/proc/{pid}/status") as status:
            line = next((line for line in status if line.startswith("VmHWM:")), None)
        return line and int(line.split()[1]) * 1.024e-3
    except (OSError, ValueError):
        return None


def device_memory():
    """Megabytes in use: NVIDIA's tool knows, and the driver of AMD says it in a file."""
    said = nvidia("memory.used")
    try:
        return float(said.splitlines()[0])
    except (IndexError, ValueError):
        pass
    for path in glob("/sys/class/drm/card*/device/mem_info_vram_used"):
        with open(path) as file:
            return int(file.read()) / 1e6
    return None


NO_NVIDIA = []


def nvidia(what):
    """What nvidia-smi says, or nothing on other machines; who did not answer is not asked again."""
    if NO_NVIDIA:
        return ""
    try:
        command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        NO_NVIDIA.append(what)
        return ""


def system():
    """The machine, without PyTorch: its import may fail or hang, and is a part like others."""
    return {
        "gpu": nvidia("name,driver_version,memory.total,power.limit,clocks.max.sm") or "no nvidia-smi",
        "kernel": platform.release(),
        "processor": next((line.split(":")[1].strip() for line in cpuinfo() if line.startswith("model name")), platform.machine()),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def cpuinfo():
    try:
        with open("/proc/cpuinfo") as file:
            return file.readlines()
    except OSError:
        return []


def rows(text):
    """The JSON of a part: one value, or one a line."""
    whole = parsed(text)
    if whole is not None:
        return whole if isinstance(whole, list) else [whole]
    lines = (line for line in text.splitlines() if line.startswith("{"))
    return [row for row in map(parsed, lines) if row is not None]


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None  # such as the line on which a part was cut off


def doctor(report, args, compiler, precision):
    command = [f"{args.programs[compiler]}/ddim", "doctor", "--device", args.ours_device, "--json"]
    command += ["--precision", precision, *args.doctor.split()]
    limit = args.tuning_limit if precision == "f32" else args.doctor_limit
    report.run(f"doctor, {compiler}, {precision}", command, limit)


def ours(report, args, compiler, precision, name, folder):
    """A call and a run at each batch size; what tuning finds out is kept for the parts that come later."""
    command = [f"{args.programs[compiler]}/call", folder, "--device", args.ours_device, "--precision", precision]
    command += ["--batch", args.batches, "--repeats", str(args.repeats), "--steps", args.steps]
    command += ["--ceiling", "--keep", os.path.join(args.kept, compiler)]
    limit = args.tuning_limit if precision == "f32" else args.call_limit
    report.run(f"{name}, ddim {compiler} {precision}", command, limit)


def theirs(report, args, mode, name, folder):
    command = [sys.executable, peer.__file__, "--device", args.device, "--batches", args.batches]
    command += ["--repeats", str(args.repeats), "--steps", args.steps, "--worker", name, folder, mode]
    limit = args.compile_limit if "compile" in mode else args.call_limit
    report.run(f"{name}, PyTorch {mode}", command, limit, OMP_NUM_THREADS=str(os.cpu_count()))


def models(report, args, folders):
    """Writes the networks, with what PyTorch says of them on the CPU; those that are there afterwards."""
    for name, folder in folders.items():
        command = [sys.executable, __file__, "--model", name, folder]
        report.run(f"{name}, written by PyTorch", command, args.call_limit)
    return {name: folder for name, folder in folders.items() if os.path.exists(os.path.join(folder, "output.safetensors"))}


def write_model(name, folder):
    """A part of its own (`--model`): says which PyTorch it is."""
    import diffusers
    import torch

    peer.golden(name, folder)
    about = {"torch": torch.__version__, "diffusers": diffusers.__version__, "cuda": torch.version.cuda}
    if torch.cuda.is_available():
        about |= {"device": torch.cuda.get_device_name(), "cudnn": torch.backends.cudnn.version()}
    print(json.dumps(about))


def cold_start(report, args, compiler):
    """Start to PNG with nothing kept, not even by the driver, and then with all that the first run has left."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {"XDG_CACHE_HOME": folder, "__GL_SHADER_DISK_CACHE_PATH": folder, "MESA_SHADER_CACHE_DIR": folder}
        command = [f"{args.programs[compiler]}/ddim", "sample", "--device", args.ours_device, "--steps", "20"]
        command += ["--num", "1", "--batch-size", "1", "--force", "--out", os.path.join(folder, "one.png")]
        for state in ("nothing kept", "everything kept"):
            report.run(f"start to PNG, {compiler}, {state}", command, args.call_limit, **kept)


def ended(part):
    """How a part ended: the doctor's word where there is one, else its exit code."""
    verdicts = [row["passed"] for row in part["rows"] if "passed" in row]
    if verdicts:
        return "passed" if verdicts[0] else "OFF"
    return {0: "done"}.get(part["code"], part["code"])


def tables(about, parts):
    """Every part in a row: what it took; then the medians of what was timed, a row a program."""
    lines = [f"{key}: {value}" for key, value in about.items()]
    lines += ["", "| part | ended | seconds | GPU memory, MB | host memory, MB |", "|---|---|---|---|---|"]
    for part in parts:
        if "skipped" in part:
            lines.append(f"| {part['part']} | skipped | | | |")
            continue
        memory = ["" if part[key] is None else f"{part[key]:.0f}" for key in ("device_megabytes", "host_megabytes")]
        lines.append(f"| {part['part']} | {ended(part)} | {part['seconds']:.1f} | {memory[0]} | {memory[1]} |")
    timed = {
        (row["steps"], row["batch"]): None for part in parts for row in part.get("rows", []) if "milliseconds" in row
    }
    for steps in sorted({steps for steps, _ in timed}):
        sizes = sorted(batch for count, batch in timed if count == steps)
        what = f"a run of {steps} steps" if steps else "a call"
        lines += ["", f"| {what}, median ms (quickest; first) | " + " | ".join(f"batch {size}" for size in sizes) + " |"]
        lines.append("|---" * (len(sizes) + 1) + "|")
        for part in parts:
            cells = {row["batch"]: cell(row) for row in part.get("rows", []) if row.get("steps") == steps}
            if cells:
                lines.append(f"| {part['part']} | " + " | ".join(cells.get(size, "") for size in sizes) + " |")
    return "\n".join(lines) + "\n"


def cell(row):
    times = sorted(row["milliseconds"])
    return f"{times[len(times) // 2]:.2f} ({times[0]:.2f}; {row['first_milliseconds']:.0f})"


def measure(report, args, folders):
    first, *others = args.programs
    report.run("devices", [f"{args.programs[first]}/ddim", "devices", "--json"], 60)
    doctor(report, args, first, "f32")
    folders = models(report, args, folders)
    for name, folder in folders.items():
        ours(report, args, first, "f32", name, folder)
        theirs(report, args, "eager", name, folder)
    doctor(report, args, first, "bf16")
    doctor(report, args, first, "f16")
    cold_start(report, args, first)
    for compiler in others:
        doctor(report, args, compiler, "f32")
        for precision in PRECISIONS:
            for name, folder in folders.items():
                ours(report, args, compiler, precision, name, folder)
    for mode in MODES[1:]:
        for name, folder in folders.items():
            theirs(report, args, mode, name, folder)
    for precision in PRECISIONS[1:]:
        for name, folder in folders.items():
            ours(report, args, first, precision, name, folder)
    for compiler in others:
        cold_start(report, args, compiler)
        for precision in PRECISIONS[1:]:
            doctor(report, args, compiler, precision)


def asked():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", action="append", default=[], metavar="COMPILER=FOLDER", help="first come, first measured")
    parser.add_argument("--out", default="gpu", help="without its ending")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--networks", default="ddpm-cifar10,embedded")
    parser.add_argument("--batches", default="1,16,64,256")
    parser.add_argument("--steps", default="0,20", help="0 is a call")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"], help="where PyTorch computes")
    parser.add_argument("--ours-device", default="vulkan")
    parser.add_argument("--doctor", default="", help="more arguments for `ddim doctor`")
    parser.add_argument("--tuning-limit", type=float, default=120, help="seconds of a part in f32, in which most kernels are tuned first")
    parser.add_argument("--doctor-limit", type=float, default=90, help="seconds of a part")
    parser.add_argument("--call-limit", type=float, default=45, help="seconds of a part")
    parser.add_argument("--compile-limit", type=float, default=60, help="seconds of a part with torch.compile")
    parser.add_argument("--model", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not (args.programs or args.model):
        parser.error("--programs COMPILER=FOLDER says where `ddim` and `call` are; `just gpu-programs` builds them")
    args.programs = {name: os.path.abspath(folder) for name, folder in (text.split("=", 1) for text in args.programs)}
    return args


def main():
    args = asked()
    if args.model:
        return write_model(*args.model)
    report = Report(args.out, args.minutes)
    with tempfile.TemporaryDirectory() as root:
        args.kept = os.path.join(root, "kernels")
        measure(report, args, {name: os.path.join(root, name) for name in args.networks.split(",")})
    print(tables(report.system, report.parts))


if __name__ == "__main__":
    main()
