//! Opens as log records, with the names of the semantic conventions 1.44.
//!
//! The loop of the probes writes the records of the chosen opens one behind the other, as they stand in a
//! request; the thread puts the resource before them.

use prost::encoding::{WireType, encode_key, encode_varint, message};

use super::proto::{KeyValue, LogRecord, Resource, Scope};
use super::queue::Batch;
use crate::export::groups::Places;
use crate::export::publish::unix_ns;
use crate::model::cgroup::Cgroup;
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::open::{Open, OpenBatch};
use crate::model::time::WallOffset;
use crate::model::unit::systemd_unit;
use crate::session::Choose;

/// Bytes of records that are handed over at once.
const BUFFER: usize = 256 << 10;

/// `SEVERITY_NUMBER_INFO`: programs look for files that are not there all the time.
const INFO: i32 = 9;

/// `ScopeLogs.log_records`
const LOG_RECORDS: u32 = 2;

/// Records as they stand in a request.
#[derive(Debug, Default)]
pub struct Records {
    pub items: u64,
    bytes: Vec<u8>,
}

/// Writes records.
#[derive(Debug)]
pub struct Events {
    choose: Choose,
    records: Records,
}

impl Events {
    /// Records of the opens that are chosen.
    pub fn new(choose: Choose) -> Self {
        Self { choose, records: Records::default() }
    }

    /// Writes the records of a batch; `full` takes those that have gathered.
    pub fn opens(
        &mut self,
        batch: &OpenBatch,
        places: &mut impl Places,
        mut full: impl FnMut(Records),
    ) {
        let observed = unix_ns();
        for open in batch.iter() {
            let cgroup = match open.meta.cgroup_id {
                Some(id) if self.choose.wants_cgroup() => places.named(id),
                _ => None,
            };
            if !self.choose.open(&open, cgroup) {
                continue;
            }
            let cgroup = open.meta.cgroup_id.and_then(|id| places.named(id));
            let record = record(&open, batch.wall, cgroup, observed);
            message::encode(LOG_RECORDS, &record, &mut self.records.bytes);
            self.records.items += 1;
            if self.records.bytes.len() >= BUFFER {
                full(self.take());
            }
        }
    }

    /// The records that have gathered.
    pub fn take(&mut self) -> Records {
        std::mem::take(&mut self.records)
    }
}

fn record(open: &Open<'_>, wall: WallOffset, cgroup: Option<&Cgroup>, observed: u64) -> LogRecord {
    let meta = open.meta;
    let shown = |bytes: &[u8]| escape(bytes).into_owned();
    let mut attributes = vec![
        KeyValue::int("process.pid", meta.tgid.into()),
        KeyValue::int("process.parent_pid", meta.ppid.into()),
        KeyValue::int("process.real_user.id", meta.uid.into()),
        KeyValue::text("process.executable.name", shown(meta.process.as_bytes())),
        KeyValue::int("thread.id", meta.tid.into()),
        KeyValue::text("thread.name", shown(meta.comm.as_bytes())),
        KeyValue::text("ebpftop.open.syscall", meta.syscall.name()),
    ];
    let mut add = |pair: Option<KeyValue>| attributes.extend(pair);
    add(open.best_path().map(|path| KeyValue::text("file.path", shown(path))));
    let requested = open.path.filter(|path| open.best_path() != Some(*path));
    add(requested.map(|path| KeyValue::text("ebpftop.open.requested_path", shown(path))));
    let flags = meta.flags.and_then(|flags| i64::try_from(flags).ok());
    add(flags.map(|flags| KeyValue::int("ebpftop.open.flags", flags)));
    add(meta.errno().map(|errno| KeyValue::text("error.type", errno_name(errno))));
    if let Some(cgroup) = cgroup {
        add(Some(KeyValue::text("process.linux.cgroup", shown(&cgroup.path))));
        let unit = systemd_unit(&cgroup.path);
        add(unit.map(|unit| KeyValue::text("ebpftop.unit", shown(unit))));
        let names = [
            ("container.id", cgroup.owner.container()),
            ("container.name", cgroup.container_name()),
            ("k8s.namespace.name", cgroup.namespace()),
            ("k8s.pod.uid", cgroup.owner.pod()),
            ("k8s.pod.name", cgroup.pod_name()),
        ];
        for (key, name) in names {
            add(name.map(|name| KeyValue::text(key, shown(name.as_bytes()))));
        }
    }
    LogRecord {
        time_unix_nano: u64::try_from(wall.unix_ns(meta.at)).unwrap_or(0),
        observed_time_unix_nano: observed,
        severity_number: INFO,
        attributes,
        event_name: "ebpftop.open".into(),
    }
}

/// The request with these records: what [`super::proto::LogsRequest`] would be encoded as.
pub fn request(resource: &Resource, records: Records) -> Batch {
    let scope = Scope::of_this();
    let scope_length = message::encoded_len(1, &scope) + records.bytes.len();
    let resource_length = message::encoded_len(1, resource) + length(2, scope_length);
    let mut body = Vec::with_capacity(length(1, resource_length));
    open_message(1, resource_length, &mut body);
    message::encode(1, resource, &mut body);
    open_message(2, scope_length, &mut body);
    message::encode(1, &scope, &mut body);
    body.extend_from_slice(&records.bytes);
    Batch { items: records.items, body: body.into() }
}

fn open_message(field: u32, length: usize, to: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, to);
    encode_varint(length as u64, to);
}

/// The length of a message field whose content is so long.
fn length(field: u32, content: usize) -> usize {
    prost::encoding::key_len(field) + prost::length_delimiter_len(content) + content
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::super::proto::{Any, LogsRequest};
    use super::*;
    use crate::cli::ChooseArgs;
    use crate::export::groups::PlaceLabels;
    use crate::model::process::ProcessKey;
    use crate::settings::Settings;
    use crate::stream::sample;

    struct Pods(Cgroup);

    impl Places for Pods {
        fn named(&mut self, _id: u64) -> Option<&Cgroup> {
            Some(&self.0)
        }

        fn process(&mut self, _key: ProcessKey) -> Option<PlaceLabels> {
            None
        }
    }

    fn shown(record: &LogRecord) -> Vec<String> {
        let text = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
            Any::Text(text) => format!("{}={text}", pair.key),
            Any::Int(n) => format!("{}={n}", pair.key),
        };
        record.attributes.iter().map(text).collect()
    }

    fn records(filter: &str) -> Vec<LogRecord> {
        let settings = Settings { filter: Some(filter.into()), ..Settings::default() };
        let choose = Choose::new(&settings, &ChooseArgs::default()).unwrap();
        let mut events = Events::new(choose);
        let mut pods = Pods(sample::cgroup());
        events.opens(&sample::opens(), &mut pods, |_| panic!("it is not full"));
        let records = events.take();
        let items = records.items;
        let resource = Resource { attributes: vec![KeyValue::text("host.name", "a")] };
        let batch = request(&resource, records);
        assert_eq!(batch.items, items);
        let request = LogsRequest::decode(batch.body).unwrap();
        let [of] = &*request.resource_logs else { panic!() };
        let [scope] = &*of.scope_logs else { panic!() };
        assert_eq!(
            (of.resource.as_ref(), &scope.scope),
            (Some(&resource), &Some(Scope::of_this()))
        );
        assert_eq!(scope.log_records.len() as u64, items);
        scope.log_records.clone()
    }

    #[test]
    fn a_record_has_the_names_of_the_conventions() {
        let [record] = &*records("err:any") else { panic!() };
        assert_eq!(record.event_name, "ebpftop.open");
        assert_eq!(record.time_unix_nano, {
            let opens = sample::opens();
            let at = opens.iter().nth(1).unwrap().meta.at;
            opens.wall.unix_ns(at) as u64
        });
        assert!(record.observed_time_unix_nano > 0);
        insta::assert_debug_snapshot!(shown(record));
        assert_eq!(records("").len(), 2);
        assert_eq!(records("path:no-such-path").len(), 0);
    }

    #[test]
    fn records_are_handed_over_before_they_are_too_many() {
        let mut events = Events::new(Choose::default());
        let (opens, mut pods) = (sample::opens(), Pods(sample::cgroup()));
        let (mut items, mut parts) = (0, 0);
        for _ in 0..1_000 {
            events.opens(&opens, &mut pods, |records| {
                assert!(records.bytes.len() < BUFFER + 8_192);
                items += records.items;
                parts += 1;
            });
        }
        assert!(parts > 1);
        assert_eq!(items + events.take().items, 2_000);
    }
}
