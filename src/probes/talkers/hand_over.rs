//! How one rx hook takes over from another while frames keep coming.

use std::io;

use super::bpf_object::{Counter, HandOver};
use super::choose;
use super::direction::{Counting, attach, attach_first, is_xdp};
use super::features::Features;
use super::interface::Row;
use super::links::Links;
use crate::model::link::Hook;
use crate::model::problem::Problem;
use crate::probes::grace_period;
use crate::sys::attachment::Attachment;

/// Lets the first hook that can be had take over from the present one.
///
/// From generic XDP to an skb hook and back no frame is lost or counted twice: both programs run
/// for one frame in one pass of `__netif_receive_skb_core` on one CPU, XDP first, and the later
/// goes by what the earlier did (talkers.bpf.c). From and to native the frames that are between
/// driver and stack at that instant may count twice or not at all: nothing marks them.
pub(super) fn take_over(
    counting: &mut Counting,
    row: &Row,
    hooks: &[Hook],
    features: &mut Features,
    links: &Links,
) -> Result<(), Problem> {
    if is_xdp(counting.hook) {
        // One XDP mode excludes the other, so that an skb hook bridges them.
        let (hook, attachment) = hand_to_skb(counting, row)?;
        counting.hook = hook;
        counting.attachment = attachment;
    }
    let mut first = None;
    for &hook in hooks {
        if hook == counting.hook {
            return Ok(());
        }
        let taken = if is_xdp(hook) {
            features.before(links, row);
            let taken = hand_to_xdp(counting, row, hook);
            features.after(links, row);
            taken
        } else {
            // From one skb hook to the other nothing is gained.
            return Ok(());
        };
        match taken {
            Ok(()) => return Ok(()),
            Err(e) => first.get_or_insert_with(|| choose::refusal(row, hook, &e)),
        };
    }
    Err(first.unwrap_or_else(|| Problem::new("watch", "no hook to try", "")))
}

fn hand_to_skb(counting: &mut Counting, row: &Row) -> Result<(Hook, Attachment), Problem> {
    let control = |counter: &mut Counter, phase| {
        let set = counter.hand_over(phase);
        grace_period();
        set.map_err(|e| Problem::new("change the mode", e.to_string(), ""))
    };
    control(&mut counting.counter, HandOver::Xdp)?;
    let (hook, attachment) = match attach_first(&counting.counter, row, &[Hook::Tcx, Hook::Socket])
    {
        Ok(taken) => taken,
        Err(problem) => {
            control(&mut counting.counter, HandOver::None)?;
            return Err(problem);
        }
    };
    grace_period();
    control(&mut counting.counter, HandOver::Skb)?;
    control(&mut counting.counter, HandOver::SkbAlone)?;
    // The caller drops the XDP attachment by putting this one in its place; XDP counts nothing
    // in this phase, so it does not matter when. `None` would make it count again.
    Ok((hook, attachment))
}

fn hand_to_xdp(counting: &mut Counting, row: &Row, hook: Hook) -> io::Result<()> {
    let control = |counter: &mut Counter, phase| {
        let set = counter.hand_over(phase).map_err(io::Error::other);
        grace_period();
        set
    };
    control(&mut counting.counter, HandOver::SkbAlone)?;
    let attachment = attach(&counting.counter, row, hook)?;
    grace_period();
    control(&mut counting.counter, HandOver::Skb)?;
    control(&mut counting.counter, HandOver::Xdp)?;
    counting.attachment = attachment;
    counting.hook = hook;
    // The skb program is detached by now: XDP may stop leaving word for it.
    grace_period();
    control(&mut counting.counter, HandOver::None)
}
