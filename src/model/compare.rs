//! Our count of an interface's packets beside the kernel's own.
//!
//! The two are never read at one instant. The kernel's counter is read before a turn and after it, so
//! its value at the turn lies in between; a difference is the part beyond these bounds.

use serde::{Deserialize, Serialize};

/// Turns in a row after which a difference is one that stays.
const STAYS: u32 = 3;

/// The result of the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compared {
    /// The kernel counts something else here than the hook does.
    #[default]
    NotComparable,
    /// No difference that stays.
    Agrees,
    /// The kernel has counted so many packets more (negative: less) for some turns.
    Differs(i64),
}

/// One direction of one interface, as long as one hook counts it.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Our count at the first turn, and the kernel's before and after it.
    base: Option<(u64, (u64, u64))>,
    /// Both at the last turn.
    last: (u64, u64),
    /// The differences of the last turns, while each has one of the same sign.
    turns: u32,
    least: i64,
}

impl Comparison {
    /// A turn at which we had counted `ours`, and the kernel `before.0` to `before.1`.
    pub fn turn(&mut self, ours: u64, kernel: (u64, u64)) -> Compared {
        let (ours_before, kernel_before) = std::mem::replace(&mut self.last, (ours, kernel.0));
        let set_back = ours < ours_before || kernel.0 < kernel_before;
        let Some((ours_first, first)) = self.base.filter(|_| !set_back) else {
            *self = Self { base: Some((ours, kernel)), last: self.last, ..Self::default() };
            return Compared::Agrees;
        };
        let seen = ours - ours_first;
        let (low, high) = (kernel.0.saturating_sub(first.1), kernel.1 - first.0);
        let more = i64::try_from(low.saturating_sub(seen)).unwrap_or(i64::MAX);
        let less = i64::try_from(seen.saturating_sub(high)).unwrap_or(i64::MAX);
        let difference = more - less;
        if difference == 0 || (self.turns > 0 && difference.signum() != self.least.signum()) {
            self.turns = 0;
        }
        if difference == 0 {
            return Compared::Agrees;
        }
        self.least = match self.turns {
            0 => difference,
            _ if difference.unsigned_abs() < self.least.unsigned_abs() => difference,
            _ => self.least,
        };
        self.turns += 1;
        if self.turns < STAYS { Compared::Agrees } else { Compared::Differs(self.least) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_between_the_two_readings_are_no_difference() {
        let mut c = Comparison::default();
        assert_eq!(c.turn(100, (1_000, 1_010)), Compared::Agrees);
        for n in 1..10 {
            // The turn happens somewhere between the readings, each time elsewhere.
            let ours = 100 + n * 500 + n % 10;
            assert_eq!(c.turn(ours, (1_000 + n * 500, 1_010 + n * 500)), Compared::Agrees);
        }
    }

    #[test]
    fn a_difference_that_stays_is_reported() {
        let mut c = Comparison::default();
        c.turn(0, (0, 0));
        assert_eq!(c.turn(10, (15, 15)), Compared::Agrees);
        assert_eq!(c.turn(20, (24, 24)), Compared::Agrees);
        assert_eq!(c.turn(30, (35, 36)), Compared::Differs(4));
        assert_eq!(c.turn(40, (40, 40)), Compared::Agrees);
        for n in 1..=3 {
            let compared = c.turn(50 * n, (45 * n, 45 * n));
            assert_eq!(matches!(compared, Compared::Differs(d) if d < 0), n == 3, "{compared:?}");
        }
        // The kernel's counter restarts.
        assert_eq!(c.turn(500, (3, 3)), Compared::Agrees);
        assert_eq!(c.turn(510, (13, 13)), Compared::Agrees);
    }
}
