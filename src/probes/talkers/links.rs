//! The table of interfaces: what netlink tells, what the driver tells, and what `auto` would do.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::io;

use super::choose;
use super::netlink::{Netlink, RawLink};
use super::routes::Routes;
use super::third_party::AtTc;
use crate::model::link::{Link, XdpMode};
use crate::sys::ethtool::{Ethtool, Feature};

/// What the driver tells, asked for once and again when a link changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Driver {
    pub(super) name: Option<String>,
    pub(super) speed_mbit: Option<u32>,
    /// Empty where it could not be read.
    pub(super) features: Vec<Feature>,
}

/// One interface with all that choosing a hook needs.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) link: Link,
    pub(super) raw_name: CString,
    pub(super) driver: Driver,
}

/// Every interface of the namespace, by index.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) netlink: Netlink,
    pub(super) ethtool: Ethtool,
    pub(super) rows: Vec<Row>,
    drivers: HashMap<(u32, CString), Driver>,
    addresses: HashMap<u32, Vec<std::net::IpAddr>>,
    routes: Routes,
    at_tc: AtTc,
}

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open()?,
            ethtool: Ethtool::open()?,
            rows: Vec::new(),
            drivers: HashMap::new(),
            addresses: HashMap::new(),
            routes: Routes::open()?,
            at_tc: AtTc::default(),
        })
    }

    /// Reads the table anew; `changed`: addresses and what drivers tell too. `ours` are the ids
    /// of our own programs, which are nobody else's.
    pub(super) fn refresh(&mut self, changed: bool, ours: &HashSet<u32>) -> io::Result<()> {
        let raw = self.netlink.links()?;
        if changed {
            self.addresses = self.netlink.addresses()?;
            self.drivers.clear();
        }
        self.routes.refresh(&self.netlink, changed);
        let indexes: Vec<u32> = raw.iter().map(|l| l.ifindex).collect();
        self.at_tc.refresh(&self.netlink, &indexes, changed);
        self.rows = raw.into_iter().map(|raw| self.row(raw, ours)).collect();
        Ok(())
    }

    fn row(&mut self, raw: RawLink, ours: &HashSet<u32>) -> Row {
        let key = (raw.ifindex, raw.name.clone());
        let driver = match self.drivers.get(&key) {
            Some(driver) => driver.clone(),
            None => {
                let driver = self.ask_driver(&raw);
                self.drivers.insert(key, driver.clone());
                driver
            }
        };
        let foreign = raw.xdp.iter().find(|(_, id)| !ours.contains(id));
        let mut row = Row {
            link: Link {
                ifindex: raw.ifindex,
                name: raw.name.to_string_lossy().into_owned(),
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
            raw_name: raw.name,
            driver,
        };
        let would_get = choose::rx_hooks(&row, XdpMode::Auto).into_iter().next();
        row.link.price = would_get.map_or(String::new(), |hook| choose::price(&row, hook));
        row.link.would_get = would_get;
        row
    }

    fn ask_driver(&self, raw: &RawLink) -> Driver {
        // A driver without ethtool operations refuses: not known, then.
        Driver {
            name: self.ethtool.driver(&raw.name).ok().filter(|d| !d.is_empty()),
            speed_mbit: self.ethtool.speed_mbit(&raw.name),
            features: self.ethtool.features(&raw.name).unwrap_or_default(),
        }
    }

    pub(super) fn by_index(&self, ifindex: u32) -> Option<&Row> {
        self.rows.iter().find(|r| r.link.ifindex == ifindex)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.link.name == name)
    }

    /// For people.
    pub(super) fn told(&self) -> Vec<Link> {
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
