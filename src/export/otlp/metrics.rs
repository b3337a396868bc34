//! Snapshots as requests: the families, labels and values of `/metrics`.
//!
//! A family `ebpftop_open_failures` is the metric `ebpftop.open_failures`, and its labels are attributes
//! of the same names. So a receiver that writes for Prometheus gives it the names of a scrape.

use prost::Message as _;

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
        for samples in families {
            let mut rest = &*samples.samples;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(MAX_POINTS - points));
                rest = later;
                points += now.len();
                let now = now.iter().map(|sample| self.point(samples.family, sample, at));
                metrics.push(metric(samples.family, now.collect()));
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

    fn point(&self, family: &Family, sample: &Sample, at: u64) -> NumberDataPoint {
        let labels = sample.labels.iter().flatten();
        let attributes = labels
            .flat_map(|labels| pairs(labels))
            .map(|(name, value)| KeyValue::text(name, value));
        let start = match (family.kind, sample.start) {
            (Kind::Counter, 0) => self.began,
            (Kind::Counter, start) => start,
            // A gauge has none.
            (Kind::Gauge | Kind::Info, _) => 0,
        };
        NumberDataPoint {
            attributes: attributes.collect(),
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

fn metric(family: &Family, data_points: Vec<NumberDataPoint>) -> Metric {
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
    Metric {
        name: name.replacen('_', ".", 1),
        description: family.help.to_owned(),
        // Codes of UCUM. No unit rather than `1`, which receivers take for a ratio.
        unit: match family.unit {
            "bytes" => "By",
            "seconds" => "s",
            _ => "",
        }
        .into(),
        data: Some(data),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::export::families::{BUILD, CPU, OPENS};
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
        assert_eq!((batches.len(), batches[0].items), (1, 2));
        let metrics = metrics(&batches[0]);
        let shown: Vec<_> = metrics.iter().map(|m| (&*m.name, &*m.unit)).collect();
        assert_eq!(shown, [("ebpftop.build_info", ""), ("ebpftop.process_cpu_seconds", "s")]);
        let Some(Data::Gauge(gauge)) = &metrics[0].data else { panic!() };
        assert_eq!(gauge.data_points[0].attributes, [KeyValue::text("version", "1")]);
        let Some(Data::Sum(sum)) = &metrics[1].data else { panic!() };
        let point = &sum.data_points[0];
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
        assert_eq!(point.value, Some(Number::Double(0.5)));
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
            Samples { family: &CPU, samples: samples(1_500) },
            Samples { family: &OPENS, samples: samples(3_000) },
        ];
        let batches = writer.requests(&all, 9);
        assert_eq!(batches.iter().map(|b| b.items).collect::<Vec<_>>(), [2_000, 2_000, 500]);
        let names: Vec<Vec<String>> =
            batches.iter().map(|b| metrics(b).into_iter().map(|m| m.name).collect()).collect();
        let (cpu, opens) = ("ebpftop.process_cpu_seconds", "ebpftop.opens");
        assert_eq!(names, [vec![cpu, opens], vec![opens], vec![opens]]);
    }
}
