//! One interface with everything that choosing a hook needs.

use std::rc::Rc;

use super::third_party::Detour;
use crate::model::interface_name::InterfaceName;
use crate::model::link::Link;
use crate::sys::ethtool::Feature;

/// Properties that the driver reports.
#[derive(Clone, Debug, Default)]
pub(super) struct Driver {
    pub(super) name: Option<String>,
    pub(super) speed_mbit: Option<u32>,
    /// Empty where they cannot be read.
    pub(super) features: Vec<Feature>,
}

/// One interface.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) link: Link,
    pub(super) altnames: Vec<InterfaceName>,
    pub(super) driver: Rc<Driver>,
    /// Frames that reach it past the driver.
    pub(super) detour: Option<Detour>,
    /// A foreign TCX program runs before ours at the ingress.
    pub(super) behind_tcx: bool,
    /// A warning in the kernel's log stops the machine.
    pub(super) warning_panics: bool,
}

impl Row {
    /// Whether it has this name, or this alternative name.
    pub(super) fn is_called(&self, name: &InterfaceName) -> bool {
        self.link.name == *name || self.altnames.contains(name)
    }
}
