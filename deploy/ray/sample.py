"""Draws a run on a Ray cluster and writes it as Parquet: picture, class, png.

    pip install ddim "ray[data]"
    python deploy/ray/sample.py --num 50000 --model path/to/model --steps 20 --seed 7 --out s3://bucket/run
    ray job submit -- python sample.py ..              # on a cluster that is there already

`--out` is whatever pyarrow writes to: a folder that all nodes see, s3://, gs://. What a node needs is the module and the model.
"""

import argparse
import os
import sys

import pyarrow.fs
import ray

import ddim


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws a run on a Ray cluster and writes it as Parquet.")
    parser.add_argument("--num", type=int, required=True, help="how many pictures")
    parser.add_argument("--out", required=True, help="a folder or a URL")
    parser.add_argument("--model", help="a folder that every node has, or the name of an embedded model")
    parser.add_argument("--steps", type=int, help="calls of the network a picture [20]")
    parser.add_argument("--solver", help="as in `ddim sample` [ddim]")
    parser.add_argument("--eta", type=float, help="0 for DDIM, 1 for DDPM [0]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--class", dest="classes", help="names, drawn in turn: coat,bag")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, help="processes that draw [one a GPU, else one a core]")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--cpus", type=int, help="begin a cluster of its own with so many")
    args = parser.parse_args()
    store, path = pyarrow.fs.FileSystem.from_uri(
        args.out if "://" in args.out else f"file://{os.path.abspath(args.out)}"
    )
    if store.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True)):
        sys.exit(f"error: --out {args.out} has files already: name another place")
    if args.cpus:
        ray.init(num_cpus=args.cpus, include_dashboard=False)
    names = ("steps", "solver", "eta", "seed", "guidance", "device")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.classes:
        options["classes"] = args.classes.split(",")
    drawn = ddim.ray.sample(args.num, args.model, workers=args.workers, batch_size=args.batch_size, **options)
    drawn.write_parquet(args.out)
    print(args.out)


if __name__ == "__main__":
    main()
