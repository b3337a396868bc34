#!/usr/bin/env python3
"""What is inside the release binary, as CycloneDX 1.5 JSON on stdout: sbom.py BINARY.

Crates come from the lock file by `cargo metadata` (normal and build dependencies of this target, with
what they are for), the C libraries from what they say of themselves. The same input gives the same
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
    """The names that the dynamic linker looks for."""
    lines = out("readelf", "-d", binary).splitlines()
    return [l.split("[")[1].rstrip("]") for l in lines if "(NEEDED)" in l]


def reached(metadata):
    """Package ids with the kinds ("build", "normal") by which the program comes to need them."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found = {}
    todo = [(metadata["resolve"]["root"], "normal")]
    while todo:
        at, kind = todo.pop()
        if kind in found.setdefault(at, set()):
            continue
        found[at].add(kind)
        for dep in nodes[at]["deps"]:
            kinds = {k["kind"] or "normal" for k in dep["dep_kinds"]} - {"dev"}
            for k in kinds:
                # What a build dependency needs is needed to build alone.
                todo.append((dep["pkg"], "build" if kind == "build" else k))
    return found, nodes


def crate(package, kinds, macros):
    purl = f"pkg:cargo/{package['name']}@{package['version']}"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": package["name"],
        "version": package["version"],
        "purl": purl,
        # "excluded": it takes part in the build and is not in the binary.
        "scope": "required" if "normal" in kinds and not macros else "excluded",
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
    found, nodes = reached(metadata)
    root = packages[metadata["resolve"]["root"]]
    del found[root["id"]]
    is_macro = lambda p: any("proc-macro" in t["kind"] for t in p["targets"])
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
    components = [crate(packages[i], kinds, is_macro(packages[i])) for i, kinds in found.items()]
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
