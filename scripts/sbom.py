#!/usr/bin/env python3
"""Prints the components of the release binary as CycloneDX 1.5 JSON: sbom.py BINARY.

Crates are those of the build for this target (`cargo tree`, `cargo metadata`); the C libraries name their
own versions. The same input gives the same
bytes: the time is SOURCE_DATE_EPOCH.
"""

import datetime
import hashlib
import json
import os
import subprocess
import sys
import uuid


def out(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def host():
    lines = out(os.environ.get("RUSTC", "rustc"), "-vV").splitlines()
    return next(l.removeprefix("host: ") for l in lines if l.startswith("host: "))


def shared_libraries(binary):
    """The names of the shared libraries that the binary needs."""
    lines = out("readelf", "-d", binary).splitlines()
    return [l.split("[")[1].rstrip("]") for l in lines if "(NEEDED)" in l]


def built(*edges):
    """Names and versions of the crates in the build, along these edges of its graph."""
    lines = out(os.environ.get("CARGO", "cargo"), "tree", "--locked", "--prefix=none", "--no-dedupe",
                "--target", host(), "--format={p}", "--edges", ",".join(edges)).splitlines()
    return {tuple(l.split()[:2]) for l in lines if l}


def crate(package, is_inside):
    purl = f"pkg:cargo/{package['name']}@{package['version']}"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": package["name"],
        "version": package["version"],
        "purl": purl,
        # "excluded": a part of the build that is not in the binary.
        "scope": "required" if is_inside else "excluded",
    }
    if package["license"]:
        # Two crates still write "/" for OR.
        component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package["repository"]:
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def c_library(name, version, licence, shared):
    return {
        "type": "library",
        "bom-ref": f"pkg:generic/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:generic/{name}@{version}",
        "scope": "required",
        "licenses": [{"expression": licence}],
        "properties": [{"name": "ebpftop:linking", "value": "shared" if shared else "static"}],
    }


def main():
    binary = sys.argv[1]
    metadata = json.loads(
        out(os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--format-version=1",
            "--filter-platform", host())
    )
    packages = {p["id"]: p for p in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    key = lambda p: (p["name"], "v" + p["version"])
    taken, inside = built("normal", "build"), built("normal", "no-proc-macro")
    root = packages[metadata["resolve"]["root"]]
    found = [i for i, p in packages.items() if key(p) in taken and p is not root]
    purl = lambda i: f"pkg:cargo/{packages[i]['name']}@{packages[i]['version']}"

    libbpf = next(p["version"].split("+v")[1] for p in packages.values() if p["name"] == "libbpf-sys")
    shared = shared_libraries(binary)
    libraries = [
        c_library("libbpf", libbpf, "LGPL-2.1-only OR BSD-2-Clause", False),
        c_library("libelf", out("pkg-config", "--modversion", "libelf").strip(),
                  "GPL-2.0-or-later OR LGPL-3.0-or-later", "libelf.so.1" in shared),
        c_library("zlib", out("pkg-config", "--modversion", "zlib").strip(), "Zlib",
                  "libz.so.1" in shared),
    ]
    with open(binary, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    components = [crate(packages[i], key(packages[i]) in inside) for i in found]
    components.sort(key=lambda c: c["bom-ref"])
    dependencies = [
        {"ref": purl(i),
         "dependsOn": sorted({purl(d["pkg"]) for d in nodes[i]["deps"] if d["pkg"] in found})}
        for i in [root["id"], *found]
    ]
    dependencies.sort(key=lambda d: d["ref"])
    for dependency in dependencies:
        if dependency["ref"].startswith("pkg:cargo/libbpf-sys@"):
            dependency["dependsOn"] += [c["bom-ref"] for c in libraries]
    when = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), datetime.UTC)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": purl(root["id"]),
                "name": root["name"],
                "version": root["version"],
                "purl": purl(root["id"]),
                "description": root["description"],
                "licenses": [{"expression": "(MIT OR Apache-2.0) AND (GPL-2.0-only OR BSD-2-Clause)"}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
            },
            "properties": [{"name": "ebpftop:rustc", "value": out("rustc", "--version").strip()},
                           {"name": "ebpftop:target", "value": host()}],
        },
        "components": components + libraries,
        "dependencies": dependencies,
    }
    json.dump(bom, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
