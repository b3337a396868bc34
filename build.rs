//! Compiles the BPF programs and generates their skeletons.

use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

const OBJECTS: [&str; 3] = ["opens", "owners", "talkers"];

/// The programs read saved registers, which are another architecture's own, and share their records
/// with Rust as they lie in memory.
fn check_target() -> Result<(), String> {
    let of = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let (arch, endian, width) = (of("ARCH"), of("ENDIAN"), of("POINTER_WIDTH"));
    match (arch.as_str(), endian.as_str(), width.as_str()) {
        ("x86_64" | "aarch64", "little", "64") => Ok(()),
        _ => Err(format!(
            "ebpftop knows x86_64 and aarch64, little-endian with 64-bit pointers; \
             this target is {arch}, {endian}-endian with {width}-bit pointers"
        )),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    check_target()?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    // The objects' line information names files: without the folder that this is built in.
    let here = std::env::var("CARGO_MANIFEST_DIR")?;
    let map = format!("-ffile-prefix-map={here}=/ebpftop");
    for object in OBJECTS {
        let source = format!("src/bpf/{object}.bpf.c");
        SkeletonBuilder::new()
            .source(&source)
            // v3 (kernel 5.1) has 32-bit jumps: without them the verifier loses the bounds
            // of the path walk's indices and refuses it.
            .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Werror", &map])
            .build_and_generate(out.join(format!("{object}.skel.rs")))
            .map_err(|e| format!("{source} does not compile: {e:#}"))?;
    }
    println!("cargo:rerun-if-changed=src/bpf");
    Ok(())
}
