//! Reads a filter expression.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use strum::VariantArray;

use super::terms::{self, TermForm};
use super::{
    CgroupPart, Compare, Errno, Filter, FilterError, MAX_BYTES, Net, ParentIs, Pattern, Term,
};
use crate::model::duration;
use crate::model::errno::errno_number;
use crate::model::file_change::Op;
use crate::model::quality::TcpState;

/// A position in the expression.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// The text of a value, and where it is.
struct Value<'a> {
    text: &'a str,
    at: Range<usize>,
    /// `!` is in front of a PATTERN value.
    negated: bool,
    /// `~` is in front.
    regex: bool,
}

pub(super) fn filter(text: &str) -> Result<Filter, FilterError> {
    if text.len() > MAX_BYTES {
        return Err(FilterError {
            at: MAX_BYTES..text.len(),
            reason: format!("longer than {MAX_BYTES} bytes"),
        });
    }
    let mut reader = Reader { text, at: 0 };
    let mut filter = Filter::default();
    loop {
        reader.skip(char::is_whitespace);
        if reader.rest().is_empty() {
            return Ok(filter);
        }
        term(&mut reader, &mut filter)?;
    }
}

fn term(reader: &mut Reader<'_>, filter: &mut Filter) -> Result<(), FilterError> {
    let start = reader.at;
    let bangs = reader.skip(|c| c == '!');
    let negated = bangs % 2 == 1;
    let key = reader.key(start)?;
    let value = reader.value(start)?;
    let error = |reason: String| FilterError { at: start..value.at.end, reason };
    if value.text.is_empty() {
        return Err(error(match key {
            Some(key) => format!("`{}` needs a value, as in `{}`", key.written, key.example),
            None => "a term without text".into(),
        }));
    }
    let pattern = |name| {
        Pattern::of(value.text, value.regex, name, start..value.at.end)
            .map(|is| Term { negated: negated != value.negated, is })
    };
    let Some(key) = key else {
        filter.names.push(pattern(true)?);
        return Ok(());
    };
    let needs =
        |what: &str| error(format!("`{}` needs {what}, as in `{}`", key.written, key.example));
    let number = || {
        let number = plain(&value).and_then(|text| text.parse().ok());
        number.map(|is| Term { negated, is }).ok_or_else(|| needs("a number"))
    };
    match key.key {
        "path" => filter.paths.push(pattern(false)?),
        "cgroup" => filter.cgroups.push((CgroupPart::Path, pattern(false)?)),
        "unit" => filter.cgroups.push((CgroupPart::Unit, pattern(false)?)),
        "container" => filter.cgroups.push((CgroupPart::Container, pattern(false)?)),
        "pod" => filter.cgroups.push((CgroupPart::Pod, pattern(false)?)),
        "pid" => filter.tgids.push(number()?),
        "uid" => filter.uids.push(number()?),
        "parent" => {
            let term = match plain(&value).and_then(|text| text.parse().ok()) {
                Some(pid) => Term { negated, is: ParentIs::Pid(pid) },
                None => {
                    let Term { negated, is } = pattern(true)?;
                    Term { negated, is: ParentIs::Named(is) }
                }
            };
            filter.parents.push(term);
        }
        "err" => {
            let is = plain(&value).and_then(errno);
            let is = is.ok_or_else(|| needs("the name or number of an error, or any"))?;
            filter.errnos.push(Term { negated, is });
        }
        "op" => {
            let is = plain(&value).and_then(Op::named);
            let is = is.ok_or_else(|| needs("a change of files"))?;
            filter.ops.push(Term { negated, is });
        }
        "port" => {
            let is = plain(&value).and_then(|text| compare(text, |n| n.parse().ok()));
            let is = is.ok_or_else(|| needs("a port number"))?;
            filter.ports.push(Term { negated, is });
        }
        "name" => filter.hostnames.push(pattern(false)?),
        "state" => {
            let is = plain(&value).and_then(TcpState::named);
            let is = is.ok_or_else(|| error(format!("`state:` is one of {}", states())))?;
            filter.states.push(Term { negated, is });
        }
        "rtt" => {
            let is = plain(&value).and_then(|text| compare(text, time));
            let is = is.filter(|is| !matches!(is, Compare::Is(_)));
            let is = is.ok_or_else(|| needs("`>` or `<` and a time with its unit"))?;
            filter.rtts.push(Term { negated, is });
        }
        "retrans" => {
            let is = plain(&value).and_then(|text| compare(text, |n| n.parse().ok()));
            let is = is.ok_or_else(|| needs("a number"))?;
            filter.retransmits.push(Term { negated, is });
        }
        key => {
            let is = plain(&value).and_then(net);
            let is = is.ok_or_else(|| needs("an address or a network"))?;
            let nets = if key == "peer" { &mut filter.peers } else { &mut filter.nets };
            nets.push(Term { negated, is });
        }
    }
    Ok(())
}

/// The text of a value that is no PATTERN.
fn plain<'a>(value: &Value<'a>) -> Option<&'a str> {
    (!value.regex && !value.negated).then_some(value.text)
}

/// A number, with `>` or `<` in front.
fn compare<T>(text: &str, number: impl Fn(&str) -> Option<T>) -> Option<Compare<T>> {
    // `+8` would parse as a number.
    let number = |text: &str| number(text).filter(|_| !text.starts_with('+'));
    match (text.strip_prefix('>'), text.strip_prefix('<')) {
        (Some(more), _) => number(more).map(Compare::More),
        (_, Some(less)) => number(less).map(Compare::Less),
        _ => number(text).map(Compare::Is),
    }
}

/// A time: `50ms`, and in microseconds `500us`.
fn time(text: &str) -> Option<Duration> {
    match text.strip_suffix("us") {
        Some(us) => us.parse().ok().map(Duration::from_micros),
        None => duration::parse(text).ok(),
    }
}

/// The names of `state:`, with commas between.
fn states() -> String {
    TcpState::VARIANTS.iter().map(|state| state.name()).collect::<Vec<_>>().join(", ")
}

fn errno(text: &str) -> Option<Errno> {
    if text.eq_ignore_ascii_case("any") {
        return Some(Errno::Any);
    }
    let number = text.parse().ok().filter(|n| (1..=4_095).contains(n));
    number.or_else(|| errno_number(text)).map(Errno::Is)
}

fn net(text: &str) -> Option<Net> {
    let (ip, bits) = match text.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits)),
        None => (text, None),
    };
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        // `+8` would parse as a number.
        Some(bits) if bits.starts_with('+') => return None,
        Some(bits) => bits.parse().ok().filter(|n| *n <= most)?,
        None => most,
    };
    Some(Net { ip, bits })
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips the characters that `is` matches, and returns how many bytes they took.
    fn skip(&mut self, is: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        let n = rest.find(|c| !is(c)).unwrap_or(rest.len());
        self.at += n;
        n
    }

    /// A key and its colon; `None` for a bare PATTERN. A name may contain a colon (`kworker/0:1`), but
    /// after letters alone it is taken for a mistyped key.
    fn key(&mut self, start: usize) -> Result<Option<&'static TermForm>, FilterError> {
        let rest = self.rest();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let Some((word, after)) = rest.split_at_checked(letters) else { return Ok(None) };
        if word.is_empty() || !after.starts_with(':') {
            return Ok(None);
        }
        let Some(form) = terms::keyed(word) else {
            return Err(FilterError {
                at: start..self.at + letters + 1,
                reason: format!(
                    "unknown key `{word}:`; keys are {}; put text with a colon in quotes",
                    terms::keys()
                ),
            });
        };
        self.at += letters + 1;
        Ok(Some(form))
    }

    /// A value: optional `!` and `~`, then quoted text, or text up to the next space.
    fn value(&mut self, start: usize) -> Result<Value<'a>, FilterError> {
        let negated = self.skip(|c| c == '!') % 2 == 1;
        let regex = self.rest().starts_with('~');
        if regex {
            self.at += 1;
        }
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            let from = self.at;
            self.skip(|c| !c.is_whitespace());
            let text = self.text.get(from..self.at).unwrap_or_default();
            return Ok(Value { text, at: from..self.at, negated, regex });
        };
        let body = rest.get(1..).unwrap_or_default();
        let Some((text, after)) = body.split_once(quote) else {
            return Err(FilterError {
                at: start..self.text.len(),
                reason: format!("the closing quote {quote} is missing"),
            });
        };
        let from = self.at;
        self.at += text.len() + 2;
        if after.chars().next().is_some_and(|c| !c.is_whitespace()) {
            return Err(FilterError {
                at: start..self.at,
                reason: format!("a space must follow the closing {quote}"),
            });
        }
        Ok(Value { text, at: from..self.at, negated, regex })
    }
}
