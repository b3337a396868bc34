//! Calls on files whose descriptor another thread closes before they return, on the real kernel. Needs root.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::io::{filled, new, watch};
use crate::common::conns::{done, process};
use crate::common::patience::until;
use crate::common::user_fault::page_after;
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::file_io::{FileIo, FileType};
use ebpftop::model::slow_call::IoCall;
use ebpftop::probes::io::IoConfig;

const LIMIT: Duration = Duration::from_millis(20);
/// How long the calls take, at least.
const WAIT: Duration = Duration::from_millis(60);

/// They are under way, then slow and unknown: what file they were on is not known any more.
#[test]
fn a_call_whose_descriptor_was_closed_is_an_event_without_a_file() {
    for as_on_510 in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (path, stop) = (root.join("read"), root.join("stop"));
        drop(filled(&path));
        let mut watch = watch(IoConfig { slow: Some(LIMIT), as_on_510, ..IoConfig::default() });
        let child = process(|| {
            let (file, stop) = (File::open(&path).unwrap(), stop.clone());
            let fd = file.as_raw_fd();
            let page = page_after(move || {
                // SAFETY: the descriptor is not used any more; `file` is forgotten below.
                assert_eq!(unsafe { libc::close(fd) }, 0);
                std::thread::sleep(WAIT);
                until("the end", || stop.exists().then_some(()));
            });
            assert_eq!((&file).read(&mut page[..100]).unwrap(), 100);
            std::mem::forget(file);
        });
        let pid = child.as_raw().unsigned_abs();
        // Below kernel 5.17 nothing looks for calls under way.
        if !as_on_510 {
            let call = watch.until(|event| match event {
                ProbeEvent::FileCallsUnderWay(found) => {
                    found.calls.into_iter().find(|call| call.key.tgid == pid)
                }
                _ => None,
            });
            assert_eq!((call.path, call.call.kind), (None, None));
            assert_eq!((call.call.call, call.call.file_type), (IoCall::Read, FileType::Unknown));
        }
        drop(new(&stop));
        done(child);
        let (sample, slow) = watch.finish_with_calls();
        let of_child: Vec<_> = slow.calls.iter().filter(|call| call.key.tgid == pid).collect();
        let [call] = of_child[..] else { panic!("{of_child:?}") };
        assert_eq!(
            (call.call, call.writes, call.ret, &call.place),
            (IoCall::Read, false, 100, &None)
        );
        assert_eq!(call.file_type, FileType::Unknown);
        assert!(call.took_ns >= WAIT.as_nanos() as u64, "{call:?}");
        // Others make calls too.
        let unknown = sample.unknown;
        assert!(unknown.read_calls >= 1 && unknown.read_bytes >= 100, "{unknown:?}");
        assert!(sample.other_slow >= 1, "{sample:?}");
        let counted = sample.uses.iter().map(FileIo::slow).sum::<u64>() + sample.other_slow;
        assert_eq!(counted, slow.calls.len() as u64 + slow.lost, "{sample:?}");
    }
}
