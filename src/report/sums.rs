//! The sums of a report: events are added up here, rows are made of them.
//!
//! The tables of opens are the dashboard's with larger bounds. The counts of an evicted entry are in
//! the row `other`, as are opens that a filter let pass and no row can show (those without a path).

use std::cmp::Reverse;
use std::net::IpAddr;

use hashbrown::HashMap;

use super::row::{Row, RowPlace};
use crate::cli::By;
use crate::model::cgroup::{Cgroup, KnownCgroups, MAX_IN_REPORT};
use crate::model::conn::Carried;
use crate::model::connections::{Connections, Net};
use crate::model::file_io::IoSample;
use crate::model::interface_name::InterfaceName;
use crate::model::open::{Comm, Open};
use crate::model::opens::{Limits, Opens, Path, Process, ProcessKey, Tally};
use crate::model::slab::Slot;
use crate::model::talkers::{Direction, TalkersSample, Traffic};
use crate::model::unit::{Unit, systemd_unit};
use crate::stream::IoLine;

/// Bounds of the tables of opens: four times those of the dashboard, about 100 MiB when full, and 160 MiB more
/// where calls are timed.
const LIMITS: Limits = Limits {
    processes: 65_536,
    programs: 8_192,
    files: 98_304,
    files_of_one: 16_384,
    path_bytes: 8 << 20,
    given_bytes: 64 << 10,
    failures: 32_768,
    live: 1,
};

/// Maximum pairs of interface and address. Addresses beyond are in `other`.
const MAX_ADDRESSES: usize = 65_536;

/// Everything that was counted.
#[derive(Debug)]
pub struct Sums {
    opens: Opens,
    /// Bytes of files are counted.
    has_io: bool,
    cgroups: KnownCgroups,
    /// Processes with connections, as of the last interval.
    nets: Vec<(ProcessKey, Comm, u32, Carried)>,
    pairs: Vec<(Comm, IpAddr, Carried)>,
    /// The payload of all sockets; `None` where it is unknown.
    payload: Option<Carried>,
    talkers: HashMap<(InterfaceName, IpAddr), (Traffic, Traffic)>,
    frames: (Traffic, Traffic),
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            opens: Opens::with_limits(LIMITS),
            has_io: false,
            cgroups: KnownCgroups::with_room(MAX_IN_REPORT),
            nets: Vec::new(),
            pairs: Vec::new(),
            payload: None,
            talkers: HashMap::new(),
            frames: Default::default(),
        }
    }
}

impl Sums {
    /// Counts an open.
    pub fn open(&mut self, open: &Open<'_>, cgroup: Option<&Cgroup>) {
        self.learn(open.meta.cgroup_id, cgroup);
        self.opens.add(open, open.meta.at);
    }

    /// Counts bytes and calls of a process on a file, or those of an interval that have neither.
    pub fn io(&mut self, line: &IoLine<'_>) {
        self.has_io = true;
        let mut sample = IoSample {
            at: line.at,
            interval_ns: line.interval_ns,
            more: line.of.is_some(),
            ..IoSample::default()
        };
        match line.of {
            Some(one) => {
                self.learn(one.cgroup_id, line.cgroup);
                sample.uses.push(one.clone());
            }
            None => {
                sample.other = line.counts;
                sample.other_slow = line.other_slow.unwrap_or(0);
            }
        }
        self.opens.add_io(&sample);
    }

    /// Keeps the name of a cgroup.
    fn learn(&mut self, id: Option<u64>, cgroup: Option<&Cgroup>) {
        if let (Some(id), Some(cgroup)) = (id, cgroup)
            && self.cgroups.get(id).is_none_or(|known| known.names != cgroup.names)
        {
            self.cgroups.copy(id, cgroup);
        }
    }

    /// Counts an interval of an interface.
    pub fn talkers(&mut self, sample: &TalkersSample) {
        let side = |both: &mut (Traffic, Traffic)| match sample.direction {
            Direction::Rx => both.0 = both.0 + sample.delta,
            Direction::Tx => both.1 = both.1 + sample.delta,
        };
        side(&mut self.frames);
        for source in &sample.sources {
            let key = (sample.interface.clone(), source.ip);
            if self.talkers.len() >= MAX_ADDRESSES && !self.talkers.contains_key(&key) {
                continue;
            }
            let sums = self.talkers.entry(key).or_default();
            match sample.direction {
                Direction::Rx => sums.0 = sums.0 + source.delta,
                Direction::Tx => sums.1 = sums.1 + source.delta,
            }
        }
    }

    /// Takes the processes with connections: sums since the start.
    pub fn connections(&mut self, connections: &Connections, processes: &[&Net]) {
        let owners = processes.iter().map(|net| (net.owner, net.total));
        self.nets = owners.map(|(o, total)| (o.key, o.comm, o.uid, total)).collect();
        let names: HashMap<ProcessKey, Comm> =
            self.nets.iter().map(|(key, name, _, _)| (*key, *name)).collect();
        let pairs =
            connections.pairs().filter_map(|p| Some((*names.get(&p.key)?, p.peer.ip, p.total)));
        self.pairs = pairs.collect();
        self.payload = (!connections.polled()).then_some(connections.total);
    }

    /// Opens counted, and those that failed.
    pub fn opens(&self) -> (u64, u64) {
        (self.opens.total().opens, self.opens.total().failed)
    }

    /// The largest rows, at most `top`, and the rest where there is any.
    pub fn rows(&self, by: By, top: usize) -> Vec<Row> {
        let mut rows = match by {
            By::Program => self.grouped(|name, place| (Some(name), place)),
            By::Unit => self.grouped(|_, place| (None, place)),
            By::Process => self.processes(),
            By::File => self.files(),
            By::Directory => self.directories(),
            By::Failure => self.failures(),
            By::Talker => self.addresses(),
            By::Peer => self.peers(),
            // See `connections`; of a moment: see `holders` and `listeners`.
            By::Connection | By::Holder | By::Listener => Vec::new(),
        };
        rows.sort_by(|a, b| {
            let size = |r: &Row| Reverse((r.io_bytes(), r.opens.max(r.failed), r.bytes()));
            let name = |r: &Row| (r.program.clone(), r.process.clone(), r.resolved.clone(), r.ip);
            size(a).cmp(&size(b)).then_with(|| name(a).cmp(&name(b)))
        });
        rows.truncate(top);
        let rest = self.total(by).rest(&rows);
        if !rest.is_empty() {
            rows.push(rest);
        }
        rows
    }

    /// All that the rows of a table and the rest add up to.
    fn total(&self, by: By) -> Row {
        let (opens, failed) = match by {
            By::Talker | By::Peer | By::Connection | By::Holder | By::Listener => (0, 0),
            By::Failure => (0, self.opens().1),
            _ => self.opens(),
        };
        let carried = match by {
            By::Program | By::Unit | By::Process | By::Peer => self.payload,
            _ => None,
        };
        match by {
            By::Talker => talker(&self.frames),
            By::Peer | By::Failure => {
                with_payload(Row { opens, failed, ..Row::default() }, carried)
            }
            _ => {
                let mut row = self.counted(self.opens.total());
                let other = self.opens.io().other_slow;
                // Without any durations only those of no row may be known.
                row.slow = match row.slow {
                    None => (other > 0).then_some(other),
                    Some(slow) => Some(slow.saturating_add(other)),
                };
                with_payload(row, carried)
            }
        }
    }

    /// The counts of a tally.
    fn counted(&self, tally: &Tally) -> Row {
        let io = self.has_io.then_some(tally.io.total);
        Row {
            slow: tally.io.times.as_ref().map(|times| times.slow),
            times: tally.io.times.clone(),
            opens: tally.opens,
            failed: tally.failed,
            read_bytes: io.map(|io| io.read_bytes),
            written_bytes: io.map(|io| io.written_bytes),
            ..Row::default()
        }
    }

    fn place(&self, cgroup: Option<u64>) -> RowPlace {
        let known = cgroup.and_then(|id| self.cgroups.get(id));
        known.map(RowPlace::of).unwrap_or_default()
    }

    /// The groups of the dashboard, added up by what `key` makes of name and place.
    fn grouped(&self, key: impl Fn(Comm, RowPlace) -> (Option<Comm>, RowPlace)) -> Vec<Row> {
        let mut rows: HashMap<(Option<Comm>, RowPlace), Row> = HashMap::new();
        let mut of_program: HashMap<Slot, (Option<Comm>, RowPlace)> = HashMap::new();
        for group in self.opens.groups(&self.cgroups).iter().filter(|g| g.evicted == 0) {
            let unit = group.key.place.unit();
            let of_unit = |unit: Unit<'_>| {
                RowPlace::of(&Cgroup { names: group.container.clone(), ..Cgroup::at(unit.path) })
            };
            let place = unit.map(of_unit).unwrap_or_default();
            let key = key(group.key.name, place);
            let row = Row { processes: Some(group.processes), ..self.counted(&group.tally) };
            let none = self.payload.map(|_| Carried::default());
            rows.entry(key.clone()).or_default().add(&with_payload(row, none));
            of_program.extend(group.programs.iter().map(|slot| (*slot, key.clone())));
        }
        for (process, name, _, carried) in &self.nets {
            let slot = self.opens.find(*process);
            let program = slot.and_then(|s| self.opens.program_of(self.opens.processes().get(s)?));
            let known = program.and_then(|slot| of_program.get(&slot)).cloned();
            // A process that opened something is counted with its program already.
            let processes = Some(u64::from(known.is_none()));
            let row = Row { processes, ..Row::default() };
            let key = known.unwrap_or_else(|| key(*name, RowPlace::default()));
            let row = with_payload(row, self.payload.map(|_| *carried));
            rows.entry(key).or_default().add(&row);
        }
        let named = |((name, place), counts): ((Option<Comm>, RowPlace), Row)| Row {
            program: name.map(|name| name.as_bytes().into()),
            place,
            ..counts
        };
        rows.into_iter().map(named).collect()
    }

    fn processes(&self) -> Vec<Row> {
        let carried: HashMap<ProcessKey, Carried> =
            self.nets.iter().map(|(key, _, _, carried)| (*key, *carried)).collect();
        let real = self.opens.processes().iter().filter(|(_, p)| !p.is_stand_in());
        let row = |(_, p): (Slot, &Process)| {
            let row = Row {
                process: Some(p.name.as_bytes().into()),
                pid: Some(p.key.tgid),
                uid: Some(p.uid),
                place: self.place(p.cgroup_id),
                ..self.counted(&p.tally)
            };
            let of = carried.get(&p.key).copied().unwrap_or_default();
            with_payload(row, self.payload.map(|_| of))
        };
        let silent = self.nets.iter().filter(|(key, ..)| self.opens.find(*key).is_none());
        let without_opens = silent.map(|(key, name, uid, of)| {
            let row = Row {
                process: Some(name.as_bytes().into()),
                pid: Some(key.tgid),
                uid: Some(*uid),
                ..Row::default()
            };
            with_payload(row, self.payload.map(|_| *of))
        });
        real.map(row).chain(without_opens).collect()
    }

    fn files(&self) -> Vec<Row> {
        let files = self.opens.paths().iter().filter(|(_, path)| !path.is_rest());
        let row = |(_, path): (Slot, &Path)| Row {
            resolved: Some(path.bytes.clone()),
            processes: Some(self.opens.users_of(path) as u64),
            ..self.counted(&path.tally)
        };
        files.map(row).collect()
    }

    fn directories(&self) -> Vec<Row> {
        let mut directories: HashMap<&[u8], Row> = HashMap::new();
        for (_, path) in self.opens.paths().iter() {
            let end = path.bytes.iter().rposition(|b| *b == b'/').unwrap_or(0);
            let directory = path.bytes.get(..end.max(1)).unwrap_or_default();
            let files = Some(path.evicted.max(1));
            let counts = Row { files, ..self.counted(&path.tally) };
            directories.entry(directory).or_default().add(&counts);
        }
        let row =
            |(directory, counts): (&[u8], Row)| Row { directory: Some(directory.into()), ..counts };
        directories.into_iter().map(row).collect()
    }

    /// Failures of the processes of a program together.
    fn failures(&self) -> Vec<Row> {
        let mut failures: HashMap<(Comm, Slot, i32), u64> = HashMap::new();
        for (_, failure) in self.opens.failures().iter().filter(|(_, f)| f.evicted == 0) {
            let process = self.opens.processes().get(failure.process);
            let name = process.map(|p| p.name).unwrap_or_default();
            *failures.entry((name, failure.path, failure.errno)).or_default() += failure.count;
        }
        let row = |((name, path, errno), failed): ((Comm, Slot, i32), u64)| Row {
            program: Some(name.as_bytes().into()),
            resolved: self.opens.paths().get(path).map(|path| path.label().into()),
            errno: Some(errno),
            failed,
            ..Row::default()
        };
        failures.into_iter().map(row).collect()
    }

    fn addresses(&self) -> Vec<Row> {
        let row = |((interface, ip), sums): (&(InterfaceName, IpAddr), &(Traffic, Traffic))| Row {
            interface: Some(interface.as_bytes().into()),
            ip: Some(*ip),
            ..talker(sums)
        };
        self.talkers.iter().map(row).collect()
    }

    fn peers(&self) -> Vec<Row> {
        let mut peers: HashMap<(Comm, IpAddr), Row> = HashMap::new();
        for (name, ip, carried) in &self.pairs {
            let counts = with_payload(Row::default(), self.payload.map(|_| *carried));
            peers.entry((*name, *ip)).or_default().add(&counts);
        }
        let row = |((name, ip), counts): ((Comm, IpAddr), Row)| Row {
            program: Some(name.as_bytes().into()),
            ip: Some(ip),
            ..counts
        };
        peers.into_iter().map(row).collect()
    }
}

impl RowPlace {
    /// The unit, container and pod that a cgroup names.
    pub fn of(cgroup: &Cgroup) -> Self {
        Self {
            unit: systemd_unit(&cgroup.path).map(Into::into),
            container: cgroup.owner.container().map(Into::into),
            pod: cgroup.owner.pod().map(Into::into),
            container_name: cgroup.container_name().map(Into::into),
            pod_name: cgroup.pod_name().map(Into::into),
            namespace: cgroup.namespace().map(Into::into),
        }
    }
}

fn with_payload(row: Row, carried: Option<Carried>) -> Row {
    Row { rx_bytes: carried.map(|c| c.rx_bytes), tx_bytes: carried.map(|c| c.tx_bytes), ..row }
}

fn talker((rx, tx): &(Traffic, Traffic)) -> Row {
    Row {
        rx_bytes: Some(rx.bytes),
        tx_bytes: Some(tx.bytes),
        rx_packets: rx.packets,
        tx_packets: tx.packets,
        ..Row::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::sample;

    #[test]
    fn bytes_of_files_add_up_whatever_the_rows_are() {
        let sample = sample::io();
        let mut sums = Sums::default();
        let rest = IoLine {
            at: sample.at,
            interval_ns: sample.interval_ns,
            of: None,
            counts: sample.other,
            other_slow: Some(3),
            cgroup: None,
        };
        let mut unnamed = sample.uses[0].clone();
        unnamed.place = None;
        for one in sample.uses.iter().chain([&unnamed]) {
            sums.io(&IoLine { of: Some(one), counts: one.counts, ..rest });
        }
        sums.io(&rest);
        for by in [By::Program, By::Unit, By::Process, By::File, By::Directory] {
            let rows = sums.rows(by, 10);
            let sum = |of: fn(&Row) -> Option<u64>| rows.iter().filter_map(of).sum::<u64>();
            let both = (sum(|row| row.read_bytes), sum(|row| row.written_bytes));
            assert_eq!(both, (4_096, 2 * 81_920), "{by:?}");
            assert!(rows.last().unwrap().other, "{by:?}");
            let slow: u64 = sample.uses.iter().chain([&unnamed]).map(|one| one.slow()).sum();
            assert_eq!(sum(|row| row.slow), slow + 3, "{by:?}");
        }
        let file = &sums.rows(By::File, 10)[0];
        assert_eq!(file.resolved.as_deref(), Some(&b"/var/log/nginx/access.log"[..]));
        assert_eq!(file.written_bytes, Some(81_920));
    }
}
