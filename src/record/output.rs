//! The recording as it is written: one file, a row of files, or stdout.

use std::io;
use std::time::Duration;

use super::files::Files;
use super::known::State;
use super::pipe::Pipe;
use crate::cli::RecordArgs;
use crate::files;
use crate::model::escape::escape;
use crate::model::rotation::Rotation;
use crate::model::time::Mono;
use crate::recording::{Head, Seen, Totals, WriteError, Writer};

/// The destination of the records.
#[derive(Debug)]
pub(super) struct Output {
    /// The file, the directory of a row, or `stdout`.
    pub(super) name: String,
    head: Head,
    /// `None` where a file of the row has ended and the next one could not begin.
    writer: Option<Writer>,
    row: Option<Row>,
}

/// Files that follow each other.
#[derive(Debug)]
struct Row {
    files: Files,
    rotation: Rotation,
    state: State,
    /// When the current file began.
    since: Mono,
    /// The current file has the records that it begins with alone.
    is_new: bool,
    /// The bound of the current file, bytes.
    most: u64,
    /// Files begun, and the totals of those that ended.
    begun: u64,
    before: Totals,
}

impl Row {
    /// The bound of a file that begins with so many bytes. Where these take more than half of it, it grows:
    /// else there would be a file for each record.
    fn most(&self, beginning: u64) -> u64 {
        match self.rotation {
            Rotation::Size(most) => most.max(beginning.saturating_mul(2)),
            Rotation::Age(_) => u64::MAX,
        }
    }

    fn is_due(&self, at: Mono) -> bool {
        !self.is_new && self.rotation.is_due(0, 0, Duration::from_nanos(at.since(self.since)))
    }
}

impl Output {
    /// Begins the recording that the options name. To be called before this thread drops its privileges.
    pub(super) fn begin(args: &RecordArgs, pipe: Option<Pipe>) -> Result<Self, WriteError> {
        let head = Head::of_this_machine();
        let most = args.max_size.unwrap_or(u64::MAX);
        if let Some(pipe) = pipe {
            let writer = Writer::new(pipe, &head, most)?;
            return Ok(Self { name: "stdout".into(), head, writer: Some(writer), row: None });
        }
        let name = escape(args.file.as_os_str().as_encoded_bytes()).into_owned();
        let Some(rotation) = args.rotate else {
            let writer = Writer::new(files::create(&args.file)?, &head, most)?;
            return Ok(Self { name, head, writer: Some(writer), row: None });
        };
        let files = Files::start(&args.file, args.keep)?;
        let part = files.next()?;
        let mut writer = Writer::new(part, &head, u64::MAX)?;
        let (state, before) = Default::default();
        let since = head.started.mono;
        let (is_new, most, begun) = (true, u64::MAX, 1);
        let mut row = Row { files, rotation, state, since, is_new, most, begun, before };
        row.most = row.most(writer.bytes());
        writer.limit(row.most);
        Ok(Self { name, head, writer: Some(writer), row: Some(row) })
    }

    /// Takes what came at `at`, into the next file where the current one has no room for it or is old
    /// enough.
    pub(super) fn take(&mut self, at: Mono, seen: &Seen) -> Result<(), WriteError> {
        if self.row.as_ref().is_some_and(|row| row.is_due(at)) {
            self.next_file(at)?;
        }
        match self.writer()?.take(at, seen) {
            Err(WriteError::Full) if self.row.is_some() => self.take_into_next(at, seen)?,
            done => done?,
        }
        if let Some(row) = &mut self.row {
            row.state.take(at, seen);
            row.is_new = false;
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut Writer, WriteError> {
        self.writer.as_mut().ok_or_else(|| io::Error::other("the next file did not begin").into())
    }

    fn take_into_next(&mut self, at: Mono, seen: &Seen) -> Result<(), WriteError> {
        if self.row.as_ref().is_some_and(|row| !row.is_new) {
            self.next_file(at)?;
        }
        let most = self.row.as_ref().map_or(u64::MAX, |row| row.most);
        let writer = self.writer()?;
        match writer.take(at, seen) {
            // Larger than a file of the row may be: nothing is lost for that.
            Err(WriteError::Full) => {
                writer.limit(u64::MAX);
                writer.take(at, seen)?;
                writer.flush()?;
                writer.limit(most);
                Ok(())
            }
            done => done,
        }
    }

    /// Ends the current file at `at` and begins the next one with the known state. In this order: whenever the program
    /// is killed, all files but the last are whole.
    fn next_file(&mut self, at: Mono) -> Result<(), WriteError> {
        let (Some(row), Some(writer)) = (&mut self.row, self.writer.take()) else { return Ok(()) };
        let (totals, ended) = writer.finish(at);
        row.before = row.before.and(totals);
        ended?;
        let mut head = Head::of_this_machine();
        head.started.mono = at;
        let mut next = Writer::new(row.files.next()?, &head, u64::MAX)?;
        row.begun += 1;
        for seen in row.state.records() {
            next.take(at, &seen)?;
        }
        next.flush()?;
        row.most = row.most(next.bytes());
        next.limit(row.most);
        (row.since, row.is_new) = (at, true);
        self.writer = Some(next);
        Ok(())
    }

    /// Writes the block under way when it has waited long enough.
    pub(super) fn idle(&mut self, now: Mono) -> Result<(), WriteError> {
        self.writer()?.idle(now)
    }

    /// Writes the block under way.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        self.writer()?.flush()
    }

    /// Ends the recording at `now`. Returns its name, the totals in words, of which `lost` is a part, and how it went.
    pub(super) fn finish(self, now: Mono, lost: u64) -> (String, String, Result<(), WriteError>) {
        let last = self.writer.map(|writer| writer.finish(now));
        let Some(row) = self.row else {
            let (totals, ended) = last.unwrap_or((Totals::default(), Ok(())));
            return (self.name, totals.in_words(&self.head, lost), ended);
        };
        let (totals, ended) = match last {
            Some((totals, ended)) => (row.before.and(totals), ended),
            None => (row.before, Ok(())),
        };
        let done = ended.and(row.files.finish().map_err(WriteError::from));
        let words = totals.in_words(&self.head, lost);
        let files = if row.begun == 1 { "file" } else { "files" };
        (self.name, format!("{} {files}, {words}", row.begun), done)
    }
}

/// Why a recording did not begin, in words for the terminal.
pub(super) fn not_begun(error: &WriteError, rotates: bool) -> String {
    match error {
        WriteError::Io(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            "it is there already; choose another name, or remove it".into()
        }
        WriteError::Io(e) if rotates && e.kind() == io::ErrorKind::NotADirectory => {
            "it is not a directory; with --rotate the files are made in one".into()
        }
        WriteError::Io(e) if rotates && e.kind() == io::ErrorKind::NotFound => {
            format!("{e}; make the directory first: with --rotate the files are made in it")
        }
        e => e.to_string(),
    }
}
