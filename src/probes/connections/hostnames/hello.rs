//! The name of the server in a ClientHello, by the parser of rustls.

use std::io::Read as _;

use tokio_rustls::rustls::server::Acceptor;

/// The meaning of some bytes of a connection, from its ClientHello on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A whole ClientHello; one may be without a name. ASCII letters are in lower case.
    Hello(Option<Box<[u8]>>),
    /// The beginning of a ClientHello.
    Unfinished,
    Malformed,
}

/// Reads a connection's bytes from its ClientHello on.
pub(super) fn read(mut bytes: &[u8]) -> Read {
    let mut acceptor = Acceptor::default();
    while !bytes.is_empty() {
        // The length that it takes at once is its own choice.
        match acceptor.read_tls(&mut bytes.by_ref()) {
            Ok(0) | Err(_) => return Read::Malformed,
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                return Read::Hello(name.map(|name| name.into_bytes().into()));
            }
            Ok(None) => {}
            Err(_) => return Read::Malformed,
        }
    }
    Read::Unfinished
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fuzz;

    #[test]
    fn any_bytes_are_a_hello_or_none() {
        fuzz::check("client_hello", |bytes| {
            if let Read::Hello(Some(name)) = read(bytes) {
                assert!(!name.is_empty() && name.len() <= 255);
            }
        });
    }

    #[test]
    fn a_hello_is_read_whole_and_not_before() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/client_hello/openssl");
        let bytes = std::fs::read(folder).unwrap();
        let name = Read::Hello(Some(Box::from(&b"one.example"[..])));
        assert_eq!(read(&bytes), name);
        for n in 0..bytes.len() {
            assert_eq!(read(&bytes[..n]), Read::Unfinished, "{n}");
        }
    }
}
