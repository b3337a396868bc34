//! The counters with their readers: the HTTP server, the text file and the sender of OTLP.

use std::sync::Arc;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::counts::{Counts, Usage};
use super::groups::Places;
use super::otlp::{self, Host, Otlp};
use super::publish::{Shared, Snapshot, unix_ns};
use super::series::Seen;
use super::serve;
use super::textfile::TextFile;
use super::web::Web;
use crate::cli::{DEFAULT_LISTEN, ExportArgs};
use crate::console::say;
use crate::model::event::ProbeEvent;
use crate::session::Choose;
use crate::settings::Settings;

/// The counters and everything that reads them.
pub(super) struct Output {
    pub(super) counts: Counts,
    shared: Arc<Shared>,
    textfile: Option<TextFile>,
    otlp: Option<Otlp>,
}

impl Output {
    /// Listens, unless only a text file or --otlp is asked for.
    pub(super) fn start(
        settings: &Settings,
        args: &ExportArgs,
        counts: Counts,
        host: &Host,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::new(settings.interval));
        let is_only = args.textfile.is_none() && args.otlp.is_none();
        let address = args.listen.or(is_only.then_some(DEFAULT_LISTEN));
        let web = args.web_config.as_deref().map(Web::read).transpose()?.unwrap_or_default();
        if let Some(address) = address {
            let listener = serve::listen(address)?;
            let address = listener.local_addr().unwrap_or(address);
            let scheme = web.scheme();
            if web.users.is_none() && !web.asks_for_certificates && !address.ip().is_loopback() {
                say(&format!(
                    "every client that reaches {address} can read the metrics; --web.config.file limits that"
                ));
            }
            serve::start(listener, shared.clone(), web)?;
            say(&format!("serving {scheme}://{address}/metrics"));
        }
        let textfile = args.textfile.as_deref();
        let textfile = textfile
            .map(|path| TextFile::start(path, shared.clone(), address.is_none()))
            .transpose()?;
        let start = |url: &str| -> anyhow::Result<Otlp> {
            let events = args.otlp_events.then(|| Choose::of_filter(args.filter())).transpose();
            let events = events.map_err(|e| otlp::Usage(format!("invalid filter: {e}")))?;
            Otlp::start(url, events, host)
        };
        let otlp = args.otlp.as_deref().map(start).transpose()?;
        Ok(Self { counts, shared, textfile, otlp })
    }

    /// Takes an event of the probes.
    pub(super) fn take(&mut self, event: &ProbeEvent, places: &mut impl Places) {
        self.counts.take(event, places);
        if let (Some(otlp), ProbeEvent::Opens(batch)) = (&mut self.otlp, event) {
            otlp.opens(batch, places);
        }
    }

    /// Makes the next snapshot.
    pub(super) fn publish(&mut self) {
        let snapshot = self.snapshot();
        if let Some(file) = &self.textfile {
            file.take(&snapshot);
        }
    }

    /// Makes the next snapshot, as if a scrape had seen it.
    pub(super) fn publish_as_scraped(&mut self) {
        let snapshot = self.snapshot();
        self.shared.taken(&snapshot);
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        let usage = usage();
        let delivered = self.otlp.as_ref().map(Otlp::delivered);
        let snapshot = self.shared.publish(|scraped| {
            let seen = match delivered {
                _ if scraped => Seen::Yes,
                Some(true) => Seen::Yes,
                Some(false) => Seen::Maybe,
                None => Seen::No,
            };
            let mut all = self.counts.snapshot(seen, usage);
            all.extend(self.otlp.iter().flat_map(Otlp::samples));
            all
        });
        if let Some(otlp) = &mut self.otlp {
            otlp.take(&snapshot);
        }
        snapshot
    }

    /// Sends the counts of the last part of an interval, and ends; returns whether everything was written.
    pub(super) fn end(mut self) -> bool {
        if self.otlp.is_some() {
            self.publish_as_scraped();
            // A new series begins at 0 in that one, and has its count in this one.
            if self.counts.holds_back() {
                self.publish();
            }
        }
        if let Some(otlp) = self.otlp {
            otlp.end();
        }
        self.textfile.is_none_or(TextFile::end)
    }
}

/// The program's consumption until now.
fn usage() -> Usage {
    let cpu = getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| (usage.user_time() + usage.system_time()).num_microseconds());
    Usage { cpu_seconds: cpu as f64 / 1e6, memory: resident().unwrap_or(0), now: unix_ns() }
}

/// Resident memory, bytes.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(u64::try_from(size).ok()?)
}
