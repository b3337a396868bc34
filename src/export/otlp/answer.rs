//! Answers of a receiver, and the time until the next attempt.

use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use prost::Message as _;

use super::proto::Response;
use crate::model::escape::escape;

/// The longest time that a receiver may ask to wait for.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// The first and the longest time between attempts where the receiver names none.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Maximum bytes of a receiver's words in a message of ours.
const MAX_WORDS: usize = 200;

/// The meaning of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// All items but the `rejected` ones are the receiver's; `words`: its reason or warning.
    Accepted { rejected: u64, words: String },
    /// It never takes this request.
    Refused(String),
    /// To be sent again, after this time where the receiver names one.
    Again(String, Option<Duration>),
}

impl Answer {
    /// The answer to a request with so many items, as the OTLP specification 1.11 reads it.
    pub fn of(status: StatusCode, retry_after: Option<&str>, body: &[u8], items: u64) -> Self {
        if status.is_success() {
            // A body that is no response says nothing.
            let partial = Response::decode(body).ok().and_then(|response| response.partial_success);
            let partial = partial.unwrap_or_default();
            return Self::Accepted {
                rejected: u64::try_from(partial.rejected).unwrap_or(0).min(items),
                words: words(partial.error_message.as_bytes()),
            };
        }
        let why = status.to_string();
        match status.as_u16() {
            429 | 502..=504 => {
                Self::Again(why, retry_after.and_then(|text| wait(text, Timestamp::now())))
            }
            _ => Self::Refused(why),
        }
    }
}

/// A receiver's message: at most [`MAX_WORDS`] bytes of it, escaped.
fn words(bytes: &[u8]) -> String {
    escape(bytes.get(..MAX_WORDS).unwrap_or(bytes)).into_owned()
}

/// The value of `Retry-After`, seconds or a date, of at most [`MAX_WAIT`]. A date in the past is 0.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(MAX_WAIT))
}

/// The times between attempts: each twice the last one, up to [`LONGEST_WAIT`].
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST_WAIT)
    }
}

impl Backoff {
    /// The time to wait now: the longer one of the own time and of `after`, the time that the receiver
    /// asks for. `random` shortens the own one by up to a half and lengthens `after` by up to a
    /// quarter, so that the machines of a fleet do not come back all at once.
    pub fn next(&mut self, after: Option<Duration>, random: u64) -> Duration {
        let part = random as f64 / u64::MAX as f64;
        let own = self.0.mul_f64(1.0 - part / 2.0);
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
        own.max(after.unwrap_or_default().mul_f64(1.0 + part / 4.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::PartialSuccess;
    use super::*;

    #[test]
    fn answers_are_final_or_not() {
        let answer = |code, after| {
            Answer::of(StatusCode::from_u16(code).unwrap(), after, b"not a response", 5)
        };
        let accepted = Answer::Accepted { rejected: 0, words: String::new() };
        assert_eq!((answer(200, None), answer(202, Some("1"))), (accepted, answer(200, None)));
        for code in [429, 502, 503, 504] {
            let Answer::Again(_, None) = answer(code, None) else { panic!("{code}") };
        }
        for code in [301, 400, 401, 404, 413, 500, 501] {
            let Answer::Refused(_) = answer(code, Some("1")) else { panic!("{code}") };
        }
        let after = Some(Duration::from_secs(7));
        assert_eq!(answer(429, Some("7")), Answer::Again("429 Too Many Requests".into(), after));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            (" 12 ", Some(12)),
            ("99999999999", Some(300)),
            ("Mon, 30 Nov 2026 12:00:09 GMT", Some(9)),
            ("Mon, 30 Nov 2026 11:00:09 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(wait(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_partial_success_rejects_at_most_what_was_sent() {
        let rejected = |rejected, items| {
            let error_message = "bad\u{1b}[31m".repeat(100);
            let partial_success = Some(PartialSuccess { rejected, error_message });
            let body = Response { partial_success }.encode_to_vec();
            match Answer::of(StatusCode::OK, None, &body, items) {
                Answer::Accepted { rejected, words } => {
                    assert!(words.starts_with("bad\\x1b[31m") && words.len() < 1_000, "{words}");
                    rejected
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((rejected(3, 5), rejected(9, 5), rejected(-1, 5)), (3, 5, 0));
    }

    #[test]
    fn any_answer_is_read() {
        crate::testing::fuzz::check("otlp", |body| {
            for code in [200, 429] {
                let after = std::str::from_utf8(body).ok();
                match Answer::of(StatusCode::from_u16(code).unwrap(), after, body, 7) {
                    Answer::Accepted { rejected, words } => {
                        assert!(rejected <= 7 && !words.contains(char::is_control));
                    }
                    Answer::Again(_, wait) => assert!(wait.is_none_or(|wait| wait <= MAX_WAIT)),
                    Answer::Refused(_) => unreachable!(),
                }
            }
        });
    }

    #[test]
    fn attempts_come_at_growing_intervals() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(None, 0).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(Backoff::default().next(None, u64::MAX), Duration::from_millis(250));
        // A receiver lengthens a wait, and shortens none.
        let next =
            |after, random| Backoff::default().next(Some(Duration::from_secs(after)), random);
        assert_eq!(next(0, 0), FIRST_WAIT);
        assert_eq!(next(8, 0), Duration::from_secs(8));
        assert_eq!(next(8, u64::MAX), Duration::from_secs(10));
    }
}
