//! The form of values.

use crate::model::filter::{Filter, Pattern};
use crate::model::interface_name::InterfaceName;

/// The name of an interface, as far as the kernel could have it.
pub(crate) fn interface(name: &[u8]) -> Result<InterfaceName, String> {
    // The kernel takes no slash, no colon and no white space in a name (dev_valid_name). An alternative
    // name has 127 bytes at most (ALTIFNAMSIZ), here each perhaps as an escape.
    const LONGEST: usize = 127 * "\\x1b".len();
    let excluded = |byte: &u8| matches!(byte, b'/' | b':') || byte.is_ascii_whitespace();
    if name.is_empty() || name.len() > LONGEST || name.iter().any(excluded) {
        return Err("not a valid interface name".into());
    }
    Ok(InterfaceName::from(name))
}

pub(super) fn uid(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    match nix::unistd::User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err("no such user".into()),
        Err(e) => Err(format!("cannot look up the user: {e}")),
    }
}

/// How many files stay.
pub(super) fn keep(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 leaves no file".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a number".into()),
    }
}

pub(super) fn top(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 leaves no rows".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a number".into()),
    }
}

pub(super) fn netns(text: &str) -> Result<String, String> {
    if text.is_empty() || matches!(text, "." | "..") {
        return Err("not a valid name of a network namespace".into());
    }
    Ok(text.to_owned())
}

pub(crate) fn process(text: &str) -> Result<String, String> {
    Pattern::parse_name(text).map(|_| text.to_owned()).map_err(|e| e.reason)
}

pub(super) fn path(text: &str) -> Result<String, String> {
    Pattern::parse(text).map(|_| text.to_owned()).map_err(|e| e.reason)
}

pub(crate) fn filter(text: &str) -> Result<String, String> {
    Filter::parse(text).map(|_| text.to_owned()).map_err(|e| e.reason)
}
