//! Reads a filter expression.

use std::net::IpAddr;
use std::ops::Range;

use super::{Errno, Filter, FilterError, MAX_BYTES, Net, Pattern, Term};
use crate::model::errno::errno_number;

const KEYS: &str = "pid: uid: path: err: cgroup: ip: peer: port:";

/// A position in the expression.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// A value as it stands there: what it says, and where.
struct Value<'a> {
    text: &'a str,
    at: Range<usize>,
    /// `!` stood in front of a PATTERN value.
    negated: bool,
    /// `~` stood in front.
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
            Some(key) => format!("`{key}:` wants a value, {}", example(key)),
            None => "nothing to look for".into(),
        }));
    }
    let pattern = |name| {
        Pattern::of(value.text, value.regex, name, start..value.at.end)
            .map(|is| Term { negated: negated != value.negated, is })
    };
    let number = |what| {
        plain(&value)
            .and_then(|text| text.parse().ok())
            .map(|is| Term { negated, is })
            .ok_or_else(|| error(format!("{what} is a number, {}", example(key.unwrap_or("pid")))))
    };
    match key {
        None => filter.names.push(pattern(true)?),
        Some("path") => filter.paths.push(pattern(false)?),
        Some("cgroup") => filter.cgroups.push(pattern(false)?),
        Some("pid") => filter.tgids.push(number("a process id")?),
        Some("uid") => filter.uids.push(number("a user id")?),
        Some("err") => {
            let is = plain(&value)
                .and_then(errno)
                .ok_or_else(|| error(format!("no such error, {}", example("err"))))?;
            filter.errnos.push(Term { negated, is });
        }
        Some("port") => {
            let is = plain(&value)
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| error(format!("not a port, {}", example("port"))))?;
            filter.ports.push(Term { negated, is });
        }
        Some(key) => {
            let is = plain(&value)
                .and_then(net)
                .ok_or_else(|| error(format!("not an address or a net, {}", example(key))))?;
            let nets = if key == "peer" { &mut filter.peers } else { &mut filter.nets };
            nets.push(Term { negated, is });
        }
    }
    Ok(())
}

fn example(key: &str) -> &'static str {
    match key {
        "pid" => "as `pid:812`",
        "uid" => "as `uid:1000`; `id -u NAME` tells it",
        "path" => "as `path:/etc`",
        "err" => "as `err:ENOENT`, `err:2` or `err:any`",
        "cgroup" => "as `cgroup:docker`",
        "port" => "as `port:443`",
        "peer" => "as `peer:10.0.0.0/8` or `peer:fe80::/10`",
        _ => "as `ip:10.0.0.0/8` or `ip:fe80::/10`",
    }
}

/// The text of a value that is no PATTERN.
fn plain<'a>(value: &Value<'a>) -> Option<&'a str> {
    (!value.regex && !value.negated).then_some(value.text)
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

    /// Goes past what `is` holds for; how many bytes that was.
    fn skip(&mut self, is: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        let n = rest.find(|c| !is(c)).unwrap_or(rest.len());
        self.at += n;
        n
    }

    /// A key and its colon; `None` where a bare PATTERN stands. A name may hold a colon
    /// (`kworker/0:1`), but not after letters alone: that is a mistyped key.
    fn key(&mut self, start: usize) -> Result<Option<&'static str>, FilterError> {
        let rest = self.rest();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let Some((word, after)) = rest.split_at_checked(letters) else { return Ok(None) };
        if word.is_empty() || !after.starts_with(':') {
            return Ok(None);
        }
        let known = ["pid", "uid", "path", "err", "cgroup", "ip", "peer", "port"]
            .into_iter()
            .find(|k| *k == word);
        match known {
            Some(key) => {
                self.at += letters + 1;
                Ok(Some(key))
            }
            None => Err(FilterError {
                at: start..self.at + letters + 1,
                reason: format!(
                    "no such key, `{word}:`; there are {KEYS} — quote it to look for the text"
                ),
            }),
        }
    }

    /// A value: `!` and `~` where they stand, then a quoted text or one up to the next space.
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
                reason: format!("the quote {quote} is not closed"),
            });
        };
        let from = self.at;
        self.at += text.len() + 2;
        if after.chars().next().is_some_and(|c| !c.is_whitespace()) {
            return Err(FilterError {
                at: start..self.at,
                reason: format!("a space has to follow the closing {quote}"),
            });
        }
        Ok(Value { text, at: from..self.at, negated, regex })
    }
}
