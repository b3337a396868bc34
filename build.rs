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

    /// Those that are there once more without kfuncs: for kernels that lack bpf_rdonly_cast (src/bpf/kernel.h), and
    /// for types from a file (src/bpf/btf.rs), since libbpf looks kfuncs up in the kernel's own.
    const WITH_KFUNCS: [&str; 4] = ["connections", "io", "opens", "talkers"];

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
            let twice = WITH_KFUNCS.contains(&object);
            SkeletonBuilder::new()
                .source(&source)
                .clang_args(args.into_iter().chain(twice.then_some("-DWITH_KFUNCS")))
                .build_and_generate(&skeleton)
                .map_err(|e| format!("{source} does not compile: {e:#}"))?;
            if twice {
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

    /// Gives the skeleton's builder the field `plain`, which opens the object without kfuncs: programs and maps of
    /// both are the same.
    fn add_plain(skeleton: &Path, plain: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let mut text = std::fs::read_to_string(skeleton)?;
        for (old, new) in [
            (
                "pub obj_builder: libbpf_rs::ObjectBuilder,",
                "pub obj_builder: libbpf_rs::ObjectBuilder, pub plain: bool,".to_owned(),
            ),
            ("fn build_skel_config(", "fn build_skel_config(plain: bool".to_owned()),
            ("build_skel_config()?", "build_skel_config(self.plain)?".to_owned()),
            (
                "ObjectSkeletonConfigBuilder::new(&DATA)",
                format!(
                    "ObjectSkeletonConfigBuilder::new(if plain {{ include_bytes!({plain:?}) }} else {{ &DATA }})"
                ),
            ),
        ] {
            if text.matches(old).count() != 1 {
                return Err(format!("the skeleton has not one {old}").into());
            }
            text = text.replace(old, &new);
        }
        std::fs::write(skeleton, text)?;
        Ok(())
    }
}
