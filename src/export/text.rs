//! Metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0, from one list of families.

use std::fmt::Write as _;
use std::sync::Arc;

/// The kind of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the program runs; its samples are named `NAME_total`.
    Counter,
    /// May fall.
    Gauge,
    /// Always 1; the labels say something. Its sample is named `NAME_info`.
    Info,
}

impl Kind {
    /// The word in OpenMetrics and in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Info => "_info",
        }
    }
}

/// A metric family.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The name without the suffix of its kind.
    pub name: &'static str,
    pub kind: Kind,
    /// `bytes`, `seconds` or empty; the name ends with it.
    pub unit: &'static str,
    /// The labels of its samples; those of a group without a value are left out.
    pub labels: &'static str,
    pub help: &'static str,
}

impl Family {
    /// The name of its samples.
    pub fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Int(u64),
    Float(f64),
}

/// A sample: the labels, which may stand in two parts, and the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: [Option<Arc<str>>; 2],
    pub value: Value,
    /// When a counter was 0, Unix time in ns; 0: at the start of the program.
    pub start: u64,
}

impl Sample {
    /// A sample of something that exists since the start of the program.
    pub fn new(labels: [Option<Arc<str>>; 2], value: Value) -> Self {
        Self { labels, value, start: 0 }
    }
}

/// A family's samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    pub family: &'static Family,
    pub samples: Vec<Sample>,
}

/// Labels, written as in the text.
#[derive(Clone, Debug, Default)]
pub struct Labels(String);

impl Labels {
    /// Adds a label; the value is escaped as the text formats ask for.
    pub fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

impl From<Labels> for Arc<str> {
    fn from(labels: Labels) -> Self {
        labels.0.into()
    }
}

/// These labels.
pub fn labels<const N: usize>(all: [(&str, &str); N]) -> Arc<str> {
    let mut labels = Labels::default();
    all.into_iter().for_each(|(name, value)| labels.add(name, value));
    labels.into()
}

/// The names and values of labels that [`Labels`] has written.
pub fn pairs(mut text: &str) -> impl Iterator<Item = (&str, String)> {
    std::iter::from_fn(move || {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(match chars.next()? {
                    'n' => '\n',
                    c => c,
                }),
                c => value.push(c),
            }
        }
        text = chars.as_str().trim_start_matches(',');
        Some((name, value))
    })
}

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for: Prometheus, unless it names OpenMetrics 1.0.
    pub fn accepted(accept: &str) -> Self {
        let asks = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let open = parts.next() == Some("application/openmetrics-text");
            let (mut version, mut weight) = ("1.0.0", true);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                match key.trim() {
                    "version" => version = value.trim(),
                    "q" => weight = value.trim().parse() != Ok(0.0),
                    _ => {}
                }
            }
            open && weight && version == "1.0.0"
        });
        if asks { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The text of these families; those without samples are left out.
    pub fn write<'a>(self, all: impl IntoIterator<Item = &'a Samples>) -> String {
        let mut out = String::new();
        for samples in all.into_iter().filter(|samples| !samples.samples.is_empty()) {
            self.head(&mut out, samples.family);
            for sample in &samples.samples {
                self.sample(&mut out, samples.family, sample);
            }
        }
        if self == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }

    fn head(self, out: &mut String, family: &Family) {
        // Prometheus calls a family as its samples are called, and knows no info.
        let (name, kind) = match self {
            Format::OpenMetrics => (family.name.to_owned(), family.kind.name()),
            Format::Prometheus => match family.kind {
                Kind::Info => (family.sample_name(), Kind::Gauge.name()),
                kind => (family.sample_name(), kind.name()),
            },
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {}", family.help);
        let _ = writeln!(out, "# TYPE {name} {kind}");
        if self == Format::OpenMetrics && !family.unit.is_empty() {
            let _ = writeln!(out, "# UNIT {name} {}", family.unit);
        }
    }

    fn sample(self, out: &mut String, family: &Family, sample: &Sample) {
        out.push_str(family.name);
        out.push_str(family.kind.suffix());
        let mut parts = sample.labels.iter().flatten().peekable();
        if parts.peek().is_some() {
            let mut before = '{';
            for part in parts {
                out.push(before);
                out.push_str(part);
                before = ',';
            }
            out.push('}');
        }
        out.push(' ');
        match sample.value {
            Value::Int(n) => out.push_str(itoa::Buffer::new().format(n)),
            Value::Float(n) => drop(write!(out, "{n:?}")),
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OPENS: Family =
        Family { name: "a_bytes", kind: Kind::Counter, unit: "bytes", labels: "", help: "Bytes." };
    static BUILD: Family =
        Family { name: "b", kind: Kind::Info, unit: "", labels: "", help: "Build." };

    #[test]
    fn both_formats_are_written_from_one_list() {
        let sample = Sample::new;
        let all = [
            Samples {
                family: &OPENS,
                samples: vec![
                    sample([None, None], Value::Int(7)),
                    sample(
                        [Some(labels([("x", "a\"\\\n")])), Some(labels([("y", "")]))],
                        Value::Float(0.5),
                    ),
                ],
            },
            Samples { family: &BUILD, samples: vec![sample([None, None], Value::Int(1))] },
            Samples { family: &BUILD, samples: vec![] },
        ];
        assert_eq!(
            Format::Prometheus.write(&all),
            "# HELP a_bytes_total Bytes.\n# TYPE a_bytes_total counter\na_bytes_total 7\n\
             a_bytes_total{x=\"a\\\"\\\\\\n\",y=\"\"} 0.5\n\
             # HELP b_info Build.\n# TYPE b_info gauge\nb_info 1\n"
        );
        assert_eq!(
            Format::OpenMetrics.write(&all),
            "# HELP a_bytes Bytes.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total 7\n\
             a_bytes_total{x=\"a\\\"\\\\\\n\",y=\"\"} 0.5\n\
             # HELP b Build.\n# TYPE b info\nb_info 1\n# EOF\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn labels_are_read_as_they_were_written(values in proptest::collection::vec("[\\PC\n\"\\\\,=]{0,9}", 0..4)) {
            let names = ["unit", "container", "program", "errno"];
            let mut labels = Labels::default();
            names.iter().zip(&values).for_each(|(name, value)| labels.add(name, value));
            let read: Vec<_> = pairs(&labels.0).collect();
            let written: Vec<_> = names.into_iter().zip(values).collect();
            assert_eq!(read, written);
        }
    }

    #[test]
    fn the_format_is_chosen_by_accept() {
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text; version=0.0.1", Format::Prometheus),
            ("application/openmetrics-text; q=0", Format::Prometheus),
            ("application/openmetrics-textual", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
