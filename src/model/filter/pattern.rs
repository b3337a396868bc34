//! One PATTERN: a substring, or with `~` in front a regular expression; `!` negates.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::{FilterError, MAX_BYTES};
use crate::model::open::Comm;

/// Length of a name in the kernel: `TASK_COMM_LEN` less the NUL.
const COMM_BYTES: usize = 15;

/// A compiled regular expression and its lazy DFA may take this much memory each, bytes.
const REGEX_BYTES: usize = 1 << 20;

/// A parsed PATTERN.
#[derive(Clone, Debug)]
pub struct Pattern {
    negated: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// An ASCII substring in lower case.
    Ascii(Box<[u8]>),
    /// Everything else.
    Regex(Regex),
}

impl Pattern {
    /// Parses a PATTERN for paths and other text of any length.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::read(text, false)
    }

    /// Parses a PATTERN for thread and process names: a substring is cut at 15 bytes, as the
    /// kernel cuts the names. A regular expression is taken as it is.
    pub fn parse_name(text: &str) -> Result<Self, FilterError> {
        Self::read(text, true)
    }

    fn read(text: &str, name: bool) -> Result<Self, FilterError> {
        let body = text.trim_start_matches('!');
        let negated = (text.len() - body.len()) % 2 == 1;
        let at = text.len() - body.len()..text.len();
        let (is_regex, body) = body.strip_prefix('~').map_or((false, body), |re| (true, re));
        Ok(Self { negated, kind: Kind::new(body, is_regex, name, at)? })
    }

    /// A pattern from its parts.
    pub(super) fn of(
        body: &str,
        is_regex: bool,
        name: bool,
        at: Range<usize>,
    ) -> Result<Self, FilterError> {
        Ok(Self { negated: false, kind: Kind::new(body, is_regex, name, at)? })
    }

    /// The ASCII substring, in lower case, that a name must contain, where the pattern is no more than
    /// that.
    pub fn only_name(&self) -> Option<Comm> {
        match &self.kind {
            Kind::Ascii(part) if !self.negated && part.len() <= COMM_BYTES => Some(Comm::new(part)),
            _ => None,
        }
    }

    /// Whether it matches `text`.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.kind.found(text) != self.negated
    }

    /// Whether it matches one of `texts`; negated: none of them.
    pub fn matches_any(&self, texts: &[&[u8]]) -> bool {
        texts.iter().any(|text| self.kind.found(text)) != self.negated
    }
}

impl Kind {
    fn new(body: &str, regex: bool, name: bool, at: Range<usize>) -> Result<Self, FilterError> {
        let error = |reason: String| FilterError { at: at.clone(), reason };
        if body.is_empty() {
            return Err(error("a term without text".into()));
        }
        if body.len() > MAX_BYTES {
            return Err(error(format!("longer than {MAX_BYTES} bytes")));
        }
        if regex {
            return compile(body).map(Kind::Regex).map_err(error);
        }
        let body = if name { cut(body) } else { body };
        if body.is_ascii() {
            return Ok(Kind::Ascii(body.to_ascii_lowercase().into_bytes().into()));
        }
        compile(&format!("(?i){}", regex::escape(body))).map(Kind::Regex).map_err(error)
    }

    fn found(&self, text: &[u8]) -> bool {
        match self {
            Kind::Ascii(needle) => contains(text, needle),
            Kind::Regex(regex) => regex.is_match(text),
        }
    }
}

/// The part that fits a name of the kernel's, in whole characters.
fn cut(body: &str) -> &str {
    let end = (0..=COMM_BYTES).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
    if body.len() <= COMM_BYTES { body } else { body.get(..end).unwrap_or(body) }
}

fn compile(body: &str) -> Result<Regex, String> {
    RegexBuilder::new(body).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build().map_err(
        |e| match e {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression takes too much memory; use fewer repetitions".into()
            }
            // The library draws the place over several lines; the last one has the reason.
            e => {
                let text = e.to_string();
                let last = text.lines().last().unwrap_or_default();
                format!("invalid regular expression: {}", last.trim_start_matches("error: "))
            }
        },
    )
}

/// Whether `text` contains `needle` (lower case, not empty); the case of ASCII letters does not matter.
fn contains(text: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let Some(starts) = text.len().checked_sub(rest.len()).and_then(|n| text.get(..n)) else {
        return false;
    };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), starts).any(|at| {
        text.get(at + 1..at + needle.len()).is_some_and(|part| part.eq_ignore_ascii_case(rest))
    })
}
