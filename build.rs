//! Compiles the BPF programs and generates their skeletons.

use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

const OBJECTS: [&str; 2] = ["opens", "talkers"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    for object in OBJECTS {
        let source = format!("src/bpf/{object}.bpf.c");
        SkeletonBuilder::new()
            .source(&source)
            // v3 (kernel 5.1) has 32-bit jumps: without them the verifier loses the bounds
            // of the path walk's indices and refuses it.
            .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Werror"])
            .build_and_generate(out.join(format!("{object}.skel.rs")))
            .map_err(|e| format!("{source} does not compile: {e:#}"))?;
    }
    println!("cargo:rerun-if-changed=src/bpf");
    Ok(())
}
