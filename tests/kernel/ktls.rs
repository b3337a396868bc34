//! TLS records that the kernel encrypts. Few kernels have its module at hand, so this is for the guests of
//! `make test-kernels`, which load it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::common::conns::{bytes, done, end, here, local, process};
use nix::sys::socket::{setsockopt, sockopt};

/// A socket that encrypts or decrypts with a key that both ends have.
fn keyed(stream: &TcpStream, encrypts: bool) {
    let keys = sockopt::TlsCryptoInfo::Aes128Gcm(libc::tls12_crypto_info_aes_gcm_128 {
        info: libc::tls_crypto_info {
            version: libc::TLS_1_2_VERSION,
            cipher_type: libc::TLS_CIPHER_AES_GCM_128,
        },
        iv: [1; 8],
        key: [2; 16],
        salt: [3; 4],
        rec_seq: [0; 8],
    });
    setsockopt(stream, sockopt::TcpUlp::default(), b"tls").unwrap();
    match encrypts {
        true => setsockopt(stream, sockopt::TcpTlsTx, &keys).unwrap(),
        false => setsockopt(stream, sockopt::TcpTlsRx, &keys).unwrap(),
    }
}

#[test]
#[ignore = "needs the module tls, which the guests of make test-kernels load"]
fn the_bytes_are_plain_text() {
    let stream = here();
    let both = process(|| {
        let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
        let mut sends = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut receives = listener.accept().unwrap().0;
        keyed(&sends, true);
        keyed(&receives, false);
        for size in [5_000, 40_000, 1] {
            sends.write_all(&vec![b't'; size]).unwrap();
            let mut read = vec![0; size];
            receives.read_exact(&mut read).unwrap();
            assert!(read.iter().all(|byte| *byte == b't'));
        }
    });
    done(both);
    let run = end(stream);
    assert_eq!(bytes(&run.row(both)), (45_001, 45_001));
    let closes: Vec<_> = run.by("close", both).iter().map(bytes).collect();
    let sum = closes.iter().fold((0, 0), |sum, close| (sum.0 + close.0, sum.1 + close.1));
    assert_eq!(sum, (45_001, 45_001), "{closes:?}");
}
