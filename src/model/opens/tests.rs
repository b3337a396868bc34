use super::*;
use crate::model::call_times::CallTimes;
use crate::model::file_io::{FileIo, FilePlace, FileType, IoCounts, IoSample};
use crate::model::open::{Comm, LostOpens, OpenMeta, ResolvedKind, Syscall};
use crate::model::time::Stamp;

fn meta(tgid: u32, at: u64, ret: i64) -> OpenMeta {
    OpenMeta {
        at: Mono(at),
        tgid,
        tid: tgid,
        ppid: 1,
        uid: 0,
        start_boottime_ns: u64::from(tgid) * 7,
        comm: Comm::new(b"worker"),
        process: Comm::new(b"main"),
        syscall: Syscall::Openat,
        flags: Some(0),
        mode: 0,
        ret,
        slot: None,
        latency_ns: None,
        cgroup_id: None,
    }
}

pub(super) fn add(opens: &mut Opens, tgid: u32, at: u64, ret: i64, path: &[u8]) {
    let meta = meta(tgid, at, ret);
    opens.add(&Open { meta: &meta, path: Some(path), resolved: None }, Mono(at));
}

/// Invariants, whatever was evicted.
fn check(opens: &Opens) {
    let real = || opens.processes.iter().filter(|(_, p)| !p.is_stand_in());
    let held: u64 = real().map(|(_, p)| p.tally.opens).sum();
    assert_eq!(held + opens.evicted.opens, opens.total.opens);
    let failed: u64 = real().map(|(_, p)| p.tally.failed).sum();
    assert_eq!(failed + opens.evicted.failed, opens.total.failed);
    check_programs(opens);
    assert!(opens.process_count() <= opens.limits.processes);
    assert!(opens.files.len() <= opens.limits.files);
    assert!(opens.failures.len() <= opens.limits.failures);
    assert_eq!(opens.processes.indexed(), opens.processes.len());
    assert_eq!(opens.files.indexed(), opens.files.len());
    assert_eq!(opens.by_path.len(), opens.paths.len());
    assert_eq!(opens.failures.indexed(), opens.failures.len());
    assert_eq!(opens.path_bytes, opens.paths.iter().map(|(_, p)| p.bytes.len()).sum::<usize>());
    let given: usize = opens.files.iter().map(|(_, f)| f.given.bytes()).sum();
    assert_eq!(opens.given_bytes, given);
    assert!(given <= opens.limits.given_bytes);
    for (_, f) in opens.failures.iter() {
        assert!(opens.processes.get(f.process).is_some() && opens.paths.get(f.path).is_some());
    }
    for (slot, file) in opens.files.iter() {
        assert!(opens.processes.get(file.process).unwrap().files.contains(&slot));
        assert!(opens.paths.get(file.path).unwrap().users.contains(&slot));
    }
    // Each open by a path is in one path, one use and, where it failed, in one failure; so is each read and write
    // of a file with a path.
    let (mut in_paths, mut io_of_paths, mut slow_of_paths) = (0, IoCounts::default(), 0);
    let slow = |t: &Tally| t.io.times.as_ref().map_or(0, |times| times.slow);
    for (_, path) in opens.paths.iter() {
        let uses = path.users.iter().map(|s| &opens.files.get(*s).unwrap().tally);
        let io = uses.clone().fold(IoCounts::default(), |sum, t| sum + t.io.total);
        assert_eq!(io, path.tally.io.total);
        let (opened, failed) = uses.fold((0, 0), |s, t| (s.0 + t.opens, s.1 + t.failed));
        assert_eq!((opened, failed), (path.tally.opens, path.tally.failed));
        in_paths += opened;
        io_of_paths += path.tally.io.total;
        slow_of_paths += slow(&path.tally);
    }
    let io = &opens.io;
    assert_eq!(io_of_paths + io.without_path + io.other, opens.total.io.total);
    assert_eq!(slow_of_paths + io.slow_without_path, slow(&opens.total));
    let failures: u64 = opens.failures.iter().map(|(_, f)| f.count).sum();
    if opens.lost_reported.is_empty() {
        assert_eq!((in_paths, failures), (opens.total.opens, opens.total.failed));
    }
    for (_, p) in opens.processes.iter().filter(|(_, p)| !p.is_stand_in()) {
        assert!(p.files.len() <= opens.limits.files_of_one);
        let files: u64 = p.files.iter().map(|s| opens.files.get(*s).unwrap().tally.opens).sum();
        assert!(files <= p.tally.opens);
        let io = p.files.iter().map(|s| opens.files.get(*s).unwrap().tally.io.total);
        let io = io.fold(IoCounts::default(), |sum, one| sum + one);
        assert!(p.tally.io.total.since(&io) + io == p.tally.io.total, "{p:?}");
    }
}

/// Every open is in one program, and in a process of it or in its stand-in.
fn check_programs(opens: &Opens) {
    type Sums = (u64, u64, IoCounts, [u64; 2]);
    let times = |t: &Tally| t.io.times.as_ref().map_or([0; 2], |t| [t.calls(), t.slow]);
    let sums = |t: &Tally| (t.opens, t.failed, t.io.total, times(t));
    let both = |a: [u64; 2], b: [u64; 2]| [a[0] + b[0], a[1] + b[1]];
    let add = |a: Sums, b: Sums| (a.0 + b.0, a.1 + b.1, a.2 + b.2, both(a.3, b.3));
    let none = Sums::default();
    let programs = opens.programs.iter().map(|(_, p)| sums(&p.tally));
    let (opened, failed, io, timed) = programs.fold(none, add);
    assert_eq!((opened, failed, io + opens.io.other, timed), sums(&opens.total));
    let real = || opens.programs.iter().filter(|(_, p)| p.evicted == 0);
    assert!(real().count() <= opens.limits.programs);
    let gone: u64 = opens.programs.iter().map(|(_, p)| p.evicted).sum();
    assert_eq!(gone, opens.evicted.programs);
    if gone > 0 {
        return; // a program that comes back begins at 0, its processes do not
    }
    for (slot, program) in real() {
        let of = |p: &Process| opens.program_of(p) == Some(slot);
        let parts = opens.processes.iter().filter(|(_, p)| of(p)).map(|(_, p)| sums(&p.part()));
        assert_eq!(parts.fold(none, add), sums(&program.tally), "{program:?}");
    }
}

#[test]
fn counts_by_process_file_and_failure() {
    let mut opens = Opens::default();
    add(&mut opens, 10, 1, 3, b"/a");
    add(&mut opens, 10, 2, -2, b"/a");
    add(&mut opens, 11, 3, 4, b"/a");
    add(&mut opens, 10, 4, 5, b"/b");
    check(&opens);
    assert_eq!((opens.total.opens, opens.total.failed), (4, 1));
    let (_, ten) = opens.processes.iter().find(|(_, p)| p.key.tgid == 10).unwrap();
    assert_eq!((ten.tally.opens, ten.tally.failed, ten.files.len()), (3, 1, 2));
    assert_eq!(ten.threads, [Comm::new(b"worker")]);
    let (names, n) = ten.names();
    assert_eq!(&names[..n], [&b"main"[..], b"worker"]);
    let (_, a) = opens.paths.iter().find(|(_, p)| *p.bytes == *b"/a").unwrap();
    assert_eq!((a.tally.opens, a.users.len(), a.last_ret), (3, 2, 4));
    let (_, failure) = opens.failures.iter().next().unwrap();
    assert_eq!((failure.errno, failure.count), (2, 1));
    assert_eq!(opens.live().map(|l| l.ret).collect::<Vec<_>>(), [3, -2, 4, 5]);
}

#[test]
fn timed_opens_have_a_mean_and_a_maximum() {
    let mut opens = Opens::default();
    for ns in [None, Some(10), Some(30)] {
        let meta = OpenMeta { latency_ns: ns, ..meta(10, 1, 3) };
        opens.add(&Open { meta: &meta, path: Some(b"/a"), resolved: None }, Mono(1));
    }
    let latency = opens.total.latency;
    assert_eq!((latency.mean_ns(), latency.max_ns), (Some(20), 30));
    assert_eq!(opens.files.iter().next().unwrap().1.tally.latency, latency);
    assert_eq!(Latency::default().mean_ns(), None);
}

#[test]
fn an_ended_process_stays_until_it_opens_again() {
    let mut opens = Opens::default();
    add(&mut opens, 10, 5, 3, b"/a");
    let key = ProcessKey { tgid: 10, start_boottime_ns: 70 };
    opens.process_ended(key, Mono(9));
    let ended = |o: &Opens| o.processes.iter().next().unwrap().1.ended;
    assert_eq!(ended(&opens), Some(Mono(9)));
    add(&mut opens, 10, 8, 3, b"/a");
    assert_eq!(ended(&opens), Some(Mono(9)), "drained late");
    add(&mut opens, 10, 10, 3, b"/a");
    assert_eq!(ended(&opens), None);
}

#[test]
fn a_restart_forgets_and_counts_losses_from_now() {
    let mut opens = Opens::default();
    add(&mut opens, 10, 5, 3, b"/a");
    opens.set_counts(OpenCounts { lost: 4, malformed: 1, ..OpenCounts::default() });
    assert_eq!(opens.lost(), 5);
    opens.restart();
    assert_eq!((opens.lost(), opens.total.opens, opens.processes.len()), (0, 0, 0));
    opens.set_counts(OpenCounts { lost: 6, malformed: 1, ..OpenCounts::default() });
    assert_eq!(opens.lost(), 2);
}

#[test]
fn lost_opens_are_counted_for_their_process() {
    let mut opens = Opens::default();
    add(&mut opens, 10, 1, 3, b"/a");
    let lost = |tgid, n| LostOpens {
        tgid,
        start_boottime_ns: u64::from(tgid) * 7,
        uid: 0,
        process: Comm::new(b"main"),
        opens: n,
        failed: n / 2,
    };
    let mut batch = OpenBatch::default();
    batch.lost_by = vec![lost(10, 6), lost(11, 4)];
    opens.add_batch(&batch, Mono(2));
    batch.lost_by = vec![lost(10, 8), lost(11, 4)];
    opens.add_batch(&batch, Mono(3));
    check(&opens);
    assert_eq!((opens.total.opens, opens.total.failed, opens.processes.len()), (13, 6, 2));
    opens.restart();
    opens.add_batch(&batch, Mono(4));
    assert_eq!(opens.total.opens, 0, "reported before the counts were started again");
    batch.lost_by = vec![lost(10, 9), lost(11, 4)];
    opens.add_batch(&batch, Mono(5));
    assert_eq!((opens.total.opens, opens.processes.len()), (1, 1));
}

#[test]
fn a_busy_process_is_not_evicted_for_many_short_ones() {
    let limits = Limits { processes: 64, files: 128, ..Limits::default() };
    let mut opens = Opens::with_limits(limits);
    for n in 0..10_000u32 {
        add(&mut opens, 1, u64::from(n) * 1_000_000, 3, b"/etc/steady");
        add(&mut opens, 100 + n, u64::from(n) * 1_000_000, 3, format!("/tmp/{n}").as_bytes());
    }
    check(&opens);
    let (_, one) = opens.processes.iter().find(|(_, p)| p.key.tgid == 1).unwrap();
    assert_eq!(one.tally.opens, 10_000);
    assert!(opens.evicted().processes > 9_000);
}

proptest::proptest! {
    #[test]
    fn totals_stay_exact_whatever_is_evicted(
        steps in proptest::collection::vec((1u32..41, 0u64..1_000, -3i64..3, 0u8..60), 0..600),
        names in 1u64..6,
    ) {
        let limits = Limits {
            processes: 12, programs: 4, files: 30, files_of_one: 8, path_bytes: 200, given_bytes: 20,
            failures: 24, live: 5,
        };
        let mut opens = Opens::with_limits(limits);
        for (i, (tgid, at, ret, path)) in steps.iter().enumerate() {
            let resolved = format!("/dir/{path}");
            let passed = match at % 3 {
                0 => resolved.clone(),
                1 => path.to_string(),
                _ => format!("../{at}"),
            };
            let name = format!("name{}", (u64::from(*tgid) + at / 100) % names);
            let process = Comm::new(name.as_bytes());
            let meta = OpenMeta { process, ..meta(*tgid, at * 100_000_000, *ret) };
            let resolved = Some((ResolvedKind::Opened, resolved.as_bytes()));
            if at % 4 == 0 {
                let kind = ResolvedKind::Opened;
                let path = resolved.map(|(_, path)| path.into()).filter(|_| at % 8 == 0);
                let counts = IoCounts { read_bytes: *at, written_bytes: 1, ..IoCounts::default() };
                opens.add_io(&IoSample {
                    at: Stamp { mono: meta.at, ..Stamp::default() },
                    interval_ns: 1_000_000_000,
                    uses: vec![FileIo {
                        key: ProcessKey::of(&meta),
                        process,
                        uid: 0,
                        cgroup_id: None,
                        file_type: FileType::Regular,
                        place: path.map(|path| FilePlace { kind, path }),
                        counts,
                        times: Some(Box::new(CallTimes::new(*at, at % 2, [1 + at % 5]))),
                    }],
                    other: if at % 12 == 0 { IoCounts::default() } else { counts },
                    more: at % 12 == 0,
                    ..IoSample::default()
                });
                continue;
            }
            opens.add(&Open { meta: &meta, path: Some(passed.as_bytes()), resolved }, meta.at);
            if i % 50 == 0 {
                opens.tick(Mono(*at));
            }
        }
        check(&opens);
    }
}

/// Short-lived processes, evicted or not, are one program; a process that runs another program counts
/// for each what it opened under its name.
#[test]
fn a_program_counts_its_processes_whatever_becomes_of_them() {
    const SECOND: u64 = 1_000_000_000;
    let limits = Limits { processes: 16, files: 64, ..Limits::default() };
    let mut opens = Opens::with_limits(limits);
    let named = |name: &str| OpenMeta { process: Comm::new(name.as_bytes()), ..meta(0, 0, 3) };
    opens.tick(Mono(SECOND));
    for n in 1..=100u32 {
        let at = Mono(SECOND + u64::from(n));
        let key = OpenMeta { at, tgid: n, start_boottime_ns: u64::from(n) * 7, ..meta(0, 0, 3) };
        for (name, path, ret) in
            [("sh", &b"/dev/null"[..], 3), ("cat", b"/etc/hostname", 3), ("cat", b"/no", -2)]
        {
            let meta = OpenMeta { process: named(name).process, ret, ..key };
            opens.add(&Open { meta: &meta, path: Some(path), resolved: None }, at);
        }
    }
    opens.tick(Mono(2 * SECOND));
    check(&opens);
    assert!(opens.evicted().processes > 80 && opens.evicted().programs == 0);
    let program = |name: &str| {
        let same = |p: &Program| p.key.name.as_bytes() == name.as_bytes();
        opens.programs().iter().map(|(_, p)| p).find(|p| same(p)).unwrap()
    };
    let (cat, sh) = (program("cat"), program("sh"));
    assert_eq!((cat.tally.opens, cat.tally.failed, cat.processes), (200, 100, 100));
    assert_eq!((sh.tally.opens, sh.tally.failed, sh.processes), (100, 0, 100));
    assert_eq!((opens.rate_of(&cat.meter), opens.rate_of(&sh.meter)), (200.0, 100.0));
    // The parts of held processes and of stand-ins add up to the rates, too.
    let rates = |name: &str| {
        let of = opens.processes().iter().filter(|(_, p)| p.name.as_bytes() == name.as_bytes());
        of.map(|(_, p)| opens.part_rate(p)).sum::<f64>()
    };
    assert_eq!((rates("cat"), rates("sh")), (200.0, 100.0));
}

/// More programs than fit: the sums of those that went are in one entry.
#[test]
fn evicted_programs_stay_in_one_row() {
    let mut opens = Opens::with_limits(Limits { programs: 16, ..Limits::default() });
    for n in 1..=1_000u32 {
        let process = Comm::new(format!("p{n}").as_bytes());
        let meta = OpenMeta { process, ..meta(n, u64::from(n) * 1_000, 3) };
        opens.add(&Open { meta: &meta, path: None, resolved: None }, meta.at);
    }
    let held = opens.programs().iter().filter(|(_, p)| p.evicted == 0).count() as u64;
    let rest = opens.programs().iter().find(|(_, p)| p.evicted > 0).unwrap().1;
    assert_eq!((rest.key, rest.tally.first), (ProgramKey::EVICTED, Mono(1_000)));
    assert_eq!(rest.evicted, opens.evicted().programs);
    assert_eq!((rest.evicted + held, rest.tally.opens + held), (1_000, 1_000));
    // A process whose program went brings it back.
    let process = Comm::new(b"p1");
    let meta = OpenMeta { process, ..meta(1, 2_000_000, 3) };
    opens.add(&Open { meta: &meta, path: None, resolved: None }, meta.at);
    let (_, back) = opens.programs().iter().find(|(_, p)| p.key.name == process).unwrap();
    assert_eq!((back.tally.opens, back.processes), (1, 1));
    check_programs(&opens);
}

/// The wall clock is set back and forth between batches: no count, rate or age depends on it.
#[test]
fn a_wall_clock_that_jumps_changes_nothing() {
    use crate::model::time::WallOffset;
    const SECOND: u64 = 1_000_000_000;
    let counted = |walls: [i64; 3]| {
        let mut opens = Opens::default();
        for (second, wall) in (1u64..).zip(walls) {
            let mut batch = OpenBatch::default();
            batch.wall = WallOffset(wall);
            for i in 0..100 {
                batch.push(meta(7, second * SECOND + i, 3), Some(b"/a"), None);
            }
            opens.add_batch(&batch, Mono(second * SECOND + 100));
            opens.tick(Mono((second + 1) * SECOND));
        }
        (opens.rate(), opens.total.opens, opens.total.first, opens.total.last)
    };
    let steady = counted([5, 5, 5]);
    assert!(steady.0 > 0.0 && steady.1 == 300);
    assert_eq!(counted([5, -3_600_000_000_000, 9_000_000_000_000]), steady);
}

/// Totals of a file and of a failure do not shrink when uses are evicted, nor do those of a directory
/// when files are: by program, too.
#[test]
fn totals_of_rows_outlive_evictions_below() {
    const PROCESSES: u32 = 1_000;
    let mut opens = Opens::default();
    for n in 1..=PROCESSES {
        let at = u64::from(n) * 1_000_000;
        add(&mut opens, n, at, 3, b"/tmp/target");
        add(&mut opens, n, at, -2, b"/tmp/missing/x.conf");
        for k in 0..60 {
            add(&mut opens, n, at, 3, format!("/tmp/load/{k}").as_bytes());
        }
    }
    check(&opens);
    assert!(opens.evicted().files > 0);
    let path = |name: &[u8]| {
        opens.paths().iter().find(|(_, p)| *p.bytes == *name).map(|(_, p)| p).unwrap()
    };
    let target = path(b"/tmp/target");
    assert_eq!((target.tally.opens, opens.users_of(target)), (1_000, 1_000));
    // As a filter by name sums it up.
    let uses = target.users.iter().filter_map(|s| opens.files().get(*s));
    let of_main = uses
        .filter(|f| opens.processes().get(f.process).is_some_and(|p| p.name == Comm::new(b"main")));
    assert_eq!(of_main.map(|f| f.tally.opens).sum::<u64>(), 1_000);
    let missing: Vec<_> = opens.failures().iter().map(|(_, f)| (f.count, f.failures())).collect();
    let sum = missing.iter().fold((0, 0), |sum, f| (sum.0 + f.0, sum.1 + f.1));
    assert_eq!(sum, (1_000, 1_000));
}

/// Each of many short compilers opens the same headers, which count more than the file of the living one.
#[test]
fn the_file_of_a_living_process_outlives_those_of_ended_ones() {
    let limits = Limits { processes: 1_000, files: 2_000, files_of_one: 500, ..Limits::default() };
    let mut opens = Opens::with_limits(limits);
    let mut at = 0;
    for compiler in 100..400 {
        let mut open = |opens: &mut Opens, tgid, path: &str| {
            at += 1_000_000;
            add(opens, tgid, at, 3, path.as_bytes());
        };
        open(&mut opens, 7, "/srv/steady");
        for header in 0..40 {
            open(&mut opens, compiler, &format!("/usr/include/{header}.h"));
            open(&mut opens, compiler, &format!("/src/{compiler}-{header}.c"));
        }
        let key = ProcessKey { tgid: compiler, start_boottime_ns: u64::from(compiler) * 7 };
        opens.process_ended(key, Mono(at));
    }
    check(&opens);
    assert!(opens.evicted.files > 1_000);
    let (_, steady) = opens.paths.iter().find(|(_, p)| *p.bytes == *b"/srv/steady").unwrap();
    let file = opens.files.get(steady.users[0]).unwrap();
    assert_eq!((file.tally.opens, opens.processes.get(file.process).unwrap().key.tgid), (300, 7));
}

/// Ever new files: those that have gone are in the rest of their directory.
#[test]
fn evicted_files_stay_in_their_directory() {
    let limits = Limits { files: 64, failures: 32, ..Limits::default() };
    let mut opens = Opens::with_limits(limits);
    for n in 0..1_000u32 {
        let (at, path) = (u64::from(n) * 1_000_000, format!("/srv/{}/f{n}", n % 2));
        add(&mut opens, 1 + n % 3, at, if n % 4 == 0 { -2 } else { 3 }, path.as_bytes());
    }
    check(&opens);
    for dir in ["/srv/0/", "/srv/1/"] {
        let below = opens.paths().iter().filter(|(_, p)| p.bytes.starts_with(dir.as_bytes()));
        let (files, opened) =
            below.fold((0, 0), |sum, (_, p)| (sum.0 + p.evicted.max(1), sum.1 + p.tally.opens));
        assert_eq!((files, opened), (500, 500), "{dir}");
        let rest =
            opens.paths().iter().find(|(_, p)| p.is_rest() && p.bytes.starts_with(dir.as_bytes()));
        let label = rest.unwrap().1.label().into_owned();
        assert!(label.starts_with(format!("{dir} (4").as_bytes()) && label.ends_with(b" evicted)"));
    }
}

/// The tables as large as they are: more short processes and more paths than fit, each counted
/// where it is, held or evicted.
#[test]
fn held_and_evicted_entries_are_all_there_were() {
    const PROCESSES: u32 = 40_000;
    let mut opens = Opens::default();
    for n in 0..2 * PROCESSES {
        let path = format!("/srv/no/such/file{n}");
        add(&mut opens, 1 + n / 2, u64::from(n) * 1_000, -2, path.as_bytes());
    }
    check(&opens);
    let (held, gone) = (opens.process_count() as u64, opens.evicted());
    assert_eq!(held + gone.processes, u64::from(PROCESSES));
    let uses = opens.files.iter().filter(|(_, f)| f.evicted == 0).count() as u64;
    assert_eq!(uses + gone.files, 2 * u64::from(PROCESSES));
    let failures = opens.failures.iter().filter(|(_, f)| f.evicted == 0).count() as u64;
    assert_eq!(failures + gone.failures, 2 * u64::from(PROCESSES));
    assert!(opens.path_bytes <= opens.limits.path_bytes);
    let last = opens.processes.iter().map(|(_, p)| p.key.tgid).max();
    assert_eq!(last, Some(PROCESSES), "the oldest go first");
}
