#!/usr/bin/env python3
"""Prints the licences of everything that a package is built of: `licences.py PACKAGE [CARGO OPTION..]`.

Names, versions and licences come from `cargo metadata`, the texts from the sources that cargo has fetched. A crate without
a licence is an error.
"""

import json
import subprocess
import sys
from pathlib import Path

# Files that go along with copies.
NAMES = ("LICENSE", "LICENCE", "COPYING", "UNLICENSE", "NOTICE", "COPYRIGHT")


def cargo(*words: str) -> str:
    return subprocess.run(["cargo", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def packages(package: str, options: list[str]) -> list[dict]:
    """What `cargo tree` finds of the package, without what only builds or tests it."""
    tree = cargo("tree", "--locked", "-e", "normal", "-p", package, "--prefix", "none", "-f", "{p}", *options)
    wanted = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    found = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    return sorted((p for p in found if (p["name"], "v" + p["version"]) in wanted), key=lambda p: p["name"])


def texts(package: dict) -> list[tuple[str, str]]:
    folder = Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(NAMES))
    if package.get("license_file"):
        files.append(folder / package["license_file"])
    return [(path.name, path.read_text(errors="replace").strip()) for path in dict.fromkeys(files)]


def main() -> int:
    own, *options = sys.argv[1:]
    others = [p for p in packages(own, options) if p["source"] is not None]
    unknown = [p["name"] for p in others if not (p["license"] or p["license_file"])]
    if unknown:
        print(f"licences.py: no licence is known of {', '.join(unknown)}", file=sys.stderr)
        return 1
    print(f"{own} contains these {len(others)} works of others.\n")
    for p in others:
        print(f"{p['name']} {p['version']}: {p['license']}  {p['repository'] or ''}".rstrip())
    silent = [p["name"] for p in others if not texts(p)]
    if silent:
        print(f"\nThese come without a file of their licence, which is the one named above: {', '.join(silent)}.")
    seen: dict[str, str] = {}
    for p in others:
        for name, text in texts(p):
            title = f"{p['name']} {p['version']}, {name}"
            if text in seen:
                print(f"\n==== {title}: as {seen[text]}")
            else:
                seen[text] = title
                print(f"\n==== {title}\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
