//! A cursor in a list whose rows change.

/// Identifies a row while it is in its table: the kind, and a number within the kind.
pub type RowId = (u8, u64);

/// Cursor, scroll position, and the row that the cursor follows.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub cursor: usize,
    pub offset: usize,
    /// The followed row stays under the cursor.
    pub follow: Option<RowId>,
}

impl List {
    /// Moves by `by` rows of `len`; ends following.
    pub fn step(&mut self, by: isize, len: usize) {
        self.follow = None;
        self.cursor = self.cursor.saturating_add_signed(by);
        self.clamp(len);
    }

    /// Moves to row `to` of `len`; ends following.
    pub fn jump(&mut self, to: usize, len: usize) {
        self.follow = None;
        self.cursor = to;
        self.clamp(len);
    }

    /// Keeps the cursor on a row.
    pub fn clamp(&mut self, len: usize) {
        self.cursor = self.cursor.min(len.saturating_sub(1));
    }

    /// Takes over new rows, `len` of them; `followed` is where the followed row is now. It stays on
    /// the same line of the screen.
    pub fn settle(&mut self, followed: Option<usize>, len: usize, height: usize) {
        if let Some(at) = followed {
            let line = self.cursor.saturating_sub(self.offset);
            self.cursor = at;
            self.offset = at.saturating_sub(line);
        }
        self.clamp(len);
        self.scroll(len, height);
    }

    /// Scrolls until the cursor is among `height` visible rows.
    pub fn scroll(&mut self, len: usize, height: usize) {
        self.offset = self.first(len, height);
    }

    /// The first of `height` visible rows: the cursor is among them, and no line is empty while there
    /// are rows for it.
    pub fn first(&self, len: usize, height: usize) -> usize {
        let cursor = self.cursor.min(len.saturating_sub(1));
        let height = height.max(1);
        self.offset
            .min(len.saturating_sub(height))
            .clamp((cursor + 1).saturating_sub(height), cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_cursor_is_always_shown(
            cursor in 0usize..50, offset in 0usize..50, len in 0usize..50, height in 0usize..20,
        ) {
            let list = List { cursor, offset, follow: None };
            let first = list.first(len, height);
            let at = cursor.min(len.saturating_sub(1));
            proptest::prop_assert!(first <= at && at < first + height.max(1));
        }
    }
}
