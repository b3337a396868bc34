//! The choice of opens and addresses that are written.

use std::net::IpAddr;

use crate::cli::ChooseArgs;
use crate::model::cgroup::Cgroup;
use crate::model::conn::Owner;
use crate::model::connections::Change;
use crate::model::event::Only;
use crate::model::file_change::FileChange;
use crate::model::file_io::FileIo;
use crate::model::filter::{Filter, FilterError, Pattern, ProcessInfo, What, path_matches};
use crate::model::listener::Listener;
use crate::model::open::Open;
use crate::model::process_event::ProcessEvent;
use crate::model::slow_call::SlowCall;
use crate::model::talkers::{TalkersSample, Traffic};
use crate::model::under_way::{Waiting, WaitingCall};
use crate::settings::Settings;

/// The choice made on the command line.
#[derive(Clone, Debug, Default)]
pub struct Choose {
    failed: bool,
    tgid: Option<u32>,
    uid: Option<u32>,
    process: Option<Pattern>,
    path: Option<Pattern>,
    filter: Filter,
    top: Option<usize>,
}

impl Choose {
    /// The choice of these settings and options; an error names what does not parse.
    pub fn new(settings: &Settings, args: &ChooseArgs) -> Result<Self, FilterError> {
        let filter = settings.filter.as_deref().map(Filter::parse).transpose()?.unwrap_or_default();
        if filter.chooses_parents() {
            let reason =
                "`parent:` works in the dashboard alone; here use pid:, uid: or a name".into();
            return Err(FilterError { at: 0..0, reason });
        }
        Ok(Self {
            failed: args.failed,
            tgid: args.pid,
            uid: args.uid,
            process: settings.process.as_deref().map(Pattern::parse_name).transpose()?,
            path: args.path.as_deref().map(Pattern::parse).transpose()?,
            filter,
            top: None,
        })
    }

    /// The choice of a filter alone.
    pub fn of_filter(filter: &str) -> Result<Self, FilterError> {
        let settings = Settings { filter: Some(filter.to_owned()), ..Settings::default() };
        Self::new(&settings, &ChooseArgs::default())
    }

    /// This choice with the `top` largest talkers alone; `None`: all.
    pub fn with_top(self, top: Option<usize>) -> Self {
        Self { top, ..self }
    }

    /// Whether there are `op:` terms, which select changes of files alone.
    pub fn chooses_changes(&self) -> bool {
        self.filter.chooses_changes()
    }

    /// Whether the cgroup's path has to be known to choose.
    pub fn wants_cgroup(&self) -> bool {
        self.filter.chooses_cgroups()
    }

    /// Conditions that the kernel side may apply already; opens that it reports are checked again.
    pub fn only(&self) -> Only {
        Only {
            tgid: self.tgid.or(self.filter.only_tgid()),
            uid: self.uid.or(self.filter.only_uid()),
            name: self.process.as_ref().and_then(Pattern::only_name).or(self.filter.only_name()),
            failed: self.failed || self.filter.only_failed(),
            without_own: false,
        }
    }

    /// Whether this open is written.
    pub fn open(&self, open: &Open<'_>, cgroup: Option<&Cgroup>) -> bool {
        let meta = open.meta;
        let errno = meta.errno();
        if (self.failed && errno.is_none())
            || self.tgid.is_some_and(|tgid| tgid != meta.tgid)
            || self.uid.is_some_and(|uid| uid != meta.uid)
        {
            return false;
        }
        let names = [meta.comm.as_bytes(), meta.process.as_bytes()];
        let resolved = open.resolved.map(|(_, path)| path);
        self.process.as_ref().is_none_or(|p| p.matches_any(&names))
            && self.path.as_ref().is_none_or(|p| path_matches(p, open.path, resolved))
            && self.filter.process(&ProcessInfo {
                names: &names,
                tgid: meta.tgid,
                uid: meta.uid,
                cgroup,
            })
            && self.filter.file(&What { path: open.path, resolved, errno })
    }

    /// Whether actions of a process are written, as far as its names and ids decide.
    pub fn process(&self, tgid: u32, uid: u32, names: &[&[u8]]) -> bool {
        self.process.as_ref().is_none_or(|p| p.matches_any(names))
            && self.tgid.is_none_or(|t| t == tgid)
            && self.uid.is_none_or(|u| u == uid)
    }

    /// Whether a start of a program or an end of a process is written: its process is chosen as one of opens is.
    pub fn process_event(&self, event: &ProcessEvent, cgroup: Option<&Cgroup>) -> bool {
        let names = [event.comm.as_bytes(), event.process.as_bytes()];
        let (tgid, uid) = (event.key.tgid, event.uid);
        self.process(tgid, uid, &names)
            && self.filter.process(&ProcessInfo { names: &names, tgid, uid, cgroup })
    }

    /// Whether a call that has not returned is reported. Its result is not known, nor is an open's cgroup.
    pub fn under_way(&self, waiting: &Waiting<'_>, cgroup: Option<&Cgroup>) -> bool {
        let names = [waiting.comm.as_bytes(), waiting.process.as_bytes()];
        let (tgid, uid) = (waiting.key.tgid, waiting.uid);
        let (path, resolved) = match waiting.call {
            WaitingCall::Open(_) => (waiting.path, None),
            WaitingCall::OnFile(_) => (None, waiting.path),
        };
        !self.failed
            && self.process(tgid, uid, &names)
            && self.path.as_ref().is_none_or(|p| path_matches(p, path, resolved))
            && self.filter.process(&ProcessInfo { names: &names, tgid, uid, cgroup })
            && self.filter.file(&What { path, resolved, errno: None })
    }

    /// Whether a change of a file is written: as an open, a path may be in any of its names.
    pub fn change(&self, event: &FileChange, cgroup: Option<&Cgroup>) -> bool {
        let names = [event.comm.as_bytes(), event.process.as_bytes()];
        let (tgid, uid) = (event.key.tgid, event.uid);
        (!self.failed || event.errno.is_some())
            && self.process(tgid, uid, &names)
            && self.path.as_ref().is_none_or(|p| p.matches_any(&event.paths()))
            && self.filter.process(&ProcessInfo { names: &names, tgid, uid, cgroup })
            && self.filter.change(event)
    }

    /// Whether bytes and calls of a process on a file have a line of their own.
    pub fn io(&self, one: &FileIo, cgroup: Option<&Cgroup>) -> bool {
        let names = [one.process.as_bytes()];
        let (tgid, uid) = (one.key.tgid, one.uid);
        let resolved = one.place.as_ref().map(|place| &*place.path);
        self.process(tgid, uid, &names)
            && self.path.as_ref().is_none_or(|p| path_matches(p, None, resolved))
            && self.filter.process(&ProcessInfo { names: &names, tgid, uid, cgroup })
            && self.filter.file(&What { path: None, resolved, errno: None })
    }

    /// Whether a slow call is written.
    pub fn slow(&self, call: &SlowCall, cgroup: Option<&Cgroup>) -> bool {
        let names = [call.comm.as_bytes(), call.process.as_bytes()];
        let (tgid, uid) = (call.key.tgid, call.uid);
        (!self.failed || call.errno().is_some())
            && self.process(tgid, uid, &names)
            && self.path.as_ref().is_none_or(|p| path_matches(p, None, call.path()))
            && self.filter.process(&ProcessInfo { names: &names, tgid, uid, cgroup })
            && self.filter.file(&What { path: None, resolved: call.path(), errno: call.errno() })
    }

    /// Whether what happened to a connection is written: its owner is chosen as one of opens is, the
    /// rest by `peer:`, `ip:`, `port:`, `name:`, `state:`, `rtt:` and `retrans:`.
    pub fn connection(&self, change: &Change) -> bool {
        let conn = &change.conn;
        let chosen = match &change.conn.owner() {
            Some(owner) => self.owner(owner),
            None => !self.chooses_owners(),
        };
        let name = change.name.as_ref().map(|named| &*named.name);
        chosen && self.filter.connection(conn, name, conn.tcp_state(), &conn.quality)
    }

    /// Whether a process is among those of the interval's table.
    pub fn owner(&self, owner: &Owner) -> bool {
        let names = [owner.comm.as_bytes()];
        let who = ProcessInfo { names: &names, tgid: owner.key.tgid, uid: owner.uid, cgroup: None };
        self.process(owner.key.tgid, owner.uid, &names) && self.filter.process(&who)
    }

    /// Whether what happened to a listener is written: its process is chosen as one of opens is, the rest by
    /// `ip:`, `port:`, `peer:` and `state:`.
    pub fn listener(&self, listener: &Listener, cgroup: Option<&Cgroup>) -> bool {
        let chosen = match &listener.owner {
            Some(owner) => {
                let names = [owner.comm.as_bytes()];
                let (tgid, uid) = (owner.key.tgid, owner.uid);
                self.process(tgid, uid, &names)
                    && self.filter.process(&ProcessInfo { names: &names, tgid, uid, cgroup })
            }
            None => !self.chooses_owners(),
        };
        chosen && self.filter.listener(listener)
    }

    fn chooses_owners(&self) -> bool {
        self.process.is_some()
            || self.tgid.is_some()
            || self.uid.is_some()
            || self.filter.chooses_processes()
    }

    /// Moves the rest into `other`, so that the sums still add up: sources outside of
    /// `ip:` terms, and those that are not among the N largest.
    pub fn talkers(&self, sample: &mut TalkersSample) {
        let most = self.top.unwrap_or(usize::MAX);
        let mut kept = 0;
        let (mut other, mut other_delta) = (Traffic::default(), Traffic::default());
        sample.sources.retain(|source| {
            let keep = kept < most && self.address(source.ip);
            if keep {
                kept += 1;
            } else {
                other = other + source.total;
                other_delta = other_delta + source.delta;
            }
            keep
        });
        sample.other = sample.other + other;
        sample.other_delta = sample.other_delta + other_delta;
    }

    fn address(&self, ip: IpAddr) -> bool {
        self.filter.address(ip)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::cli::{CHOOSING, Kind};
    use crate::model::open::Comm;
    use crate::stream::sample;

    fn choose(args: ChooseArgs, settings: Settings) -> Choose {
        Choose::new(&settings, &args).unwrap()
    }

    #[test]
    fn opens_by_each_option() {
        let batch = sample::opens();
        let opens: Vec<_> = batch.iter().collect();
        // The first is nginx's good one, the second cat's that failed.
        let args = ChooseArgs::default;
        let set = Settings::default;
        let some = |text: &str| Some(text.to_owned());
        for (choice, first, second) in [
            (choose(args(), set()), true, true),
            (choose(ChooseArgs { failed: true, ..args() }, set()), false, true),
            (choose(ChooseArgs { pid: Some(812), ..args() }, set()), true, false),
            (choose(ChooseArgs { uid: Some(1000), ..args() }, set()), false, true),
            (choose(ChooseArgs { path: some("/etc/NGINX"), ..args() }, set()), true, false),
            (choose(ChooseArgs { path: some("!conf"), ..args() }, set()), false, true),
            (choose(args(), Settings { process: some("worker"), ..set() }), true, false),
            (choose(args(), Settings { process: some("!~^ng"), ..set() }), false, true),
            (choose(args(), Settings { filter: some("err:2 cat"), ..set() }), false, true),
            (choose(args(), Settings { filter: some("cgroup:web"), ..set() }), true, true),
        ] {
            let cgroup = Cgroup::at(b"/web");
            let keeps = |at: usize| choice.open(&opens[at], Some(&cgroup));
            assert_eq!((keeps(0), keeps(1)), (first, second), "{choice:?}");
        }
    }

    /// Each option is given so that it leaves out some of the made-up data of a kind that it chooses among.
    #[test]
    fn each_option_chooses_the_kinds_of_the_table() {
        let args = ChooseArgs::default;
        let set = Settings::default;
        for (option, kinds) in CHOOSING {
            let choice = match option {
                "--pid" => choose(ChooseArgs { pid: Some(7), ..args() }, set()),
                "--uid" => choose(ChooseArgs { uid: Some(7), ..args() }, set()),
                "--process" => choose(args(), Settings { process: Some("none".into()), ..set() }),
                "--failed" => choose(ChooseArgs { failed: true, ..args() }, set()),
                "--path" => choose(ChooseArgs { path: Some("/no/such".into()), ..args() }, set()),
                other => panic!("{other} is not tried here"),
            };
            for kind in Kind::value_variants() {
                let leaves_out = !keeps_all(&choice, *kind);
                assert_eq!(leaves_out, kinds.contains(kind), "{option} {kind:?}");
            }
        }
    }

    /// Whether all of the made-up data of a kind is chosen.
    fn keeps_all(choice: &Choose, kind: Kind) -> bool {
        let listeners = sample::listeners().rows;
        match kind {
            Kind::Opens => sample::opens().iter().all(|open| choice.open(&open, None)),
            Kind::Talkers => {
                let mut talkers = sample::talkers();
                let before = talkers.sources.len();
                choice.talkers(&mut talkers);
                talkers.sources.len() == before
            }
            Kind::Connections => {
                listeners.iter().filter_map(|l| l.owner.as_ref()).all(|owner| choice.owner(owner))
            }
            Kind::Files => sample::files().events.iter().all(|event| choice.change(event, None)),
            Kind::Processes => {
                sample::processes().events.iter().all(|event| choice.process_event(event, None))
            }
            Kind::Io => sample::io().uses.iter().all(|one| choice.io(one, None)),
            Kind::Slow => sample::slow().calls.iter().all(|call| choice.slow(call, None)),
            Kind::Listeners => listeners.iter().all(|listener| choice.listener(listener, None)),
        }
    }

    #[test]
    fn changes_of_files_by_each_option() {
        // A file is created, cut, given away, renamed; another one cannot be removed.
        let files = sample::files();
        let args = ChooseArgs::default;
        let some = |text: &str| Some(text.to_owned());
        let filter = |text: &str| {
            let settings = Settings { filter: Some(text.into()), ..Settings::default() };
            choose(args(), settings)
        };
        let by = |args: ChooseArgs| choose(args, Settings::default());
        for (choice, chosen) in [
            (filter(""), [true; 5]),
            (filter("op:rename"), [false, false, false, true, false]),
            (filter("!op:Create !op:chown"), [false, true, false, true, true]),
            (filter("op:unlink op:rename"), [false; 5]),
            (filter("err:EACCES"), [false, false, false, false, true]),
            (filter("!err:any path:site"), [true, true, true, true, false]),
            (filter("path:~tar$ !path:tmp"), [false, false, false, false, true]),
            (filter("backup pid:1044 uid:1000"), [true; 5]),
            (filter("!worker"), [false; 5]),
            (by(ChooseArgs { failed: true, ..args() }), [false, false, false, false, true]),
            (
                by(ChooseArgs { path: some("old.tar"), ..args() }),
                [false, false, false, false, true],
            ),
            (by(ChooseArgs { uid: Some(0), ..args() }), [false; 5]),
        ] {
            let keeps: Vec<_> = files.events.iter().map(|e| choice.change(e, None)).collect();
            assert_eq!(keeps, chosen, "{choice:?}");
        }
    }

    #[test]
    fn conditions_for_the_kernel_side_are_known() {
        let only = |args: ChooseArgs, filter: &str| {
            let settings = Settings { filter: Some(filter.into()), ..Settings::default() };
            choose(args, settings).only()
        };
        let args = ChooseArgs::default;
        let none = "!nginx ~ng nginxé !pid:1 !uid:1 !err:any path:a";
        assert_eq!(only(args(), none), Only::default());
        let name = Some(Comm::new(b"ng"));
        let some = Only { tgid: Some(1), uid: Some(2), name, failed: true, without_own: false };
        assert_eq!(only(args(), "pid:1 !x uid:2 NG err:ENOENT x"), some);
        let said = ChooseArgs { pid: Some(1), uid: Some(2), failed: true, ..args() };
        assert_eq!(only(said, "pid:7 ng"), some);
        let settings =
            Settings { process: Some("A_much_longer_name".into()), ..Settings::default() };
        let name = Some(Comm::new(b"a_much_longer_n"));
        assert_eq!(choose(args(), settings).only(), Only { name, ..Only::default() });
    }

    #[test]
    fn talkers_that_are_not_chosen_are_other() {
        for (top, filter, left) in [
            (None, None, 3),
            (Some(1), None, 1),
            (Some(0), None, 0),
            (Some(9), None, 3),
            (None, Some("ip:10.0.0.0/8"), 2),
            (Some(1), Some("ip:fe80::/10"), 1),
            (None, Some("pid:1 nginx"), 3),
        ] {
            let settings = Settings { filter: filter.map(str::to_owned), ..Settings::default() };
            let mut sample = sample::talkers();
            let before = sample.total;
            choose(ChooseArgs::default(), settings).with_top(top).talkers(&mut sample);
            assert_eq!(sample.sources.len(), left, "{top:?} {filter:?}");
            let sum = |of: fn(&crate::model::talkers::Source) -> Traffic| {
                sample.sources.iter().map(of).fold(Traffic::default(), |a, b| a + b)
            };
            assert_eq!(sum(|s| s.total) + sample.other, before);
            assert_eq!(sum(|s| s.delta) + sample.other_delta, sample.delta);
        }
    }
}
