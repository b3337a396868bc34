//! Privileges of a thread, and the files that it writes, by the functions that root calls.

use std::os::unix::fs::{PermissionsExt, chown};

use caps::Capability::*;
use caps::{CapSet, CapsHashSet};

use crate::common::user::USER;
use ebpftop::privileges::{ThreadRole, keep};

fn held() -> (CapsHashSet, CapsHashSet) {
    let read = |set| caps::read(None, set).unwrap();
    (read(CapSet::Effective), read(CapSet::Permitted))
}

fn after(parts: &'static [ThreadRole], locked: bool) -> CapsHashSet {
    let kept = std::thread::spawn(move || {
        keep(parts, locked);
        let (effective, permitted) = held();
        assert_eq!(effective, permitted);
        // It does not come back.
        assert!(caps::set(None, CapSet::Permitted, &caps::all()).is_err());
        permitted
    });
    kept.join().unwrap()
}

#[test]
fn a_thread_keeps_the_privileges_it_needs_and_others_are_not_changed() {
    let before = held();
    assert!(before.1.contains(&CAP_SYS_ADMIN), "the tests need root");
    assert_eq!(after(&[], false), CapsHashSet::new());
    assert_eq!(after(&[ThreadRole::ProcessInfo], false), CapsHashSet::from([CAP_SYS_PTRACE]));
    assert_eq!(after(&[ThreadRole::Opens], false), CapsHashSet::from([CAP_BPF, CAP_PERFMON]));
    assert_eq!(after(&[ThreadRole::ProcessInfo], true), CapsHashSet::new());
    let features = after(&[ThreadRole::Talkers, ThreadRole::Features], true);
    assert!(features.contains(&CAP_NET_ADMIN) && !features.contains(&CAP_PERFMON));
    assert_eq!(held(), before);
}

#[test]
fn a_file_of_another_user_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    chown(&path, Some(USER), Some(USER)).expect("the tests need root");
    assert_eq!(
        ebpftop::files::append(&path).unwrap_err().to_string(),
        "it belongs to another user"
    );
}
