//! The user without privileges, for processes and files of tests.

/// Its id, and that of its group: the one that the kernel shows for ids which it cannot map.
pub const USER: u32 = 65_534;

/// The same as text.
pub const USER_ID: &str = "65534";

/// Options of `setpriv` that start a program as this user.
pub const AS_USER: [&str; 5] = ["--reuid", USER_ID, "--regid", USER_ID, "--clear-groups"];

/// The environment that sudo sets where this user calls it.
pub const CALLS_SUDO: [(&str, &str); 2] = [("SUDO_UID", USER_ID), ("SUDO_GID", USER_ID)];
