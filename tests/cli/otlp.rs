//! `export --otlp`, into a receiver that decodes, refuses, hangs and goes away.

use std::collections::BTreeMap;

use ebpftop::export::proto::{
    Any, Data, KeyValue, LogRecord, LogsRequest, MetricsRequest, Number, PartialSuccess, Response,
};
use prost::Message;

use crate::common::exporter::{Exporter, sum};
use crate::common::patience::until;
use crate::common::program::{Ended, ended, program, run};
use crate::common::receiver::{Certificate, Play, Receiver, Request};

fn demo() -> String {
    format!("{}/assets/demo.ebpftop", env!("CARGO_MANIFEST_DIR"))
}

/// A data point: its metric, its labels as `key=value`, its time and its value.
struct Point {
    metric: String,
    labels: Vec<String>,
    at: u64,
    value: f64,
}

fn text(pair: &KeyValue) -> String {
    match pair.value.clone().unwrap().value.unwrap() {
        Any::Text(text) => format!("{}={text}", pair.key),
        Any::Int(n) => format!("{}={n}", pair.key),
    }
}

/// The data points of a request, and its resource.
fn points(request: &Request) -> (Vec<Point>, Vec<String>) {
    assert_eq!(request.path, "/v1/metrics");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    let decoded = MetricsRequest::decode(&*request.unpacked()).unwrap();
    let [of] = &*decoded.resource_metrics else { panic!() };
    let [scope] = &*of.scope_metrics else { panic!() };
    let mut all = Vec::new();
    for metric in &scope.metrics {
        let points = match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => &gauge.data_points,
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                assert!(sum.data_points.iter().all(|p| p.start_time_unix_nano <= p.time_unix_nano));
                &sum.data_points
            }
        };
        all.extend(points.iter().map(|point| Point {
            metric: metric.name.clone(),
            labels: point.attributes.iter().map(text).collect(),
            at: point.time_unix_nano,
            value: match point.value.as_ref().unwrap() {
                Number::Int(n) => *n as f64,
                Number::Double(n) => *n,
            },
        }));
    }
    (all, of.resource.as_ref().unwrap().attributes.iter().map(text).collect())
}

fn report(by: &str) -> Ended {
    run(&["report", &demo(), "--by", by, "--top", "100000", "--format", "json"])
}

fn partial(rejected: i64) -> Play {
    let error_message = "too old".into();
    let partial_success = Some(PartialSuccess { rejected, error_message });
    Play::Answer(200, "", Response { partial_success }.encode_to_vec())
}

/// Sums of the newest snapshot by metric, and by `metric{direction=…}`.
fn newest(requests: &[Request]) -> BTreeMap<String, f64> {
    let all: Vec<Point> = requests.iter().flat_map(|request| points(request).0).collect();
    let at = all.iter().map(|point| point.at).max().unwrap();
    let mut sums = BTreeMap::new();
    for point in all.iter().filter(|point| point.at == at) {
        *sums.entry(point.metric.clone()).or_default() += point.value;
        for label in point.labels.iter().filter(|label| label.contains("direction=")) {
            *sums.entry(format!("{} {label}", point.metric)).or_default() += point.value;
        }
    }
    sums
}

#[test]
fn metrics_arrive_whole_and_every_loss_is_counted() {
    let plays = [
        Play::ok(),
        Play::Answer(503, "", Vec::new()),
        Play::Answer(429, "Retry-After: 0\r\n", b"busy".into()),
        // The times between attempts are short again.
        Play::ok(),
        Play::Hang,
        Play::Deaf,
        Play::ok(),
        Play::Cut,
        Play::Answer(400, "", b"no".into()),
        partial(7),
    ];
    let receiver = Receiver::start("/v1/metrics", &plays, None);
    let url = format!("http://{}", receiver.address);
    let demo = demo();
    let args = ["--from", &demo, "--at-once", "--interval", "100ms", "--max-groups", "5000"];
    let exporter = Exporter::start_with(
        &[&args[..], &["--otlp", &url]].concat(),
        &[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "400"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
            ("OTEL_SERVICE_NAME", "edge"),
        ],
    );
    // Scrapes are answered all the while, and show what becomes of the requests.
    let scrape = exporter.until("all of it to be played", |scrape| {
        let requests = "ebpftop_otlp_requests_total";
        ["503", "429", "timeout", "connection", "400"]
            .iter()
            .all(|code| sum(scrape, requests, &[&format!("code=\"{code}\"")]) >= 1.0)
            && sum(scrape, "ebpftop_otlp_items_dropped_total", &["reason=\"rejected\""]) == 7.0
            && sum(scrape, requests, &["code=\"200\""]) >= 4.0
    });
    let dropped = |reason: &str| {
        let label = format!("reason=\"{reason}\"");
        sum(&scrape, "ebpftop_otlp_items_dropped_total", &["signal=\"metrics\"", &label])
    };
    let refused = dropped("refused");
    assert!(refused > 0.0, "{scrape:?}");
    let (code, said) = exporter.end();
    assert_eq!(code, 0, "{said}");

    // Each data point was taken, refused or rejected.
    let requests = receiver.requests();
    let items = |chosen: &dyn Fn(&Play) -> bool| -> usize {
        let chosen = requests.iter().filter(|r| chosen(&r.play));
        chosen.map(|request| points(request).0.len()).sum()
    };
    let taken = items(&|play| matches!(play, Play::Answer(200, ..)));
    assert_eq!(items(&|play| matches!(play, Play::Answer(400, ..))) as f64, refused);
    let end = said.lines().last().unwrap();
    let numbers: Vec<f64> = end.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [lost, all] = numbers[..] else { panic!("{said}") };
    assert_eq!(all - lost, taken as f64 - 7.0, "{said}");
    // A machine that is too slow for a tenth of a second drops whole snapshots.
    assert!(lost - refused - 7.0 >= dropped("queue_full"), "{said}");
    for line in [
        "OTEL_EXPORTER_OTLP_COMPRESSION: use gzip or none; sending without compression",
        &format!("sending metrics to {url}/v1/metrics\n"),
        &format!("{url}/v1/metrics: 503 Service Unavailable; trying again\n"),
        &format!("{url}/v1/metrics: accepted again\n"),
    ] {
        assert!(said.contains(line), "{said}");
    }

    // The sums are those of the report.
    let sums = newest(&receiver.taken());
    let report =
        |by: &str| run(&["report", &demo, "--by", by, "--top", "100000", "--format", "json"]);
    let (programs, talkers, failures) = (report("program"), report("talker"), report("failure"));
    let total = |run: &Ended, key: &str| -> f64 {
        run.of_type("report").iter().filter_map(|row| row[key].as_f64()).sum()
    };
    let end = programs.lines().pop().unwrap();
    let lost = sums["ebpftop.opens_lost"];
    assert_eq!(lost, end["opens_lost"].as_f64().unwrap());
    assert_eq!(sums["ebpftop.opens"] - lost, end["opens"].as_f64().unwrap());
    assert_eq!(sums["ebpftop.open_failures"], total(&failures, "failed"));
    for direction in ["rx", "tx"] {
        let key = format!("{direction}_bytes");
        let sum = |metric: &str| sums[&format!("{metric} direction={direction}")];
        assert_eq!(sum("ebpftop.interface_bytes"), total(&talkers, &key));
        assert_eq!(sum("ebpftop.talker_bytes"), total(&talkers, &key));
        let view = if direction == "rx" { "receive" } else { "transmit" };
        let by_convention = |metric: &str| sums[&format!("{metric} network.io.direction={view}")];
        assert_eq!(by_convention("system.network.io"), total(&talkers, &key));
        assert_eq!(by_convention("process.network.io"), sum("ebpftop.connection_bytes"));
        let carried =
            sum("ebpftop.connection_bytes") + sum("ebpftop.connection_unattributed_bytes");
        assert_eq!(carried, total(&programs, &key));
    }
    let (_, resource) = points(&requests[0]);
    let version = format!("service.version={}", env!("CARGO_PKG_VERSION"));
    assert_eq!(resource[..2], ["service.name=edge".to_owned(), version]);
    let host = resource[2].strip_prefix("host.name=").unwrap();
    let instance = format!("service.instance.id={host}");
    assert_eq!(resource[3..], ["deployment.environment.name=test".to_owned(), instance]);
}

/// The log records of a request.
fn records(request: &Request) -> Vec<LogRecord> {
    let decoded = LogsRequest::decode(&*request.unpacked()).unwrap();
    let [of] = &*decoded.resource_logs else { panic!() };
    assert!(of.resource.as_ref().unwrap().attributes.iter().any(|pair| pair.key == "host.name"));
    let [scope] = &*of.scope_logs else { panic!() };
    scope.log_records.clone()
}

#[test]
fn chosen_opens_arrive_as_log_records_and_every_loss_is_counted() {
    let plays = [
        Play::ok(),
        Play::Answer(502, "Retry-After: 0\r\n", Vec::new()),
        Play::Cut,
        Play::Answer(403, "", Vec::new()),
        partial(3),
    ];
    let receiver = Receiver::start("/v1/logs", &plays, None);
    let url = format!("http://{}", receiver.address);
    let demo = demo();
    let start = |url: &str, filter: &[&str]| {
        let args = ["--from", &demo, "--at-once", "--otlp", url, "--otlp-events"];
        let packed = [("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip")];
        Exporter::start_with(&[&args[..], filter].concat(), &packed)
    };
    let sent = |scrape: &_| sum(scrape, "ebpftop_otlp_items_sent_total", &["signal=\"logs\""]);
    // All opens, into a receiver that does not take all.
    let exporter = start(&url, &["-f", ""]);
    let lines = report("program").lines();
    let opens = lines.last().unwrap()["opens"].as_f64().unwrap();
    let lost = |scrape: &_| sum(scrape, "ebpftop_otlp_items_dropped_total", &["signal=\"logs\""]);
    let scrape = exporter.until("all opens", |s| sent(s) + lost(s) == opens);
    let (code, said) = exporter.end();
    let of = |chosen: &dyn Fn(&Play) -> bool| -> Vec<LogRecord> {
        let logs = receiver.requests().into_iter().filter(|r| r.path == "/v1/logs");
        logs.filter(|r| chosen(&r.play)).flat_map(|r| records(&r)).collect()
    };
    let taken = of(&|play| matches!(play, Play::Answer(200, ..)));
    let refused = of(&|play| matches!(play, Play::Answer(403, ..)));
    assert!(!refused.is_empty());
    assert_eq!(sent(&scrape), taken.len() as f64 - 3.0);
    let end = format!("otlp: {} of {opens} log records did not arrive", lost(&scrape));
    assert!(code == 0 && said.contains(&end), "{said}{end}");
    for request in receiver.requests() {
        let is_logs = request.path == "/v1/logs";
        assert_eq!(request.header("content-encoding"), is_logs.then_some("gzip"));
        let (packed, unpacked) = (request.body.len(), request.unpacked().len());
        assert!(!is_logs || unpacked < 64 << 10 || packed < unpacked / 4, "{packed} of {unpacked}");
    }
    // Each open once, although requests were sent again.
    let distinct: std::collections::BTreeSet<_> =
        taken.iter().map(|r| (r.time_unix_nano, format!("{:?}", r.attributes))).collect();
    assert_eq!(distinct.len(), taken.len());

    // Failed ones alone, by default.
    let receiver = Receiver::start("/v1/logs", &[], None);
    let exporter = start(&format!("http://{}", receiver.address), &[]);
    let failures: f64 =
        report("failure").of_type("report").iter().filter_map(|row| row["failed"].as_f64()).sum();
    exporter.until("the failures", |s| sent(s) == failures);
    let taken = receiver.taken();
    let logs: Vec<_> = taken.iter().filter(|r| r.path == "/v1/logs").flat_map(records).collect();
    assert_eq!(logs.len() as f64, failures);
    for record in logs {
        assert_eq!(record.event_name, "ebpftop.open");
        let names: Vec<_> = record.attributes.iter().map(text).collect();
        assert!(names.contains(&"error.type=ENOENT".to_owned()), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("file.path=/")), "{names:?}");
    }
    assert_eq!(exporter.end().0, 0);
}

/// The increase of a metric that a server computes from all data points.
fn increase(requests: &[Request], metric: &str) -> f64 {
    let mut last = BTreeMap::new();
    let all = requests.iter().flat_map(|request| points(request).0);
    all.filter(|point| point.metric == metric).fold(0.0, |sum, point| {
        // The first value of a series is no increment.
        let before = last.insert(point.labels, point.value).unwrap_or(point.value);
        sum + if point.value < before { point.value } else { point.value - before }
    })
}

#[test]
fn the_end_sends_the_last_part_of_an_interval_although_the_receiver_was_busy() {
    // It asks for more time than the program has at the end.
    let plays = [
        Play::Answer(503, "Retry-After: 300\r\n", Vec::new()),
        Play::Answer(503, "Retry-After: 300\r\n", Vec::new()),
        Play::Cut,
    ];
    let receiver = Receiver::start("/v1/metrics", &plays, None);
    let url = format!("http://{}", receiver.address);
    let demo = demo();
    // No snapshot between the start and the end. All opens are sent as well, in parts.
    let args = ["--from", &demo, "--interval", "60s", "--otlp", &url, "--otlp-events", "-f", ""];
    let exporter = Exporter::start_with(&args, &[]);
    until("opens", || receiver.requests().into_iter().find(|r| r.path == "/v1/logs"));
    until("metrics", || receiver.requests().into_iter().find(|r| r.path == "/v1/metrics"));
    let (code, said) = exporter.end();
    assert!(code == 0 && !said.contains("did not arrive"), "{said}");
    let (logs, metrics): (Vec<_>, Vec<_>) =
        receiver.taken().into_iter().partition(|request| request.path == "/v1/logs");
    let opens = logs.iter().map(|request| records(request).len()).sum::<usize>() as f64;
    let lost = increase(&metrics, "ebpftop.opens_lost");
    assert!(opens > 0.0);
    assert_eq!(increase(&metrics, "ebpftop.opens") - lost, opens);
}

#[test]
fn a_receiver_that_hangs_does_not_delay_the_end() {
    let receiver = Receiver::start("/v1/metrics", &[Play::Hang, Play::Hang], None);
    let url = format!("http://{}", receiver.address);
    // Longer than the patience of this test.
    let timeout = [("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")];
    let args = ["--from", &demo(), "--at-once", "--otlp", &url];
    let exporter = Exporter::start_with(&args, &timeout);
    until("a request", || receiver.requests().pop());
    let (code, said) = exporter.end();
    let end = said.lines().last().unwrap();
    let numbers: Vec<u64> = end.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [lost, all] = numbers[..] else { panic!("{said}") };
    assert!(code == 0 && lost > 0 && lost == all, "{said}");
    assert!(end.ends_with(" data points did not arrive"), "{said}");
}

#[test]
fn https_has_the_system_s_certificates_and_headers_stay_secret() {
    let certificate = Certificate::of_localhost();
    let receiver = Receiver::start("/v1/metrics", &[], Some(&certificate));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, &certificate.pem).unwrap();
    let url = format!("https://localhost:{}", receiver.address.port());
    let demo = demo();
    let start = |file: &str, interval: &str| {
        // The receiver's name comes from the environment, too.
        Exporter::start_with(
            &["--from", &demo, "--at-once", "--interval", interval, "--otlp"],
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20sesame"),
                ("SSL_CERT_FILE", file),
            ],
        )
    };
    let exporter = start(file.to_str().unwrap(), "60s");
    let request = until("a request", || receiver.taken().pop());
    assert_eq!(request.header("authorization"), Some("Basic sesame"));
    assert_eq!(request.header("host"), url.strip_prefix("https://"));
    let before = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let (code, said) = exporter.end();
    assert!(code == 0 && !said.contains("sesame"), "{said}");
    // The counts since the last interval come at the end.
    let taken = receiver.taken();
    assert!(taken.iter().flat_map(|request| points(request).0).any(|point| point.at > before));

    // Another authority's certificate: nothing is sent.
    std::fs::write(&file, Certificate::of_localhost().pem).unwrap();
    let before = receiver.requests().len();
    let exporter = start(file.to_str().unwrap(), "100ms");
    exporter.until("the refusal", |scrape| {
        sum(scrape, "ebpftop_otlp_requests_total", &["code=\"connection\""]) >= 1.0
    });
    let (code, said) = exporter.end();
    assert_eq!((code, receiver.requests().len()), (0, before), "{said}");
    assert!(said.contains("/v1/metrics: invalid peer certificate: "), "{said}");
    assert!(said.contains(" data points did not arrive\n") && !said.contains("sesame"), "{said}");
}

#[test]
fn what_cannot_be_is_wrong_usage() {
    let demo = demo();
    for (url, variable, said) in [
        ("localhost:4318", None, "--otlp: invalid URL: it must begin with http"),
        ("http://me:sesame@host", None, "--otlp: no passwords and keys in the URL"),
        ("http://host", Some(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")), "only http/protobuf"),
        ("http://host:4318x", None, "--otlp: invalid"),
        ("http://host", Some(("OTEL_EXPORTER_OTLP_HEADERS", "sesame")), "part 1 has no `=`"),
        (
            "http://host",
            Some(("OTEL_EXPORTER_OTLP_HEADERS", "a=b,Authorization: Bearer sesame==")),
            "OTEL_EXPORTER_OTLP_HEADERS: part 2 has an invalid header name",
        ),
        ("http://host", Some(("OTEL_RESOURCE_ATTRIBUTES", "sesame")), "has no `=`"),
    ] {
        let mut command = program();
        command.args(["export", "--from", &demo, "--otlp", url]).envs(variable);
        let run = ended(&mut command);
        assert!(run.code() == 2 && run.stderr.contains(said), "{run:?}");
        assert!(!run.stderr.contains("sesame"), "{run:?}");
    }
}
