//! The name of a network interface.
//!
//! Bytes: the kernel takes all but `/`, `:` and white space (`dev_valid_name`, net/core/dev.c), UTF-8 or
//! not. Two names are equal when their bytes are. They are escaped where they are shown, and an
//! escaped name can be typed.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::escape::{escape, unescape};

/// A name, or an alternative name, of an interface.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InterfaceName(Vec<u8>);

impl InterfaceName {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as it is shown.
    pub fn escaped(&self) -> Cow<'_, str> {
        escape(&self.0)
    }

    /// The names that a user who typed this may mean, the likeliest first: the bytes as they are; the
    /// name whose escaped form this is; either without the `@peer` that `ip link` appends.
    pub fn meanings(&self) -> Vec<InterfaceName> {
        let mut all = vec![self.clone(), Self(unescape(&self.0))];
        if let Some(at) = self.0.iter().rposition(|byte| *byte == b'@') {
            let name = self.0.get(..at).unwrap_or_default();
            all.extend([Self::from(name), Self(unescape(name))]);
        }
        all
    }
}

impl From<&[u8]> for InterfaceName {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for InterfaceName {
    fn from(name: &str) -> Self {
        Self::from(name.as_bytes())
    }
}

impl PartialEq<str> for InterfaceName {
    fn eq(&self, name: &str) -> bool {
        self.0 == name.as_bytes()
    }
}

impl PartialEq<&str> for InterfaceName {
    fn eq(&self, name: &&str) -> bool {
        self == *name
    }
}

/// Escaped.
impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.escaped())
    }
}

/// Escaped and in quotes.
impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_different_bytes_are_different_and_can_be_typed() {
        let all: [&[u8]; 3] = [b"v\xff0", b"v\xfe0", b"v\\xff0"];
        for bytes in all {
            let name = InterfaceName::from(bytes);
            let typed = InterfaceName::from(&*name.escaped());
            assert!(typed.meanings().contains(&name), "{name}");
        }
        assert_ne!(InterfaceName::from(all[0]), InterfaceName::from(all[1]));
    }

    #[test]
    fn the_peer_that_ip_link_appends_is_no_part_of_the_name() {
        let typed = InterfaceName::from("eth0@if5");
        assert_eq!(typed.meanings()[0], "eth0@if5");
        assert!(typed.meanings().contains(&"eth0".into()));
    }
}
