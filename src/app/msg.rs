//! Messages to the dashboard and effects that it asks for: its only ways in and out.

use std::net::IpAddr;

use ratatui::crossterm::event::KeyEvent;

use super::conns::ConnsSort;
use super::listeners::ListenersSort;
use super::opens::OpensSort;
use super::talkers::TalkersSort;
use super::{Pane, PlayerCommand, Recorded, Remote, Replay};
use crate::model::cgroup::Cgroup;
use crate::model::container::ContainerAnswers;
use crate::model::event::{ProbeEvent, TalkersCommand};
use crate::model::lineage::Lookup;
use crate::model::listener::Listeners;
use crate::model::names::Answer;
use crate::model::process::ProcessKey;
use crate::model::process_info::{ProcessInfo, ProcessQuery};
use crate::settings::saved_view::Value;

/// An event from outside.
#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    /// A click on a thing of the screen.
    Click(Target),
    /// The mouse drags the line between the panes: percent of the first pane.
    Drag(u16),
    /// The mouse button is released.
    Drop,
    /// The wheel over a pane, by rows.
    Wheel(Pane, isize),
    Probe(ProbeEvent),
    /// These processes have exited.
    Ended(Vec<ProcessKey>),
    /// Details of a process.
    Described(ProcessKey, Box<ProcessInfo>),
    /// The numbers of open descriptors of processes; those that could not be read are not among them.
    Descriptors(Vec<(ProcessKey, usize)>),
    /// Names of cgroups; `None` where unknown.
    Cgroups(Vec<(u64, Option<Cgroup>)>),
    /// Names of containers.
    Containers(ContainerAnswers),
    /// Parents of processes.
    Parents(Vec<Lookup>),
    /// The listeners of this machine.
    Listeners(Box<Listeners>),
    /// The name of an address.
    Named(IpAddr, Answer),
    /// The configuration file that was written, or the error.
    Saved(Result<String, String>),
    /// The outcome of a copy, in words.
    Copied(String),
    /// A report about the recording.
    Recorded(Recorded),
    /// The state of the replay.
    Replay(Replay),
    /// The state of a live recording of another machine.
    Remote(Remote),
    Tick,
}

/// Something to do outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Quit,
    /// Give the terminal back and stop, until the shell continues it.
    Suspend,
    Redraw,
    Talkers(TalkersCommand),
    /// Switch the search for names that processes ask for.
    Hostnames(bool),
    /// Copy into the terminal's clipboard; escaped, without control characters.
    Copy(String),
    /// Find out which of these processes have exited.
    AskAfter(Vec<ProcessKey>),
    /// Read the details of a process.
    Describe(ProcessQuery),
    /// Count the open descriptors of these processes.
    CountDescriptors(Vec<ProcessKey>),
    /// Look up the names of these cgroups.
    Cgroups(Vec<u64>),
    /// Look up the names of these containers.
    Containers(Vec<Box<str>>),
    /// Look up these processes, the parents of others.
    Parents(Vec<u32>),
    /// Read the listeners of this machine.
    Listeners,
    /// Resolve the names of these addresses.
    Names(Vec<IpAddr>),
    /// Write these settings into the configuration.
    Save(Vec<(&'static str, Value)>),
    /// Start recording, or stop it.
    Record(bool),
    /// Control the replay.
    Replay(PlayerCommand),
}

/// The thing at a place of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A row of a pane, by its index.
    Row(Pane, usize),
    /// A related row, by its index.
    RelatedRow(Pane, usize),
    /// A column's header.
    OpensHeader(OpensSort),
    TalkersHeader(TalkersSort),
    ConnsHeader(ConnsSort),
    ListenersHeader(ListenersSort),
    /// A pane, or the tab that brings it up.
    Pane(Pane),
    /// The line between the panes, on the side of this one.
    Split(Pane),
}
