//! Names of addresses: answers, pending requests, and the addresses to ask for next.
//!
//! Bounded, and every answer expires. The resolver itself is elsewhere.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::time::{Mono, NS_PER_SEC};

/// Maximum addresses; beyond, the half requested longest ago is evicted, and requested again when
/// it is shown.
const MOST: usize = 4_096;

/// Maximum pending requests.
pub const MOST_ASKED: usize = 32;

/// A request without an answer for so long counts as unanswered.
const PATIENCE_NS: u64 = 6 * NS_PER_SEC;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This name, chosen by whoever owns the address.
    Name(Box<str>),
    /// It has no name.
    Nameless,
    /// No server answered, or it could not say.
    Silence,
}

impl Answer {
    /// How long it is valid.
    fn lasts_ns(&self) -> u64 {
        match self {
            Answer::Name(_) => 600 * NS_PER_SEC,
            Answer::Nameless => 300 * NS_PER_SEC,
            Answer::Silence => 30 * NS_PER_SEC,
        }
    }
}

/// The state of an address's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// Not requested, or the answer was evicted.
    Unasked,
    /// The request is pending.
    Asking,
    Answered(&'a Answer),
}

#[derive(Clone, Debug)]
struct Entry {
    asked: Mono,
    /// The request is pending.
    out: bool,
    /// The last answer; an expired one stays until there is a new one.
    answer: Option<(Answer, Mono)>,
}

impl Entry {
    fn is_due(&self, now: Mono) -> bool {
        !self.out && self.answer.as_ref().is_none_or(|(a, at)| now.since(*at) > a.lasts_ns())
    }
}

/// The table of names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    held: HashMap<IpAddr, Entry>,
}

impl Names {
    /// The addresses of `shown` to request now; they count as requested.
    pub fn ask(&mut self, shown: impl Iterator<Item = IpAddr>, now: Mono) -> Vec<IpAddr> {
        let mut under_way = 0;
        for entry in self.held.values_mut().filter(|e| e.out) {
            if now.since(entry.asked) > PATIENCE_NS {
                entry.out = false;
                // An old name is better than none.
                entry.answer.get_or_insert((Answer::Silence, now)).1 = now;
            } else {
                under_way += 1;
            }
        }
        let mut asked = Vec::new();
        for ip in shown {
            if under_way >= MOST_ASKED {
                break;
            }
            if self.held.get(&ip).is_none_or(|e| e.is_due(now)) {
                self.evict();
                let entry =
                    self.held.entry(ip).or_insert(Entry { asked: now, out: true, answer: None });
                (entry.asked, entry.out) = (now, true);
                asked.push(ip);
                under_way += 1;
            }
        }
        asked
    }

    /// Stores an answer, also a late one; true when it is a new one.
    pub fn answer(&mut self, ip: IpAddr, answer: Answer, now: Mono) -> bool {
        let answer = match answer {
            // A name that is an address can only deceive.
            Answer::Name(name) if name.is_empty() || name.parse::<IpAddr>().is_ok() => {
                Answer::Nameless
            }
            answer => answer,
        };
        // Evicted meanwhile: it is requested again when it is shown.
        let Some(entry) = self.held.get_mut(&ip) else { return false };
        entry.out = false;
        let news = entry.answer.as_ref().is_none_or(|(held, _)| *held != answer);
        entry.answer = Some((answer, now));
        news
    }

    /// The state of an address.
    pub fn get(&self, ip: IpAddr) -> Known<'_> {
        match self.held.get(&ip) {
            None => Known::Unasked,
            Some(Entry { answer: Some((answer, _)), .. }) => Known::Answered(answer),
            Some(_) => Known::Asking,
        }
    }

    /// The name of an address, if it has one.
    pub fn name(&self, ip: IpAddr) -> Option<&str> {
        match self.get(ip) {
            Known::Answered(Answer::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn evict(&mut self) {
        if self.held.len() < MOST {
            return;
        }
        let mut times: Vec<Mono> = self.held.values().map(|e| e.asked).collect();
        let (_, median, _) = times.select_nth_unstable(MOST / 2);
        let median = *median;
        self.held.retain(|_, e| e.asked > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn at(s: u64) -> Mono {
        Mono(s * NS_PER_SEC)
    }

    fn name(text: &str) -> Answer {
        Answer::Name(text.into())
    }

    #[test]
    fn an_answer_is_believed_for_its_time() {
        let mut names = Names::default();
        assert_eq!(names.get(ip(1)), Known::Unasked);
        for (answer, lasts) in [(name("a"), 600), (Answer::Nameless, 300), (Answer::Silence, 30)] {
            let mut now = at(10_000 - lasts);
            assert_eq!(names.ask([ip(1)].into_iter(), now), [ip(1)], "{answer:?}");
            assert!(names.ask([ip(1)].into_iter(), now).is_empty(), "it is under way");
            assert!(names.answer(ip(1), answer.clone(), now));
            assert_eq!(names.get(ip(1)), Known::Answered(&answer));
            now = Mono(now.0 + lasts * NS_PER_SEC);
            assert!(names.ask([ip(1)].into_iter(), now).is_empty());
            names.held.clear();
        }
        names.ask([ip(1)].into_iter(), at(0));
        names.answer(ip(1), name("a"), at(0));
        assert_eq!(names.ask([ip(1)].into_iter(), at(601)), [ip(1)]);
        assert_eq!(names.name(ip(1)), Some("a"), "the old one stays meanwhile");
        names.ask(std::iter::empty(), at(610));
        assert_eq!(names.name(ip(1)), Some("a"), "and when there is no answer");
    }

    #[test]
    fn unanswered_requests_expire() {
        let mut names = Names::default();
        let many = || (0..100).map(ip);
        assert_eq!(names.ask(many(), at(1)).len(), MOST_ASKED);
        assert!(names.ask(many(), at(2)).is_empty());
        assert_eq!(names.get(ip(0)), Known::Asking);
        assert_eq!(names.ask(many(), at(8)).len(), MOST_ASKED);
        assert_eq!(names.get(ip(0)), Known::Answered(&Answer::Silence));
        // Late is not too late.
        assert!(names.answer(ip(0), name("late"), at(9)));
        assert_eq!(names.name(ip(0)), Some("late"));
    }

    #[test]
    fn a_name_that_is_an_address_is_none() {
        let mut names = Names::default();
        for text in ["10.0.0.1", "::1", ""] {
            names.ask([ip(1)].into_iter(), at(1));
            names.answer(ip(1), name(text), at(1));
            assert_eq!(names.get(ip(1)), Known::Answered(&Answer::Nameless));
        }
        assert!(!names.answer(ip(2), name("not requested"), at(1)));
        assert_eq!(names.name(ip(2)), None);
    }

    #[test]
    fn the_oldest_half_is_evicted() {
        let mut names = Names::default();
        for n in 0..3 * MOST as u32 {
            names.ask([ip(n)].into_iter(), at(u64::from(n)));
            names.answer(ip(n), name("x"), at(u64::from(n)));
            assert!(names.held.len() <= MOST);
        }
        assert_eq!(names.get(ip(0)), Known::Unasked);
        assert_eq!(names.name(ip(3 * MOST as u32 - 1)), Some("x"));
    }
}
