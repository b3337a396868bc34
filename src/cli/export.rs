//! The command line of `export`.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::values::{filter, interface, netns};
use super::{BtfArgs, ChangesArgs, OwnersArgs, WatchArgs};
use crate::model::duration;
use crate::model::file_io::FileTypes;
use crate::model::interface_name::InterfaceName;
use crate::model::link::XdpMode;
use crate::model::timeline::WatchedPaths;

/// The address that `export` listens at unless another is asked for.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 19_435);

/// Groups where no number is asked for.
const DEFAULT_GROUPS: usize = 200;

/// Maximum of `--max-groups`: some 5 MiB of text in each scrape.
const MAX_GROUPS: usize = 5_000;

/// Options of `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Address and port of the HTTP server [default: 127.0.0.1:19435; none with --textfile or --otlp
    /// alone]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// TLS and basic authentication, as in Prometheus' exporter-toolkit: `tls_server_config`,
    /// `basic_auth_users`
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config: Option<PathBuf>,
    /// Write the metrics to this file too, each interval, for node_exporter's textfile collector; its
    /// name ends with .prom
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(prom))]
    pub textfile: Option<PathBuf>,
    /// Send the metrics each interval to an OpenTelemetry receiver, by OTLP over HTTP/protobuf to
    /// URL/v1/metrics. The OTEL_EXPORTER_OTLP_* variables name it where URL is absent, and have headers
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    pub otlp: Option<String>,
    /// Send opens, too, as log records to URL/v1/logs
    #[arg(long, requires = "otlp")]
    pub otlp_events: bool,
    /// Opens that --otlp-events sends, in the filter language; empty: all. Metrics are those of everything
    /// [default: err:any, failed opens]
    #[arg(short, long, value_name = "EXPR", value_parser = filter, requires = "otlp_events")]
    pub filter: Option<String>,
    /// Maximum groups (unit, container or pod, then program) with series of their own; the rest is
    /// `other`
    #[arg(long, value_name = "N", default_value_t = DEFAULT_GROUPS, value_parser = groups)]
    pub max_groups: usize,
    /// Count opens of the paths that match, `/etc/shadow` or `**/id_*`; may be repeated [default: `watched`
    /// of the configuration]
    #[arg(long = "watched", value_name = "PATTERN", value_parser = watched)]
    pub watched: Vec<String>,
    /// Take the events from this recording instead of the probes: without privileges, in real time, and
    /// serve its totals from its end on
    #[arg(long, value_name = "FILE", conflicts_with_all = ["interface", "netns", "xdp_mode", "io", "slow", "files", "no_owners", "no_lock"])]
    pub from: Option<PathBuf>,
    /// Play the recording as fast as possible
    #[arg(long, requires = "from")]
    pub at_once: bool,
    /// Interface to watch; `all` for every one that is up [default: the default route's]
    #[arg(short, long, value_name = "IFACE")]
    #[arg(value_parser = OsStringValueParser::new().try_map(|name: OsString| interface(name.as_bytes())))]
    pub interface: Option<InterfaceName>,
    /// Watch the interfaces of this network namespace: a name of `ip netns`, a process ID, or a path
    #[arg(long, value_name = "NAME|PID", value_parser = netns)]
    pub netns: Option<String>,
    /// Time between snapshots, 100ms to 60s [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_interval)]
    pub interval: Option<Duration>,
    /// Hook that counts received packets [default: auto]
    #[arg(long, value_name = "MODE", value_enum)]
    pub xdp_mode: Option<XdpMode>,
    /// Count bytes and calls read and written by process and file: of regular files, or with `=all` of
    /// pipes, sockets, terminals and devices too; slows each call down
    #[arg(long, value_name = "FILES", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "regular")]
    pub io: Option<FileTypes>,
    /// Time calls that read and write files, and report each that takes this time or longer; implies --io,
    /// and slows calls down further, since a second program runs at their entry
    #[arg(long, value_name = "TIME", value_parser = duration::parse_slow)]
    pub slow: Option<Duration>,
    #[command(flatten)]
    pub owners: OwnersArgs,
    #[command(flatten)]
    pub changes: ChangesArgs,
    /// Keep the privileges to attach again: to an interface that is deleted and made again, or comes up
    /// later
    #[arg(long)]
    pub no_lock: bool,
    #[command(flatten)]
    pub types: BtfArgs,
    /// Configuration file [default: $XDG_CONFIG_HOME/ebpftop/config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ExportArgs {
    /// The filter of `--otlp-events`. Programs look for files that are not there far less often than they open
    /// some: a fleet can store failures.
    pub fn filter(&self) -> &str {
        self.filter.as_deref().unwrap_or("err:any")
    }

    /// The options that it shares with other commands. Nothing is left out by a filter: one of the
    /// configuration is for the eye.
    pub fn watch(&self) -> WatchArgs {
        WatchArgs {
            interface: self.interface.clone(),
            netns: self.netns.clone(),
            process: Some(String::new()),
            filter: Some(String::new()),
            interval: self.interval,
            xdp_mode: self.xdp_mode,
            io: self.io,
            slow: self.slow,
            types: self.types.clone(),
            lock: !self.no_lock,
            ..WatchArgs::default()
        }
    }
}

fn groups(text: &str) -> Result<usize, String> {
    let number = text.parse().map_err(|_| "not a number")?;
    match number {
        1..=MAX_GROUPS => Ok(number),
        _ => Err(format!("1 to {MAX_GROUPS}")),
    }
}

fn watched(text: &str) -> Result<String, String> {
    WatchedPaths::parse(std::iter::once(text)).map(|_| text.to_owned())
}

fn prom(name: OsString) -> Result<PathBuf, &'static str> {
    match name.as_bytes().ends_with(b".prom") {
        true => Ok(name.into()),
        false => Err("node_exporter reads files whose names end with .prom"),
    }
}
