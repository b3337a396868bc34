//! The table of interfaces: what netlink and the driver report, and what `auto` would do.
//!
//! It is read whole at the start, where notifications were lost, and at each tick, for counters and XDP
//! programs, which no notification reports. After a notification only the interface concerned is read.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use super::choose;
use super::interface::{Driver, Row};
use super::netlink::{Change, Netlink, RawLink};
use super::routes::Routes;
use super::third_party::AtTc;
use crate::model::interface_name::InterfaceName;
use crate::model::link::{Link, XdpMode};
use crate::sys::ethtool::Ethtool;

/// Up to so many interfaces are asked for one by one rather than by a dump of all.
const ONE_BY_ONE: usize = 16;

/// Every interface of the namespace.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) netlink: Netlink,
    pub(super) ethtool: Ethtool,
    /// The interfaces, sorted by index.
    pub(super) rows: Vec<Row>,
    drivers: HashMap<(u32, InterfaceName), Rc<Driver>>,
    addresses: HashMap<u32, Vec<IpAddr>>,
    ifbs: HashSet<u32>,
    routes: Routes,
    at_tc: AtTc,
    warning_panics: bool,
}

/// The effect of a batch of notifications.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// An interface, an address or a route did.
    pub(super) any: bool,
    /// Indexes of interfaces that were deleted: an interface that has one now is another.
    pub(super) gone: HashSet<u32>,
    /// Notifications were lost, so that any interface may be another.
    pub(super) lost: bool,
}

/// The kernel's counters that counts are compared with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KernelCounters {
    pub(super) rx_packets: u64,
    pub(super) tx_dropped: u64,
}

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open()?,
            ethtool: Ethtool::open()?,
            rows: Vec::new(),
            drivers: HashMap::new(),
            addresses: HashMap::new(),
            ifbs: HashSet::new(),
            routes: Routes::open()?,
            at_tc: AtTc::default(),
            warning_panics: warning_panics(),
        })
    }

    /// Reads everything again. `ours` are the ids of our own programs.
    pub(super) fn read_all(&mut self, ours: &HashSet<u32>) -> io::Result<()> {
        self.addresses = self.netlink.addresses()?;
        self.drivers.clear();
        self.at_tc.changed();
        self.refresh(ours, true)
    }

    /// Reads the interfaces again, but for addresses and drivers: notifications report those.
    /// `routes`: routes may have changed.
    pub(super) fn refresh(&mut self, ours: &HashSet<u32>, routes: bool) -> io::Result<()> {
        let raw = self.netlink.links()?;
        self.routes.refresh(&self.netlink, routes);
        let indexes: Vec<u32> = raw.iter().map(|l| l.ifindex).collect();
        self.ifbs = raw.iter().filter(|l| l.ifb).map(|l| l.ifindex).collect();
        self.at_tc.refresh(&self.netlink, &indexes);
        self.rows = raw.into_iter().map(|raw| self.row(raw, ours)).collect();
        Ok(())
    }

    /// Takes the waiting notifications and reads the interfaces that they are about.
    pub(super) fn take_changes(&mut self, ours: &HashSet<u32>) -> io::Result<Changed> {
        let mut changed = Changed::default();
        let mut touched = BTreeSet::new();
        for change in self.netlink.take_changes() {
            match change {
                Change::Link(ifindex) => {
                    touched.insert(ifindex);
                }
                Change::Gone(ifindex) => {
                    self.addresses.remove(&ifindex);
                    changed.gone.insert(ifindex);
                    touched.insert(ifindex);
                }
                Change::Address { ifindex, ip, added } => {
                    let addresses = self.addresses.entry(ifindex).or_default();
                    addresses.retain(|held| added || *held != ip);
                    if added && !addresses.contains(&ip) {
                        addresses.push(ip);
                    }
                    touched.insert(ifindex);
                }
                Change::TrafficControl => self.at_tc.changed(),
                Change::Lost => changed.lost = true,
            }
        }
        changed.any = changed.lost || !touched.is_empty();
        if changed.lost {
            self.read_all(ours)?;
        } else if changed.any {
            self.reread(&touched, ours)?;
            if self.routes.refresh(&self.netlink, true) {
                for row in &mut self.rows {
                    row.link.gateways = self.routes.gateways(row.link.ifindex);
                }
            }
        }
        Ok(changed)
    }

    fn reread(&mut self, indexes: &BTreeSet<u32>, ours: &HashSet<u32>) -> io::Result<()> {
        for &ifindex in indexes {
            self.drivers.retain(|(index, _), _| *index != ifindex);
            let at = self.rows.binary_search_by_key(&ifindex, |row| row.link.ifindex);
            match (self.netlink.link(ifindex)?, at) {
                (Some(raw), Ok(at)) => {
                    let new = self.row(raw, ours);
                    if let Some(row) = self.rows.get_mut(at) {
                        *row = new;
                    }
                }
                (Some(raw), Err(at)) => {
                    let new = self.row(raw, ours);
                    self.rows.insert(at, new);
                }
                (None, Ok(at)) => {
                    self.rows.remove(at);
                }
                (None, Err(_)) => {}
            }
        }
        Ok(())
    }

    fn row(&mut self, raw: RawLink, ours: &HashSet<u32>) -> Row {
        let key = (raw.ifindex, raw.name.clone());
        let driver = match self.drivers.get(&key) {
            Some(driver) => Rc::clone(driver),
            None => {
                let driver = Rc::new(self.ask_driver(&raw.name));
                self.drivers.insert(key, Rc::clone(&driver));
                driver
            }
        };
        let foreign = raw.xdp.iter().find(|(_, id)| !ours.contains(id));
        let mut row = Row {
            link: Link {
                ifindex: raw.ifindex,
                name: raw.name,
                up: raw.up,
                carrier: raw.carrier,
                loopback: raw.loopback,
                arphrd: raw.arphrd,
                mtu: raw.mtu,
                addresses: self.addresses.get(&raw.ifindex).cloned().unwrap_or_default(),
                gateways: self.routes.gateways(raw.ifindex),
                driver: driver.name.clone(),
                speed_mbit: driver.speed_mbit,
                counters: raw.counters,
                xdp: foreign.map(|(kind, id)| ((*kind).to_owned(), *id)),
                foreign: self.at_tc.foreign(raw.ifindex, &raw.xdp, ours),
                would_get: None,
                price: String::new(),
            },
            altnames: raw.altnames,
            driver,
            detour: self.at_tc.detour(raw.ifindex, |ifindex| self.ifbs.contains(&ifindex)),
            behind_tcx: self.at_tc.before_ours(raw.ifindex, ours),
            warning_panics: self.warning_panics,
        };
        let would_get = choose::rx_hooks(&row, XdpMode::Auto).into_iter().next();
        row.link.price = would_get.map_or(String::new(), |hook| choose::price(&row, hook));
        row.link.would_get = would_get;
        row
    }

    /// A driver without ethtool operations refuses: its name, speed and features are unknown.
    fn ask_driver(&self, name: &InterfaceName) -> Driver {
        Driver {
            name: self.ethtool.driver(name).ok().filter(|d| !d.is_empty()),
            speed_mbit: self.ethtool.speed_mbit(name),
            features: self.ethtool.features(name).unwrap_or_default(),
        }
    }

    /// The kernel's counters of these interfaces, as they are now.
    pub(super) fn kernel_counters(&self, indexes: &[u32]) -> HashMap<u32, KernelCounters> {
        let read = if indexes.len() <= ONE_BY_ONE {
            let one = |ifindex: &u32| self.netlink.link(*ifindex).ok().flatten();
            indexes.iter().filter_map(one).collect()
        } else {
            self.netlink.links().unwrap_or_default()
        };
        let counters = |l: RawLink| {
            let (rx_packets, tx_dropped) = (l.counters.rx_packets, l.tx_dropped);
            (l.ifindex, KernelCounters { rx_packets, tx_dropped })
        };
        read.into_iter().map(counters).collect()
    }

    pub(super) fn by_index(&self, ifindex: u32) -> Option<&Row> {
        let at = self.rows.binary_search_by_key(&ifindex, |row| row.link.ifindex).ok()?;
        self.rows.get(at)
    }

    /// The interface of exactly this name.
    pub(super) fn by_name(&self, name: &InterfaceName) -> Option<&Row> {
        self.rows.iter().find(|r| r.link.name == *name)
    }

    /// The interface that a user who typed `name` means: by name, alternative name, their escaped
    /// forms, with or without `@peer`.
    pub(super) fn find(&self, name: &InterfaceName) -> Option<&Row> {
        let meanings = name.meanings();
        meanings.iter().find_map(|name| self.rows.iter().find(|row| row.is_called(name)))
    }

    /// Every interface, as the model knows it.
    pub(super) fn links(&self) -> Vec<Link> {
        self.rows.iter().map(|r| r.link.clone()).collect()
    }

    /// The default route's interface; else the first that is up and not `lo`; else `lo`.
    pub(super) fn default(&self) -> Option<&Row> {
        self.routes
            .best()
            .and_then(|ifindex| self.by_index(ifindex))
            .or_else(|| self.rows.iter().find(|r| r.link.up && !r.link.loopback))
            .or_else(|| self.rows.iter().find(|r| r.link.loopback))
    }
}

/// Whether a warning in the kernel's log stops the machine (`kernel.panic_on_warn`).
fn warning_panics() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/panic_on_warn").is_ok_and(|on| on.trim() != "0")
}
