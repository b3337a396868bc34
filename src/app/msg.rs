//! What happens to the dashboard, and what it asks for: its only ways in and out.

use std::net::IpAddr;

use ratatui::crossterm::event::KeyEvent;

use super::{Pane, PlayerCommand, Recorded, Replay, Target};
use crate::model::cgroup::Cgroup;
use crate::model::event::{ProbeEvent, TalkersCommand};
use crate::model::names::Answer;
use crate::model::process::ProcessKey;
use crate::model::process_info::{ProcessInfo, ProcessQuery};
use crate::settings::saved_view::Value;

/// What happened.
#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    /// A click, on what the view says is there.
    Click(Target),
    /// The mouse drags the line between the panes: percent of the first pane.
    Drag(u16),
    /// The button is let go.
    Drop,
    /// The wheel, over a pane, by rows.
    Wheel(Pane, isize),
    Probe(ProbeEvent),
    /// These processes are no longer there.
    Ended(Vec<ProcessKey>),
    /// Who a process is, as far as it could be found out.
    Described(ProcessKey, Box<ProcessInfo>),
    /// What these cgroups are called; `None` where nobody knows.
    Cgroups(Vec<(u64, Option<Cgroup>)>),
    /// What an address is called.
    Named(IpAddr, Answer),
    /// The configuration's file that was written, or why none was.
    Saved(Result<String, String>),
    /// How writing a recording goes on.
    Recorded(Recorded),
    /// How a recording is being played.
    Replay(Replay),
    Tick,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Quit,
    Redraw,
    Talkers(TalkersCommand),
    /// Into the terminal's clipboard, free of anything that acts.
    Copy(String),
    /// Find out which of these processes are no longer there.
    AskAfter(Vec<ProcessKey>),
    /// Find out who this is.
    Describe(ProcessQuery),
    /// Find out what these cgroups are called.
    Cgroups(Vec<u64>),
    /// Find out what these addresses are called.
    Names(Vec<IpAddr>),
    /// Write these into the configuration.
    Save(Vec<(&'static str, Value)>),
    /// Begin to record, or end it.
    Record(bool),
    /// Play the recording in another way.
    Replay(PlayerCommand),
}
