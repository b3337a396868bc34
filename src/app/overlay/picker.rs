//! The choice of an interface and its mode: the picker, and the next one by a key.

use crate::keys::Action;
use crate::model::interface_name::InterfaceName;
use crate::model::link::{Choice, Link, XdpMode};

/// The open picker.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    pub cursor: usize,
}

impl Picker {
    /// Does what a key asks for, among `len` choices; false when the picker closes.
    pub(super) fn act(&mut self, action: Action, len: usize, page: usize) -> bool {
        let last = len.saturating_sub(1);
        let cursor = self.cursor.min(last);
        self.cursor = match action {
            Action::Up => cursor.saturating_sub(1),
            Action::Down => cursor + 1,
            Action::PageUp => cursor.saturating_sub(page),
            Action::PageDown => cursor + page,
            Action::Top => 0,
            Action::Bottom => last,
            _ => return false,
        }
        .min(last);
        true
    }
}

/// The choices in the picker's order: interfaces that are up by index, `lo`, those that are down,
/// `all`.
pub fn choices(links: &[Link]) -> Vec<Choice> {
    let mut sorted: Vec<&Link> = links.iter().collect();
    sorted.sort_by_key(|l| (!l.up, l.loopback, l.ifindex));
    let named = sorted.into_iter().map(|l| Choice::Named(l.name.clone()));
    named.chain(std::iter::once(Choice::All)).collect()
}

/// The interface `by` places after the one named `from`, among those that are up; `lo` is last.
pub fn neighbour(links: &[Link], from: Option<&InterfaceName>, by: isize) -> Option<Choice> {
    let mut up: Vec<&Link> = links.iter().filter(|l| l.up).collect();
    up.sort_by_key(|l| (l.loopback, l.ifindex));
    let len = isize::try_from(up.len()).ok().filter(|n| *n > 0)?;
    let at = from.and_then(|name| up.iter().position(|l| l.name == *name));
    let next = match at.and_then(|at| isize::try_from(at).ok()) {
        Some(at) => (at + by).rem_euclid(len),
        None if by < 0 => len - 1,
        None => 0,
    };
    up.get(usize::try_from(next).ok()?).map(|l| Choice::Named(l.name.clone()))
}

/// The mode after `mode`.
pub fn next_mode(mode: XdpMode) -> XdpMode {
    match mode {
        XdpMode::Auto => XdpMode::Native,
        XdpMode::Native => XdpMode::Generic,
        XdpMode::Generic => XdpMode::Off,
        XdpMode::Off => XdpMode::Auto,
    }
}

/// The mode's name on the command line.
pub fn mode_name(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Auto => "auto",
        XdpMode::Native => "native",
        XdpMode::Generic => "generic",
        XdpMode::Off => "off",
    }
}

/// Whether `mode` may reset the link. Attaching in the driver does so on most hardware
/// (cilium/cilium#18636); virtual pairs and tunnels have no link to reset.
pub fn may_reset(link: Option<&Link>, mode: XdpMode) -> bool {
    const NO_LINK: [&str; 6] = ["veth", "tun", "dummy", "bridge", "loopback", "netdevsim"];
    mode == XdpMode::Native
        && link.is_none_or(|l| {
            !l.loopback && !l.driver.as_deref().is_some_and(|d| NO_LINK.contains(&d))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Vec<Link> {
        let link = |ifindex, name: &str, up| Link {
            ifindex,
            name: name.into(),
            up,
            loopback: name == "lo",
            ..Link::default()
        };
        vec![link(1, "lo", true), link(4, "b", true), link(2, "a", true), link(3, "x", false)]
    }

    #[test]
    fn neighbours_go_by_index_with_lo_last() {
        let next = |from: Option<&str>, by| match neighbour(
            &links(),
            from.map(InterfaceName::from).as_ref(),
            by,
        ) {
            Some(Choice::Named(name)) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(next(Some("a"), 1), "b");
        assert_eq!(next(Some("b"), 1), "lo");
        assert_eq!(next(Some("lo"), 1), "a");
        assert_eq!(next(Some("a"), -1), "lo");
        assert_eq!(next(None, 1), "a");
        assert_eq!(neighbour(&[], None, 1), None);
    }

    #[test]
    fn an_unknown_driver_asks_first() {
        let veth = Link { driver: Some("veth".into()), ..Link::default() };
        assert!(!may_reset(Some(&veth), XdpMode::Native));
        assert!(may_reset(Some(&Link::default()), XdpMode::Native));
        assert!(may_reset(None, XdpMode::Native) && !may_reset(None, XdpMode::Generic));
    }
}
