//! A file system of one flat directory in which every name is there, of whatever length: FUSE's names
//! may be longer than other file systems'. The files are empty.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};

const ROOT: u64 = 1;
/// `include/uapi/linux/fuse.h`
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;
const ENOSYS: i32 = -38;
/// No page cache: each read is a request.
const FOPEN_DIRECT_IO: u32 = 1;

/// Mounts it at `point`, and serves it on a thread until it is unmounted. A read is answered when `on_read` has
/// returned.
pub fn serve(point: &Path, mut on_read: impl FnMut() + Send + 'static) {
    let mut device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("test"), point, Some("fuse"), flags, Some(options.as_str())).unwrap();
    std::thread::spawn(move || {
        let mut request = vec![0; 1 << 20];
        // An error: it is unmounted.
        while let Ok(len) = device.read(&mut request) {
            if word(&request, 4) == READ {
                on_read();
            }
            if let Some(answer) = answer(&request[..len])
                && device.write_all(&answer).is_err()
            {
                return;
            }
        }
    });
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let node = u64::from_ne_bytes(request[16..24].try_into().unwrap());
    let (error, body) = match word(request, 4) {
        FORGET | BATCH_FORGET => return None,
        INIT => (0, init(word(request, 44))),
        LOOKUP => (0, entry(request)),
        GETATTR => (0, [vec![0; 16], attributes(node)].concat()),
        // A handle of 0, and flags.
        OPEN => (0, [vec![0; 8], FOPEN_DIRECT_IO.to_ne_bytes().to_vec(), vec![0; 4]].concat()),
        READ | RELEASE | FLUSH => (0, Vec::new()),
        _ => (ENOSYS, Vec::new()),
    };
    let mut out = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
    out.extend(i32::to_ne_bytes(error));
    out.extend(&request[8..16]); // the request's number
    out.extend(body);
    Some(out)
}

/// `struct fuse_init_out`, which has 64 bytes since version 7.23.
fn init(minor: u32) -> Vec<u8> {
    let mut out = vec![0; 64];
    out[..4].copy_from_slice(&7u32.to_ne_bytes());
    out[4..8].copy_from_slice(&minor.min(31).to_ne_bytes());
    out[20..24].copy_from_slice(&4096u32.to_ne_bytes()); // max_write
    out
}

/// `struct fuse_entry_out`: each name is a node of its own, numbered by its length.
fn entry(request: &[u8]) -> Vec<u8> {
    let name = request[40..].split(|b| *b == 0).next().unwrap();
    let node = ROOT + name.len() as u64;
    [node.to_ne_bytes().to_vec(), vec![0; 32], attributes(node)].concat()
}

/// `struct fuse_attr`
fn attributes(node: u64) -> Vec<u8> {
    let mode: u32 = if node == ROOT { 0o40755 } else { 0o100644 };
    let mut out = vec![0; 88];
    out[..8].copy_from_slice(&node.to_ne_bytes());
    out[60..64].copy_from_slice(&mode.to_ne_bytes());
    out[64..68].copy_from_slice(&1u32.to_ne_bytes()); // links
    out
}
