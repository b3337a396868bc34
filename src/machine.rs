//! The identity of this machine, its installation and its boot.

/// The machine's name, as bytes from elsewhere that are not escaped; empty where it cannot be read.
pub fn name() -> String {
    read("/proc/sys/kernel/hostname").unwrap_or_default()
}

/// The kernel's random id of this boot; `None` where it cannot be read. Times of the monotonic clock
/// are comparable within one boot alone.
pub fn boot_id() -> Option<String> {
    read("/proc/sys/kernel/random/boot_id").filter(|id| !id.is_empty())
}

/// The id that this installation was given at its first boot (machine-id(5)); `None` where it has none.
pub fn id() -> Option<String> {
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    read("/etc/machine-id").filter(is_id)
}

fn read(path: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}
