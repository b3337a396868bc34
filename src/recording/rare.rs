//! Rare records: everything but opens, by postcard.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Seen;
use super::codec::MOST_LIST;
use crate::model::call_times::CallTimes;
use crate::model::cgroup::Cgroup;
use crate::model::conn::ConnectionsBatch;
use crate::model::container::ContainerName;
use crate::model::coverage::Missing;
use crate::model::escape::escape;
use crate::model::event::{
    ConnectionsInfo, IoInfo, ListenersInfo, OpensInfo, ProbeEnd, ProbeEvent, ProbeId, ProbeInfo,
    Watched,
};
use crate::model::file_change::FileChanges;
use crate::model::file_io::IoSample;
use crate::model::hostnames::{HostnamesBatch, MAX_NAME};
use crate::model::link::{ForeignHook, Link};
use crate::model::listener::{Listeners, MAX_LISTENERS};
use crate::model::open::{OpenBatch, OpenCounts};
use crate::model::opens::Before;
use crate::model::problem::Problem;
use crate::model::process_event::ProcessEvents;
use crate::model::quality::Quality;
use crate::model::slow_call::SlowCalls;
use crate::model::talkers::TalkersSample;
use crate::model::under_way::{FileCallsUnderWay, OpensUnderWay};

/// Everything but opens.
#[derive(Serialize, Deserialize)]
pub(super) enum Rare<'a> {
    OpensStarted(Result<OpensInfo, Problem>),
    OpensEnded(OpenCounts),
    Watching(Result<Vec<Watched>, Problem>),
    Talkers(#[serde(deserialize_with = "list")] Cow<'a, [TalkersSample]>),
    Links(#[serde(deserialize_with = "list")] Cow<'a, [Link]>),
    TalkersEnded,
    Tick,
    Cgroups(#[serde(deserialize_with = "list")] Cow<'a, [CgroupName<'a>]>),
    Unwritten,
    ConnectionsStarted(Result<ConnectionsInfo, Problem>),
    Connections(Cow<'a, ConnectionsBatch>),
    ConnectionsEnded,
    Before(Before),
    Missing {
        opens: u64,
        events: u64,
    },
    Containers(#[serde(deserialize_with = "list")] Cow<'a, [(Box<str>, Option<ContainerName>)]>),
    Processes(Cow<'a, ProcessEvents>),
    /// Connections with the quality of each, in the order of [`ConnectionsBatch::conns`].
    Measured(Cow<'a, ConnectionsBatch>, #[serde(deserialize_with = "list")] Cow<'a, [Quality]>),
    Files(Cow<'a, FileChanges>),
    IoStarted(Result<IoInfo, Problem>),
    Io(Cow<'a, IoSample>),
    IoEnded,
    OpensUnderWay(Cow<'a, OpensUnderWay>),
    SlowCalls(Cow<'a, SlowCalls>),
    /// Bytes of files with the durations of each use's calls, in the order of [`IoSample::uses`].
    Timed(Cow<'a, IoSample>, #[serde(deserialize_with = "list")] Cow<'a, [Times]>, BesideTimes),
    Hostnames(Cow<'a, HostnamesBatch>),
    ListenersStarted(Result<ListenersInfo, Problem>),
    Listeners(Cow<'a, Listeners>),
    ListenersEnded,
    FileCallsUnderWay(Cow<'a, FileCallsUnderWay>),
    /// As `Timed`, with [`IoSample::uncounted`].
    Uncounted(
        Cow<'a, IoSample>,
        #[serde(deserialize_with = "list")] Cow<'a, [Times]>,
        BesideTimes,
        u64,
    ),
}

/// Durations of the calls of a use, where these are known.
type Times = Option<Box<CallTimes>>;

/// A cgroup's id and path; `None` where it is unknown.
type CgroupName<'a> = (u64, Option<Cow<'a, [u8]>>);

/// Reads a list of [`MOST_LIST`] elements at most: each may take much more memory than bytes in the file.
fn list<'de, 'a, D, T>(deserializer: D) -> Result<Cow<'a, [T]>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Clone,
{
    struct Elements<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MOST_LIST} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == MOST_LIST {
                    return Err(A::Error::invalid_length(list.len() + 1, &self));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Elements(PhantomData)).map(Cow::Owned)
}

impl<'a> Rare<'a> {
    /// Whether its lists are no longer than those that are read.
    pub(super) fn is_readable(&self) -> bool {
        let len = match self {
            Rare::Talkers(samples) => samples.len(),
            Rare::Links(links) => links.len(),
            Rare::Cgroups(names) => names.len(),
            Rare::Containers(names) => names.len(),
            Rare::Processes(events) => events.events.len(),
            Rare::Files(changes) => changes.events.len(),
            Rare::Io(sample) | Rare::Timed(sample, ..) | Rare::Uncounted(sample, ..) => {
                sample.uses.len()
            }
            Rare::OpensUnderWay(found) => found.calls.len(),
            Rare::FileCallsUnderWay(found) => found.calls.len(),
            Rare::Listeners(found) => return found.rows.len() <= MAX_LISTENERS,
            _ => 0,
        };
        len <= MOST_LIST
    }

    /// How `seen` is written; opens are handed back.
    pub(super) fn of(seen: &'a Seen) -> Result<Self, &'a OpenBatch> {
        Ok(match seen {
            Seen::Probe(ProbeEvent::Opens(batch)) => return Err(batch),
            Seen::Probe(ProbeEvent::Started(info)) => match info {
                ProbeInfo::Opens(info) => Rare::OpensStarted(Ok(info.clone())),
                ProbeInfo::Talkers(watched) => Rare::Watching(Ok(watched.clone())),
                ProbeInfo::Connections(info) => Rare::ConnectionsStarted(Ok(info.clone())),
                ProbeInfo::Io(info) => Rare::IoStarted(Ok(info.clone())),
                ProbeInfo::Listeners(info) => Rare::ListenersStarted(Ok(info.clone())),
            },
            Seen::Probe(ProbeEvent::Failed(id, problem)) => {
                let problem = problem.clone();
                match id {
                    ProbeId::Opens => Rare::OpensStarted(Err(problem)),
                    ProbeId::Talkers => Rare::Watching(Err(problem)),
                    ProbeId::Connections => Rare::ConnectionsStarted(Err(problem)),
                    ProbeId::Io => Rare::IoStarted(Err(problem)),
                    ProbeId::Listeners => Rare::ListenersStarted(Err(problem)),
                }
            }
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Opens(counts))) => Rare::OpensEnded(*counts),
            Seen::Probe(ProbeEvent::Processes(events)) => Rare::Processes(Cow::Borrowed(events)),
            Seen::Probe(ProbeEvent::Files(changes)) => Rare::Files(Cow::Borrowed(changes)),
            Seen::Probe(ProbeEvent::Hostnames(names)) => Rare::Hostnames(Cow::Borrowed(names)),
            Seen::Probe(ProbeEvent::OpensUnderWay(found)) => {
                Rare::OpensUnderWay(Cow::Borrowed(found))
            }
            Seen::Probe(ProbeEvent::FileCallsUnderWay(found)) => {
                Rare::FileCallsUnderWay(Cow::Borrowed(found))
            }
            Seen::Probe(ProbeEvent::Cgroups(made)) => {
                let named = |(id, path): &'a (u64, Vec<u8>)| (*id, Some(path.into()));
                Rare::Cgroups(made.paths.iter().map(named).collect::<Vec<_>>().into())
            }
            Seen::Probe(ProbeEvent::Watching(watched)) => Rare::Watching(Ok(watched.clone())),
            Seen::Probe(ProbeEvent::Talkers(samples)) => Rare::Talkers(samples.into()),
            Seen::Probe(ProbeEvent::Links(links)) => Rare::Links(links.into()),
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Talkers)) => Rare::TalkersEnded,
            Seen::Probe(ProbeEvent::Connections(batch)) => connections(batch),
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Connections)) => Rare::ConnectionsEnded,
            Seen::Probe(ProbeEvent::Io(sample)) => io(sample),
            Seen::Probe(ProbeEvent::SlowCalls(slow)) => Rare::SlowCalls(Cow::Borrowed(slow)),
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Io)) => Rare::IoEnded,
            Seen::Probe(ProbeEvent::Listeners(found)) => Rare::Listeners(Cow::Borrowed(found)),
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Listeners)) => Rare::ListenersEnded,
            Seen::Tick => Rare::Tick,
            Seen::Cgroups(answers) => {
                let path = |c: &'_ Option<Cgroup>| c.as_ref().map(|c| c.path.to_vec().into());
                Rare::Cgroups(
                    answers.iter().map(|(id, c)| (*id, path(c))).collect::<Vec<_>>().into(),
                )
            }
            Seen::Containers(answers) => {
                let own = |(id, names): &(Box<str>, Option<Arc<ContainerName>>)| {
                    (id.clone(), names.as_deref().cloned())
                };
                Rare::Containers(answers.iter().map(own).collect::<Vec<_>>().into())
            }
            Seen::Unwritten => Rare::Unwritten,
            Seen::Before(before) => Rare::Before(before.clone()),
            Seen::Missing { opens, events } => Rare::Missing { opens: *opens, events: *events },
        })
    }

    /// The event that was read, with texts that do nothing on a terminal.
    pub(super) fn seen(mut self) -> Seen {
        self.make_plain();
        match self {
            Rare::OpensStarted(Ok(info)) => started(ProbeInfo::Opens(info)),
            Rare::OpensStarted(Err(problem)) => failed(ProbeId::Opens, problem),
            Rare::OpensEnded(counts) => Seen::Probe(ProbeEvent::Ended(ProbeEnd::Opens(counts))),
            Rare::Watching(Ok(watched)) => Seen::Probe(ProbeEvent::Watching(watched)),
            Rare::Watching(Err(problem)) => failed(ProbeId::Talkers, problem),
            Rare::Talkers(samples) => Seen::Probe(ProbeEvent::Talkers(samples.into_owned())),
            Rare::Links(links) => Seen::Probe(ProbeEvent::Links(links.into_owned())),
            Rare::TalkersEnded => Seen::Probe(ProbeEvent::Ended(ProbeEnd::Talkers)),
            Rare::ConnectionsStarted(Ok(info)) => started(ProbeInfo::Connections(info)),
            Rare::ConnectionsStarted(Err(problem)) => failed(ProbeId::Connections, problem),
            Rare::Connections(batch) => Seen::Probe(ProbeEvent::Connections(batch.into_owned())),
            Rare::Measured(batch, quality) => {
                let mut batch = batch.into_owned();
                for (conn, quality) in batch.conns_mut().zip(quality.iter()) {
                    conn.quality = *quality;
                }
                Seen::Probe(ProbeEvent::Connections(batch))
            }
            Rare::ConnectionsEnded => Seen::Probe(ProbeEvent::Ended(ProbeEnd::Connections)),
            Rare::Processes(events) => Seen::Probe(ProbeEvent::Processes(events.into_owned())),
            Rare::Files(changes) => Seen::Probe(ProbeEvent::Files(changes.into_owned())),
            Rare::IoStarted(Ok(info)) => started(ProbeInfo::Io(info)),
            Rare::IoStarted(Err(problem)) => failed(ProbeId::Io, problem),
            Rare::Io(sample) => Seen::Probe(ProbeEvent::Io(sample.into_owned())),
            Rare::Timed(sample, times, beside) => {
                Seen::Probe(ProbeEvent::Io(with_times(sample, times, beside)))
            }
            Rare::Uncounted(sample, times, beside, uncounted) => {
                let sample = with_times(sample, times, beside);
                Seen::Probe(ProbeEvent::Io(IoSample { uncounted, ..sample }))
            }
            Rare::SlowCalls(slow) => Seen::Probe(ProbeEvent::SlowCalls(slow.into_owned())),
            Rare::IoEnded => Seen::Probe(ProbeEvent::Ended(ProbeEnd::Io)),
            Rare::Hostnames(names) => Seen::Probe(ProbeEvent::Hostnames(names.into_owned())),
            Rare::OpensUnderWay(found) => {
                Seen::Probe(ProbeEvent::OpensUnderWay(found.into_owned()))
            }
            Rare::FileCallsUnderWay(found) => {
                Seen::Probe(ProbeEvent::FileCallsUnderWay(found.into_owned()))
            }
            Rare::ListenersStarted(Ok(info)) => started(ProbeInfo::Listeners(info)),
            Rare::ListenersStarted(Err(problem)) => failed(ProbeId::Listeners, problem),
            Rare::Listeners(found) => {
                Seen::Probe(ProbeEvent::Listeners(Box::new(found.into_owned())))
            }
            Rare::ListenersEnded => Seen::Probe(ProbeEvent::Ended(ProbeEnd::Listeners)),
            Rare::Tick => Seen::Tick,
            Rare::Containers(answers) => {
                let shared = |(id, names): (_, Option<ContainerName>)| (id, names.map(Arc::new));
                Seen::Containers(answers.into_owned().into_iter().map(shared).collect())
            }
            Rare::Cgroups(answers) => {
                let of = |path: Cow<'_, [u8]>| Cgroup::at(&path);
                Seen::Cgroups(
                    answers.into_owned().into_iter().map(|(id, p)| (id, p.map(of))).collect(),
                )
            }
            Rare::Unwritten => Seen::Unwritten,
            Rare::Before(before) => Seen::Before(before),
            Rare::Missing { opens, events } => Seen::Missing { opens, events },
        }
    }

    /// Texts of the program go to the terminal as they are; those of a file are hostile.
    fn make_plain(&mut self) {
        match self {
            Rare::OpensStarted(Err(problem))
            | Rare::Watching(Err(problem))
            | Rare::ConnectionsStarted(Err(problem))
            | Rare::IoStarted(Err(problem))
            | Rare::ListenersStarted(Err(problem)) => all_plain(problem),
            Rare::Listeners(found) => {
                found.to_mut().problem.as_mut().map(plain);
            }
            Rare::OpensStarted(Ok(OpensInfo { missing, .. }))
            | Rare::ConnectionsStarted(Ok(ConnectionsInfo { missing, .. }))
            | Rare::IoStarted(Ok(IoInfo { missing, .. }))
            | Rare::ListenersStarted(Ok(ListenersInfo { missing })) => {
                missing.iter_mut().for_each(missing_plain);
            }
            Rare::Hostnames(names) => {
                let names = names.to_mut();
                names.missing.iter_mut().for_each(missing_plain);
                names.answers.retain(|answer| answer.name.len() <= MAX_NAME);
                names.hellos.retain(|hello| hello.name.len() <= MAX_NAME);
            }
            Rare::Watching(Ok(watched)) => {
                for w in watched {
                    plain(&mut w.price);
                    w.missing.iter_mut().for_each(missing_plain);
                    w.partial.as_mut().map(plain);
                    let sides = [&mut w.rx, &mut w.tx].into_iter().filter_map(|s| s.as_mut().err());
                    sides.chain(&mut w.gone).for_each(all_plain);
                }
            }
            Rare::Talkers(samples) => {
                for sample in samples.to_mut() {
                    sample.partial.as_mut().map(plain);
                    if let Some(detail) = &mut sample.detail {
                        plain(&mut detail.since_text);
                        detail.problem.as_mut().map(plain);
                    }
                }
            }
            Rare::Links(links) => {
                for link in links.to_mut() {
                    plain(&mut link.price);
                    for foreign in &mut link.foreign {
                        if let ForeignHook::Xdp(kind) = &mut foreign.hook {
                            plain(kind.to_mut());
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Connections, with the quality of each where that of any is known. Beyond the longest list it is not
/// written.
fn connections(batch: &ConnectionsBatch) -> Rare<'_> {
    let quality = batch.conns().map(|conn| conn.quality).take(MOST_LIST);
    let quality: Vec<Quality> = quality.collect();
    let batch = Cow::Borrowed(batch);
    match quality.iter().any(|quality| *quality != Quality::default()) {
        true => Rare::Measured(batch, quality.into()),
        false => Rare::Connections(batch),
    }
}

/// Bytes of files, with durations where calls are timed. Beyond the longest list these are not written.
fn io(sample: &IoSample) -> Rare<'_> {
    let beside = BesideTimes { other_slow: sample.other_slow, untimed: sample.untimed };
    let uncounted = sample.uncounted;
    let sample = Cow::Borrowed(sample);
    let without_times =
        beside == BesideTimes::default() && sample.uses.iter().all(|one| one.times.is_none());
    if without_times && uncounted == 0 {
        return Rare::Io(sample);
    }
    let times = sample.uses.iter().map(|one| one.times.clone()).take(MOST_LIST);
    let times: Vec<Times> = times.collect();
    match uncounted {
        0 => Rare::Timed(sample, times.into(), beside),
        _ => Rare::Uncounted(sample, times.into(), beside, uncounted),
    }
}

/// The sample with the durations of each of its uses.
fn with_times(sample: Cow<'_, IoSample>, times: Cow<'_, [Times]>, beside: BesideTimes) -> IoSample {
    let BesideTimes { other_slow, untimed } = beside;
    let mut sample = IoSample { other_slow, untimed, ..sample.into_owned() };
    for (one, times) in sample.uses.iter_mut().zip(times.into_owned()) {
        one.times = times;
    }
    sample
}

/// What [`IoSample`] has beside the durations of its uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BesideTimes {
    other_slow: u64,
    untimed: u64,
}

fn started(info: ProbeInfo) -> Seen {
    Seen::Probe(ProbeEvent::Started(info))
}

fn failed(id: ProbeId, problem: Problem) -> Seen {
    Seen::Probe(ProbeEvent::Failed(id, problem))
}

fn all_plain(problem: &mut Problem) {
    let Problem { what, why, fix } = problem;
    [what, why, fix].into_iter().for_each(plain);
}

fn missing_plain(missing: &mut Missing) {
    let Missing { feature, program, error } = missing;
    [feature, program, error].into_iter().for_each(plain);
}

/// Escapes a text that holds anything that acts. One that was escaped stays as it is.
fn plain(text: &mut String) {
    if let Cow::Owned(_) = escape(text.replace('\\', "").as_bytes()) {
        *text = escape(text.as_bytes()).into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::coverage::Attribution;

    #[test]
    fn texts_of_missing_features_do_nothing_on_a_terminal() {
        let text = || "a\x1b[31m".to_owned();
        let hostile = Missing { feature: text(), program: text(), error: text() };
        let info =
            ConnectionsInfo { attribution: Attribution::Procfs, missing: vec![hostile.clone()] };
        let opens = OpensInfo { missing: vec![hostile], ..OpensInfo::default() };
        let plain = |text: &String| text == "a\\x1b[31m";
        let checked = |missing: &[Missing]| {
            missing.iter().all(|m| plain(&m.feature) && plain(&m.program) && plain(&m.error))
        };
        match Rare::ConnectionsStarted(Ok(info)).seen() {
            Seen::Probe(ProbeEvent::Started(ProbeInfo::Connections(info))) => {
                assert_eq!(info.attribution, Attribution::Procfs);
                assert!(checked(&info.missing));
            }
            seen => panic!("{seen:?}"),
        }
        match Rare::OpensStarted(Ok(opens)).seen() {
            Seen::Probe(ProbeEvent::Started(ProbeInfo::Opens(info))) => {
                assert!(checked(&info.missing))
            }
            seen => panic!("{seen:?}"),
        }
    }
}
