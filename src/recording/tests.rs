//! A recording is read as it was written, up to where the file is whole.

use std::io::Cursor;

use super::block::{self, Front, HEADER, MAGIC};
use super::decode::Decoder;
use super::encode::Encoder;
use super::*;
use crate::files::create;
use crate::model::bound::{Bound, UnixKind, UnixName};
use crate::model::event::{ProbeEnd, ProbeEvent, ProbeId};
use crate::model::listener::{Listener, Listeners, MAX_CGROUP_BYTES, MAX_LISTENERS};
use crate::model::open::{Comm, OpenBatch, OpenMeta, ResolvedKind, Syscall};
use crate::model::problem::Problem;
use crate::model::time::WallOffset;
use crate::stream::sample;

fn meta(n: u64) -> OpenMeta {
    OpenMeta {
        at: Mono(1_000_000 + n * 3_300),
        tgid: (n % 3) as u32,
        tid: (n % 7) as u32,
        ppid: 1,
        uid: 1_000,
        start_boottime_ns: 77 + n % 3,
        comm: Comm::new(b"worker"),
        process: Comm::new(b"server"),
        syscall: Syscall::Openat,
        flags: Some(0o100 | (n % 2)),
        mode: 0o644,
        ret: if n.is_multiple_of(5) { -2 } else { 7 },
        slot: n.is_multiple_of(11).then_some(3),
        latency_ns: n.is_multiple_of(4).then_some(n * 10),
        cgroup_id: Some(n % 2),
    }
}

fn batch(opens: u64) -> OpenBatch {
    let mut batch = OpenBatch::default();
    batch.wall = WallOffset(1_700_000_000_000_000_000);
    for n in 0..opens {
        let resolved = format!("/srv/www/file-{}", n % 10);
        let path: &[u8] = match n % 4 {
            0 => resolved.as_bytes(),
            1 => &resolved.as_bytes()[5..],
            2 => b"../elsewhere",
            _ => b"",
        };
        let path = (n % 4 != 3).then_some(path);
        let resolved = (n % 6 != 5).then_some((ResolvedKind::Tried, resolved.as_bytes()));
        batch.push(meta(n), path, resolved);
    }
    batch.counts.seen = opens;
    batch
}

fn all(opens: u64) -> Vec<(Mono, Seen)> {
    let talkers = vec![sample::talkers()];
    [
        Seen::Probe(ProbeEvent::Opens(batch(opens))),
        Seen::Cgroups(vec![(1, None), (2, Some(Cgroup::at(b"/a")))]),
        Seen::Probe(ProbeEvent::Talkers(talkers)),
        Seen::Tick,
        Seen::Unwritten,
        Seen::Probe(ProbeEvent::Opens(batch(1))),
        Seen::Probe(ProbeEvent::Ended(ProbeEnd::Talkers)),
    ]
    .into_iter()
    .enumerate()
    // Two seconds apart: each has a block of its own.
    .map(|(i, seen)| (Mono(5_000_000_000 + i as u64 * 2_000_000_000), seen))
    .collect()
}

fn recording(what: &[(Mono, Seen)]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let head = Head { host: "web-3".into(), ..Head::default() };
    let mut writer = Writer::new(create(&path).unwrap(), &head, u64::MAX).unwrap();
    for (at, seen) in what {
        writer.take(*at, seen).unwrap();
    }
    let (_, done) = writer.finish(Mono(99_000_000_000));
    done.unwrap();
    std::fs::read(&path).unwrap()
}

/// Everything that can be read, opens one by one; and how it ended.
fn read(bytes: &[u8]) -> Result<(Vec<String>, Result<Totals, Damage>), Damage> {
    let mut reader = Reader::new(Cursor::new(bytes))?;
    let mut seen = Vec::new();
    loop {
        match reader.read() {
            Ok(Item::Block(_)) => {}
            Ok(Item::Seen(at, one)) => seen.extend(lines(at, &one)),
            Ok(Item::End(totals)) => return Ok((seen, Ok(totals))),
            Err(damage) => return Ok((seen, Err(damage))),
        }
    }
}

fn lines(at: Mono, seen: &Seen) -> Vec<String> {
    match seen {
        Seen::Probe(ProbeEvent::Opens(batch)) => {
            let opens = batch.iter().map(|o| format!("{at:?} {o:?} {:?}", batch.wall));
            opens.chain([format!("{:?} {:?}", batch.counts, batch.ended)]).collect()
        }
        other => vec![format!("{at:?} {other:?}")],
    }
}

#[test]
fn a_recording_is_read_as_it_was_written() {
    let what = all(6_000);
    let bytes = recording(&what);
    let (seen, ended) = read(&bytes).unwrap();
    let mut expected: Vec<String> = what.iter().flat_map(|(at, s)| lines(*at, s)).collect();
    // A batch of more than 4,096 opens is cut in two, and each part has the counts.
    let counts = expected.iter().position(|t| t.contains("seen: 6000")).unwrap();
    expected.insert(counts - 6_000 + 4_096, expected[counts].clone());
    assert_eq!(seen, expected);
    let totals = ended.unwrap();
    assert_eq!((totals.opens, totals.unwritten), (6_001, 0));
    let reader = Reader::new(Cursor::new(&bytes)).unwrap();
    assert_eq!((reader.head().host.as_str(), reader.end()), ("web-3", Mono(99_000_000_000)));
}

#[test]
fn events_too_large_for_a_block_are_counted_and_reported() {
    let path = vec![b'a'; super::block::MOST_RAW].into();
    let huge =
        Seen::Cgroups(vec![(1, Some(Cgroup { path, owner: Default::default(), names: None }))]);
    let bytes = recording(&[(Mono(0), huge), (Mono(1), Seen::Tick)]);
    let (seen, ended) = read(&bytes).unwrap();
    assert_eq!(seen, [lines(Mono(0), &Seen::Unwritten), lines(Mono(1), &Seen::Tick)].concat());
    assert_eq!(ended.unwrap().unwritten, 1);
}

/// A file that takes little on the disk and much in memory: opens by number that stand for long paths, and
/// lists of small elements.
#[test]
fn memory_stays_in_proportion_whatever_a_file_says() {
    let path = [b'/'; 8_192];
    let mut large = OpenBatch::default();
    for n in 0..4_096 {
        large.push(OpenMeta { tgid: 1, ..meta(n % 2) }, Some(&path), None);
    }
    let ended = crate::model::open::Ended { tgid: 1, start_boottime_ns: 0, at: Mono(0) };
    large.ended = vec![ended; 100_000];
    assert!(large.bytes() > 32 << 20);
    let bytes = recording(&[(Mono(0), Seen::Probe(ProbeEvent::Opens(large)))]);
    assert!(bytes.len() < 300_000, "{}", bytes.len());
    let mut reader = Reader::new(Cursor::new(&bytes)).unwrap();
    let (mut opens, mut ended) = (0, 0);
    loop {
        match reader.read().unwrap() {
            Item::Block(_) => {}
            Item::Seen(_, seen) => {
                assert!(seen.bytes() < 5 << 20, "{}", seen.bytes());
                let Seen::Probe(ProbeEvent::Opens(batch)) = seen else { panic!("{seen:?}") };
                opens += batch.len();
                ended += batch.ended.len();
            }
            Item::End(_) => break,
        }
    }
    assert_eq!((opens, ended), (4_096, 100_000));

    // A list that the program never writes is refused before it takes memory.
    let names: Vec<(u64, Option<Vec<u8>>)> = vec![(0, None); super::codec::MOST_LIST + 1];
    let cgroups = Seen::Cgroups(names.iter().map(|(id, _)| (*id, None)).collect());
    let (seen, _) = read(&recording(&[(Mono(0), cgroups)])).unwrap();
    assert_eq!(seen, lines(Mono(0), &Seen::Unwritten));
    // The largest reading: each a Unix socket with the longest name, and all the cgroups that there may be.
    let name = UnixName::new(&[&[0][..], &[b'x'; 107]].concat());
    let row = Listener {
        bound: Bound::Unix { kind: UnixKind::Stream, name },
        cgroup: Some(vec![b'x'; MAX_CGROUP_BYTES / MAX_LISTENERS].into()),
        ..sample::listeners().rows.remove(3)
    };
    for (more, is_read) in [(0, true), (1, false)] {
        let rows = vec![row.clone(); MAX_LISTENERS + more];
        let found = Box::new(Listeners { rows, ..Listeners::default() });
        let found = Seen::Probe(ProbeEvent::Listeners(found));
        let (seen, _) = read(&recording(&[(Mono(0), found)])).unwrap();
        assert_eq!(seen != lines(Mono(0), &Seen::Unwritten), is_read);
    }
}

#[test]
fn an_open_takes_few_bytes() {
    let bytes = recording(&[(Mono(0), Seen::Probe(ProbeEvent::Opens(batch(100_000))))]);
    assert!(bytes.len() < 100_000 * 9, "{}", bytes.len());
}

#[test]
fn a_file_that_was_cut_off_is_good_up_to_there() {
    let what = all(60);
    let bytes = recording(&what);
    let (whole, _) = read(&bytes).unwrap();
    let mut most = 0;
    for len in 0..bytes.len() {
        match read(&bytes[..len]) {
            // Not even the first block is there.
            Err(Damage::Foreign | Damage::Cut) => assert!(len < 200, "{len}"),
            Ok((seen, Err(Damage::Cut))) => {
                assert_eq!(seen[..], whole[..seen.len()], "{len}");
                assert!(seen.len() >= most, "{len}");
                most = seen.len();
            }
            other => panic!("{len}: {other:?}"),
        }
    }
    assert_eq!(most, whole.len(), "all but the end");
}

#[test]
fn every_flipped_bit_is_found() {
    let bytes = recording(&all(60));
    let (whole, _) = read(&bytes).unwrap();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        match read(&bytes) {
            Err(_) => {}
            Ok((_, Ok(_))) => panic!("byte {at} is not missed"),
            Ok((seen, Err(_))) => assert_eq!(seen[..], whole[..seen.len()], "{at}"),
        }
    }
}

#[test]
fn a_bound_holds_and_the_file_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut writer = Writer::new(create(&path).unwrap(), &Head::default(), 64 << 10).unwrap();
    let mut done = Ok(());
    for n in 0.. {
        let at = Mono(n * 2_000_000_000);
        done = writer.take(at, &Seen::Probe(ProbeEvent::Opens(batch(1_000))));
        if done.is_err() {
            break;
        }
    }
    assert!(matches!(done, Err(WriteError::Full)));
    let (totals, ended) = writer.finish(Mono(0));
    ended.unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() <= 64 << 10 && bytes.len() > 40 << 10, "{}", bytes.len());
    let (seen, ended) = read(&bytes).unwrap();
    assert_eq!(ended.unwrap(), totals);
    assert_eq!(seen.len() as u64, totals.opens / 1_000 * 1_001);
}

#[test]
fn a_failed_write_is_an_error_and_leaves_no_half_block() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let error = Writer::new(full, &Head::default(), u64::MAX).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
}

#[test]
fn texts_of_a_file_do_not_act_on_the_terminal() {
    let mut encoder = Encoder::default();
    let problem = Problem::new("watch \x1b]0;x\x07", "already \\x1b", "a\nb");
    encoder.add(Mono(1), &Seen::Probe(ProbeEvent::Failed(ProbeId::Talkers, problem)));
    let Some((_, Seen::Probe(ProbeEvent::Failed(ProbeId::Talkers, problem)))) =
        Decoder::new(encoder.take()).next()
    else {
        panic!("no problem");
    };
    assert_eq!(problem.to_string(), "watch \\x1b]0;x\\x07: already \\x1b; a\\nb");
}

/// A damaged file with a checksum that fits.
fn with_new_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = MAGIC.len();
    while let Some((front, rest)) = bytes.get_mut(at..).and_then(|b| b.split_first_chunk_mut()) {
        let Some(parsed) = Front::parse(front) else { break };
        let Some(packed) = rest.get(..parsed.packed_len as usize) else { break };
        let crc = block::checksum(&front[..HEADER - 4], packed);
        front[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
        at += HEADER + packed.len();
    }
    bytes
}

#[test]
fn any_file_does_no_harm() {
    crate::testing::fuzz::check("recording", |bytes| {
        let _ = read(bytes);
        let _ = read(&with_new_checksums(bytes.to_vec()));
    });
}

/// Records that are invalid in a block with a valid checksum.
#[test]
fn any_records_are_read_without_harm() {
    crate::testing::fuzz::check("block", |raw| {
        let mut decoder = Decoder::new(raw.to_vec());
        let mut records = 0;
        while !decoder.is_done() {
            let Some((at, seen)) = decoder.next() else { break };
            lines(at, &seen);
            records += 1;
        }
        assert!(records <= raw.len());
    });
}

#[test]
fn bytes_of_files_are_recorded() {
    use crate::model::event::{IoInfo, ProbeInfo};
    use crate::model::file_io::IoSample;
    let mut without_times = sample::io();
    without_times.uses.iter_mut().for_each(|one| one.times = None);
    let untimed = IoSample { other_slow: 0, untimed: 0, ..without_times.clone() };
    let plain = IoSample { uncounted: 0, ..untimed.clone() };
    let timed = IoSample { uncounted: 0, ..sample::io() };
    let what = [
        Seen::Probe(ProbeEvent::Started(ProbeInfo::Io(IoInfo::default()))),
        Seen::Probe(ProbeEvent::Io(sample::io())),
        Seen::Probe(ProbeEvent::Io(without_times)),
        Seen::Probe(ProbeEvent::Io(plain)),
        Seen::Probe(ProbeEvent::Io(untimed)),
        Seen::Probe(ProbeEvent::Io(timed)),
        Seen::Probe(ProbeEvent::SlowCalls(sample::slow())),
        Seen::Probe(ProbeEvent::Ended(ProbeEnd::Io)),
    ];
    let what: Vec<_> = (0..).map(Mono).zip(what).collect();
    let (seen, ended) = read(&recording(&what)).unwrap();
    ended.unwrap();
    let truth: Vec<String> = what.iter().flat_map(|(at, seen)| lines(*at, seen)).collect();
    assert_eq!(seen, truth);
    assert!(seen[1].contains("max_ns: 14200000"), "{}", seen[1]);
    assert!(seen[2].contains("untimed: 2, unknown"), "{}", seen[2]);
    for at in [1, 2, 4] {
        assert!(seen[at].contains("uncounted: 3"), "{}", seen[at]);
    }
}

#[test]
fn the_quality_of_connections_is_recorded_apart() {
    use crate::model::conn::{ConnectionsBatch, ConnectionsTick};
    use crate::model::connections::sample;
    use crate::model::quality::Quality;
    let quality = |n: u32| Quality {
        srtt_us: Some(n),
        retransmits: Some(n % 2),
        delivery_bps: Some(u64::MAX),
        ..Quality::default()
    };
    let mut batch = ConnectionsBatch {
        known: vec![sample(1)],
        events: vec![sample(2), sample(3)],
        tick: Some(ConnectionsTick { samples: vec![sample(4)], ..Default::default() }),
        ..Default::default()
    };
    // As an older recording has it, and as it is now.
    let plain = Seen::Probe(ProbeEvent::Connections(batch.clone()));
    for (n, conn) in (1..).zip(batch.conns_mut()).skip(1) {
        conn.quality = quality(n);
    }
    let measured = Seen::Probe(ProbeEvent::Connections(batch));
    let what = [(Mono(0), plain), (Mono(1), measured)];
    let (seen, ended) = read(&recording(&what)).unwrap();
    ended.unwrap();
    let truth: Vec<String> = what.iter().flat_map(|(at, seen)| lines(*at, seen)).collect();
    assert_eq!(seen, truth);
    assert!(seen[1].contains("srtt_us: Some(4)"), "{}", seen[1]);
}
