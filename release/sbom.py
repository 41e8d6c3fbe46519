#!/usr/bin/env python3
"""Prints the software bill of materials of the binaries, as CycloneDX 1.6 (https://cyclonedx.org).

release/sbom.py [--target=<os>-<arch>...]: for these targets together; without arguments for all.

Not cargo-cyclonedx, which takes four minutes to install and lists the crates of all platforms. `cargo
tree` lists the crates that are compiled into a binary, without those of tests, build scripts and
procedural macros.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tomllib
import uuid
from datetime import datetime, timezone

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = "taskcluster-proxy"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--target", action="append", metavar="<os>-<arch>")
    targets = triples(arguments.parse_args().target)
    packages = {reference(p["name"], p["version"]): p for p in metadata()["packages"]}
    edges: dict[str, set[str]] = {}
    for triple in targets:
        for package, needs in tree(triple).items():
            edges.setdefault(package, set()).update(needs)
    sums = checksums()
    components = [component(packages[name], sums) for name in sorted(edges)]
    program = next(c for c in components if c["name"] == PROGRAM)
    components.remove(program)
    program["type"] = "application"
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, revision() + ' '.join(targets))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch(), timezone.utc).isoformat(),
            "component": program,
            "properties": [
                {"name": "git revision", "value": revision()},
                *({"name": "target", "value": triple} for triple in targets),
            ],
        },
        "components": components + [standard_library()],
        "dependencies": [
            {"ref": purl(name), "dependsOn": sorted(map(purl, edges[name]))} for name in sorted(edges)
        ],
    }
    print(json.dumps(document, indent=1))


def triples(names: list[str] | None) -> list[str]:
    lines = (ROOT / "release/targets").read_text().splitlines()
    table = dict(line.split()[:2] for line in lines if line.strip() and not line.startswith("#"))
    return [table[name] for name in names or table]


def metadata() -> dict:
    return json.loads(output("cargo", "metadata", "--format-version=1", "--locked"))


def tree(triple: str) -> dict[str, set[str]]:
    """The crates that are compiled into the binary for a target, and the dependencies of each."""
    edges: dict[str, set[str]] = {}
    above: list[str] = []
    lines = output(
        *("cargo", "tree", "--locked", "--package", PROGRAM, "--edges=normal,no-proc-macro"),
        *("--target", triple, "--prefix=depth", "--format= {p}", "--no-dedupe"),
    )
    for line in lines.splitlines():
        depth, name, version = line.split()[:3]
        package = reference(name, version.removeprefix("v"))
        edges.setdefault(package, set())
        del above[int(depth):]
        if above:
            edges[above[-1]].add(package)
        above.append(package)
    return edges


def component(package: dict, sums: dict[str, str]) -> dict:
    name = reference(package["name"], package["version"])
    found = {
        "type": "library",
        "bom-ref": purl(name),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(name),
    }
    if package["description"]:
        found["description"] = " ".join(package["description"].split())
    if package["license"]:
        # Old crates separate alternatives with a slash.
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if name in sums:
        found["hashes"] = [{"alg": "SHA-256", "content": sums[name]}]
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def standard_library() -> dict:
    """The standard library, which is in every binary, but not in the output of cargo."""
    verbose = dict(line.split(": ", 1) for line in output("rustc", "-vV").splitlines() if ": " in line)
    return {
        "type": "library",
        "bom-ref": "rust-std",
        "name": "rust-std",
        "version": verbose["release"],
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}],
    }


def checksums() -> dict[str, str]:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {
        reference(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p
    }


def reference(name: str, version: str) -> str:
    return f"{name}@{version}"


def purl(name: str) -> str:
    return f"pkg:cargo/{name.replace('+', '%2B')}"


def revision() -> str:
    return os.environ.get("GIT_REVISION") or output("git", "rev-parse", "HEAD").strip()


def epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct"))


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
