//! The way of lines out: files, a slow reader, and the lines about the run.

use super::Session;
use crate::clock;
use crate::console::say;
use crate::session::OutError;
use crate::stream::lines::{Loss, Lost, Note};
use crate::stream::summary::Ready;
use crate::stream::text;

impl Session {
    pub(super) fn note(&mut self, note: &Note<'_>) {
        if !self.lines.note(&mut self.buffer, note) {
            say(&text::note(note));
            self.tally.said();
        }
    }

    /// Writes a line about losses, if there are any.
    pub(super) fn note_lost(&mut self, loss: Loss, count: Option<u64>) {
        if let Some(count) = count {
            self.note(&Note::Lost(Lost { at: clock::now(), loss, count }));
        }
    }

    /// Begins the output: stdout, or the first file.
    pub(super) fn begin_output(&mut self, ready: Ready) -> Result<(), OutError> {
        self.ready = ready;
        if self.out.next_file(0).is_some() {
            return self.next_file();
        }
        self.lines.header(&mut self.buffer);
        let ready = self.ready.clone();
        self.note(&Note::Ready(&ready));
        Ok(())
    }

    /// Begins the next file, if that is due: with the header, and with the `ready` of the run.
    pub(super) fn next_file(&mut self) -> Result<(), OutError> {
        let Some(number) = self.out.next_file(self.buffer.len()) else { return Ok(()) };
        self.ready.file = Some(number);
        let mut head = Vec::new();
        self.lines.header(&mut head);
        let note = Note::Ready(&self.ready);
        if !self.lines.note(&mut head, &note) && number == 1 {
            say(&text::note(&note));
        }
        self.out.begin_file(head)
    }

    /// Writes the buffer, or drops it while the output is slow.
    pub(super) fn flush(&mut self) -> Result<(), OutError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.out.is_slow(self.buffer.len()) {
            let lines = self.buffer.iter().filter(|byte| **byte == b'\n').count();
            self.tally.dropped(lines as u64);
            self.buffer.clear();
            return Ok(());
        }
        self.write()?;
        self.tally.passed_on();
        self.note_dropped();
        Ok(())
    }

    /// Writes the buffer, into further files where it is larger than one.
    pub(super) fn write(&mut self) -> Result<(), OutError> {
        loop {
            self.next_file()?;
            let Some(fits) = self.out.part(&self.buffer) else {
                return self.out.write(&mut self.buffer);
            };
            let rest = self.buffer.split_off(fits);
            self.out.write(&mut self.buffer)?;
            self.buffer = rest;
        }
    }

    /// Puts a line into the buffer about those that were dropped since the last one.
    pub(super) fn note_dropped(&mut self) {
        let lines = self.tally.take_dropped();
        self.note_lost(Loss::Lines, lines);
    }
}
