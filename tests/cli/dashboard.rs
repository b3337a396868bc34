//! The dashboard where it cannot start.

use crate::common::spawn::public_copy;
use crate::common::tty::without_privileges;

#[test]
fn without_any_probe_the_screen_is_never_taken() {
    let (_dir, program) = public_copy();
    let mut tty = without_privileges(&program, &[], (200, 24));
    assert_eq!(tty.wait(), 1);
    tty.settle();
    let said = String::from_utf8_lossy(&tty.bytes()).into_owned();
    assert!(said.contains("ebpftop: watch opens: "), "{said}");
    assert!(said.contains("ebpftop: count on "), "{said}");
    assert!(said.contains("sudo"), "what to do: {said}");
    assert!(said.contains("missing privileges: CAP_BPF (loads programs and maps), "), "{said}");
    assert!(said.contains("without privileges: ebpftop replay"), "{said}");
    assert!(said.lines().count() <= 24, "one screen: {said}");
    assert!(!said.contains('\x1b'), "{said:?}");
    tty.assert_given_back();
}
