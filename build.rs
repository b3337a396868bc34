//! Compiles the BPF programs and generates their skeletons, where the feature `bpf` is on.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "bpf")]
    skeletons::generate()?;
    Ok(())
}

#[cfg(feature = "bpf")]
mod skeletons {
    use std::path::{Path, PathBuf};

    use libbpf_cargo::SkeletonBuilder;

    const OBJECTS: [&str; 8] =
        ["cgroups", "connections", "held", "hostnames", "io", "listeners", "opens", "talkers"];

    /// Those that use kfuncs. libbpf looks these up in the kernel's own BTF, used or not: so they are
    /// there once more without, for kernels whose BTF comes from a file (src/bpf/btf.rs).
    const WITH_KFUNCS: [&str; 3] = ["io", "opens", "talkers"];

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

    pub(super) fn generate() -> Result<(), Box<dyn std::error::Error>> {
        check_target()?;
        let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
        // The objects' line information names files: without the folder that this is built in.
        let here = std::env::var("CARGO_MANIFEST_DIR")?;
        let map = format!("-ffile-prefix-map={here}=/ebpftop");
        for object in OBJECTS {
            let source = format!("src/bpf/{object}.bpf.c");
            let skeleton = out.join(format!("{object}.skel.rs"));
            // v3 (kernel 5.1) has 32-bit jumps: without them the verifier loses the bounds
            // of the path walk's indices and refuses it.
            let args = ["-mcpu=v3", "-Wall", "-Wextra", "-Werror", &map];
            SkeletonBuilder::new()
                .source(&source)
                .clang_args(args)
                .build_and_generate(&skeleton)
                .map_err(|e| format!("{source} does not compile: {e:#}"))?;
            if WITH_KFUNCS.contains(&object) {
                let plain = out.join(format!("{object}.plain.o"));
                SkeletonBuilder::new()
                    .source(&source)
                    .clang_args(args.into_iter().chain(["-DWITHOUT_KFUNCS"]))
                    .obj(&plain)
                    .build()
                    .map_err(|e| format!("{source} does not compile without kfuncs: {e:#}"))?;
                add_plain(&skeleton, &plain)?;
            }
        }
        println!("cargo:rerun-if-changed=src/bpf");
        Ok(())
    }

    /// Lets the skeleton open the object without kfuncs where that is wanted: programs and maps of both
    /// are the same.
    fn add_plain(skeleton: &Path, plain: &Path) -> Result<(), Box<dyn std::error::Error>> {
        const OPENED: &str = "ObjectSkeletonConfigBuilder::new(&DATA)";
        let text = std::fs::read_to_string(skeleton)?;
        if text.matches(OPENED).count() != 1 {
            return Err(format!("the skeleton does not open its object by {OPENED}").into());
        }
        let either = format!(
            "ObjectSkeletonConfigBuilder::new(crate::bpf::btf::object(&DATA, include_bytes!({plain:?})))"
        );
        std::fs::write(skeleton, text.replace(OPENED, &either))?;
        Ok(())
    }
}
