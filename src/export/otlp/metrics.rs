//! Snapshots as requests: the families, labels and values of `/metrics`.
//!
//! A family `ebpftop_open_failures` is the metric `ebpftop.open_failures`, and its labels are attributes
//! of the same names. So a receiver that writes for Prometheus gives it the names of a scrape. Families that the
//! semantic conventions define come once more by those names.

use prost::Message as _;

use super::conventions::{self, Convention};
use super::proto::{
    CUMULATIVE, Data, Gauge, KeyValue, Metric, MetricsRequest, Number, NumberDataPoint, Resource,
    ResourceMetrics, Scope, ScopeMetrics, Sum,
};
use super::queue::Batch;
use crate::export::text::{Family, Kind, Sample, Samples, Value, pairs};

/// Maximum data points of a request: some 400 KiB.
const MAX_POINTS: usize = 2_000;

/// Writes requests.
#[derive(Debug)]
pub struct Writer {
    resource: Resource,
    /// The start of the program, Unix time in ns.
    began: u64,
}

impl Writer {
    /// Metrics of a resource, counted since `began`, Unix time in ns.
    pub fn new(resource: Resource, began: u64) -> Self {
        Self { resource, began }
    }

    /// The requests for a snapshot that was taken at `at`, Unix time in ns.
    pub fn requests(&self, families: &[Samples], at: u64) -> Vec<Batch> {
        let mut requests = Vec::new();
        let (mut metrics, mut points) = (Vec::new(), 0);
        let own = families.iter().map(|samples| (samples, None));
        let by_convention = families.iter().filter_map(|samples| {
            let convention = conventions::of(samples.family)?;
            Some((samples, Some(convention)))
        });
        for (samples, convention) in own.chain(by_convention) {
            let mut rest = &*samples.samples;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(MAX_POINTS - points));
                rest = later;
                points += now.len();
                let point = |sample| self.point(samples.family, convention, sample, at);
                let now = now.iter().map(point);
                metrics.push(metric(samples.family, convention, now.collect()));
                if points == MAX_POINTS {
                    requests.push(self.request(std::mem::take(&mut metrics), points));
                    points = 0;
                }
            }
        }
        if points > 0 {
            requests.push(self.request(metrics, points));
        }
        requests
    }

    fn point(
        &self,
        family: &Family,
        convention: Option<&Convention>,
        sample: &Sample,
        at: u64,
    ) -> NumberDataPoint {
        let labels = sample.labels.iter().flatten().flat_map(|labels| pairs(labels));
        let attributes = match convention {
            None => labels.map(|(name, value)| KeyValue::text(name, value)).collect(),
            Some(_) => conventions::attributes(labels),
        };
        let start = match (family.kind, sample.start) {
            (Kind::Counter, 0) => self.began,
            (Kind::Counter, start) => start,
            // A gauge has none.
            (Kind::Gauge | Kind::Info, _) => 0,
        };
        NumberDataPoint {
            attributes,
            // The clock may have been set back in between.
            start_time_unix_nano: start.min(at),
            time_unix_nano: at,
            value: Some(match sample.value {
                Value::Int(n) => Number::Int(i64::try_from(n).unwrap_or(i64::MAX)),
                Value::Float(n) => Number::Double(n),
            }),
        }
    }

    fn request(&self, metrics: Vec<Metric>, points: usize) -> Batch {
        let request = MetricsRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics { scope: Some(Scope::of_this()), metrics }],
            }],
        };
        Batch { items: points as u64, body: request.encode_to_vec().into() }
    }
}

/// The data points of a snapshot.
pub fn points(families: &[Samples]) -> u64 {
    let times = |family| 1 + u64::from(conventions::of(family).is_some());
    families.iter().map(|all| all.samples.len() as u64 * times(all.family)).sum()
}

fn metric(
    family: &Family,
    convention: Option<&Convention>,
    data_points: Vec<NumberDataPoint>,
) -> Metric {
    let name = match family.kind {
        Kind::Info => family.sample_name(),
        Kind::Counter | Kind::Gauge => family.name.to_owned(),
    };
    let data = match family.kind {
        Kind::Counter => {
            Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        Kind::Gauge | Kind::Info => Data::Gauge(Gauge { data_points }),
    };
    // Codes of UCUM. No unit rather than `1`, which receivers take for a ratio.
    let unit = match (convention, family.unit) {
        (Some(convention), _) => convention.unit,
        (None, "bytes") => "By",
        (None, "seconds") => "s",
        (None, _) => "",
    };
    Metric {
        name: convention.map_or_else(|| name.replacen('_', ".", 1), |c| c.name.to_owned()),
        description: family.help.to_owned(),
        unit: unit.into(),
        data: Some(data),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::export::families::{BUILD, CONNECTION_BYTES, CPU, GROUPS, INTERFACE_BYTES, OPENS};
    use crate::export::text::labels;

    fn sample(labels: Option<Arc<str>>, value: Value) -> Sample {
        Sample::new([labels, None], value)
    }

    fn metrics(batch: &Batch) -> Vec<Metric> {
        let request = MetricsRequest::decode(batch.body.clone()).unwrap();
        request.resource_metrics[0].scope_metrics[0].metrics.clone()
    }

    #[test]
    fn names_units_and_kinds_follow_from_the_family() {
        let writer = Writer::new(Resource::default(), 5);
        let version = labels([("version", "1")]);
        let all = [
            Samples { family: &BUILD, samples: vec![sample(Some(version), Value::Int(1))] },
            Samples { family: &OPENS, samples: vec![] },
            Samples { family: &CPU, samples: vec![sample(None, Value::Float(0.5))] },
        ];
        let batches = writer.requests(&all, 9);
        assert_eq!((batches.len(), batches[0].items, points(&all)), (1, 3, 3));
        let metrics = metrics(&batches[0]);
        let shown: Vec<_> = metrics.iter().map(|m| (&*m.name, &*m.unit)).collect();
        let by_convention = ("process.cpu.time", "s");
        let own = [("ebpftop.build_info", ""), ("ebpftop.process_cpu_seconds", "s")];
        assert_eq!(shown, [own[0], own[1], by_convention]);
        let Some(Data::Gauge(gauge)) = &metrics[0].data else { panic!() };
        assert_eq!(gauge.data_points[0].attributes, [KeyValue::text("version", "1")]);
        let Some(Data::Sum(sum)) = &metrics[1].data else { panic!() };
        let point = &sum.data_points[0];
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
        assert_eq!(point.value, Some(Number::Double(0.5)));
    }

    #[test]
    fn the_conventions_have_names_of_their_own_for_labels() {
        let one = |labels| sample(Some(labels), Value::Int(1));
        let all = [
            Samples {
                family: &INTERFACE_BYTES,
                samples: vec![one(labels([("interface", "eth0"), ("direction", "rx")]))],
            },
            Samples {
                family: &CONNECTION_BYTES,
                samples: vec![one(labels([
                    ("unit", "a.service"),
                    ("program", "b"),
                    ("direction", "tx"),
                ]))],
            },
        ];
        let metrics = metrics(&Writer::new(Resource::default(), 5).requests(&all, 9)[0]);
        let shown = metrics.iter().skip(2).map(|metric| {
            let Some(Data::Sum(sum)) = &metric.data else { panic!() };
            (&*metric.name, sum.data_points[0].attributes.clone())
        });
        let text = |(name, value): (&str, &str)| KeyValue::text(name, value);
        let system = [("network.interface.name", "eth0"), ("network.io.direction", "receive")];
        let process = [
            ("ebpftop.unit", "a.service"),
            ("process.executable.name", "b"),
            ("network.io.direction", "transmit"),
        ];
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                ("system.network.io", system.map(text).to_vec()),
                ("process.network.io", process.map(text).to_vec()),
            ]
        );
    }

    #[test]
    fn no_counter_starts_after_its_time() {
        let writer = Writer::new(Resource::default(), 5);
        let starts = |at| {
            let sample = |start| Sample { start, ..sample(None, Value::Int(u64::MAX)) };
            let all = [Samples { family: &OPENS, samples: [0, 20, 30].map(sample).into() }];
            let Some(Data::Sum(sum)) = &metrics(&writer.requests(&all, at)[0])[0].data.clone()
            else {
                panic!()
            };
            assert_eq!(sum.data_points[0].value, Some(Number::Int(i64::MAX)));
            sum.data_points.iter().map(|point| point.start_time_unix_nano).collect::<Vec<_>>()
        };
        assert_eq!(starts(40), [5, 20, 30]);
        // The clock was set back.
        assert_eq!(starts(25), [5, 20, 25]);
        assert_eq!(starts(3), [3, 3, 3]);
    }

    #[test]
    fn many_points_are_several_requests() {
        let writer = Writer::new(Resource::default(), 5);
        let samples = |n: usize| vec![sample(None, Value::Int(1)); n];
        let all = [
            Samples { family: &GROUPS, samples: samples(1_500) },
            Samples { family: &OPENS, samples: samples(3_000) },
        ];
        let batches = writer.requests(&all, 9);
        assert_eq!(batches.iter().map(|b| b.items).collect::<Vec<_>>(), [2_000, 2_000, 500]);
        let names: Vec<Vec<String>> =
            batches.iter().map(|b| metrics(b).into_iter().map(|m| m.name).collect()).collect();
        let (groups, opens) = ("ebpftop.groups", "ebpftop.opens");
        assert_eq!(names, [vec![groups, opens], vec![opens], vec![opens]]);
    }
}
