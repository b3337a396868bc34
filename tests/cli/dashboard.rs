//! The dashboard where it cannot start.

use crate::common::spawn::public_copy;
use crate::common::tty::without_rights;

#[test]
fn without_any_probe_the_screen_is_never_taken() {
    let (_dir, program) = public_copy();
    let mut tty = without_rights(&program, &[], (200, 24));
    assert_eq!(tty.wait(), 1);
    tty.settle();
    let said = String::from_utf8_lossy(&tty.bytes()).into_owned();
    assert_eq!(said.matches("ebpftop: ").count(), 2, "{said}");
    assert!(said.contains("sudo"), "what to do: {said}");
    assert!(!said.contains('\x1b'), "{said:?}");
    tty.assert_given_back();
}
