//! Defaults, then the file, then the command line: merged once, here.

mod file;
mod place;
mod printed;
mod readers;
mod save;
pub mod table;

use std::path::{Path, PathBuf};

use crate::cli::{ChangesArgs, OwnArgs, OwnersArgs, ScreenArgs, WatchArgs};
use crate::model::escape::escape;
use crate::model::file_io::FileTypes;
use crate::model::link::Choice;
use crate::model::timeline::WatchedPaths;
use crate::settings::saved_view::THEME_NAMES;
use crate::settings::{ScreenSettings, Settings};

pub use printed::printed;
pub use readers::FileConfig;
pub use save::{Changes, save};

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration {}: {why}", shown(.path))]
    Read { path: PathBuf, why: std::io::Error },
    /// The file says something that cannot be.
    #[error("{}:{line}: {reason}", shown(.path))]
    Content { path: PathBuf, line: usize, reason: String },
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).into_owned()
}

/// The path of the configuration, also if it does not exist: `named`, else its place.
fn path(named: Option<&Path>) -> Option<PathBuf> {
    named.map(PathBuf::from).or_else(place::default_path)
}

/// The file's words: `named`, which has to exist, or the one at its place, which need not
/// (nor be within reach: a home that is not one's own is no reason to stop).
pub fn load(named: Option<&Path>) -> Result<FileConfig, ConfigError> {
    let Some(path) = path(named) else {
        return Ok(FileConfig::default());
    };
    let text = match place::read(&path) {
        Ok(text) => text,
        Err(_) if named.is_none() && !place::is_there(&path) => {
            return Ok(FileConfig::default());
        }
        Err(why) => return Err(ConfigError::Read { path, why }),
    };
    FileConfig::parse(&text).map_err(|(line, reason)| ConfigError::Content { path, line, reason })
}

/// Settings that all ways of watching have in common; the command line wins.
pub fn settings(args: &WatchArgs, file: &FileConfig) -> Settings {
    let default = Settings::default();
    let slow = args.slow.or(file.slow.unwrap_or(default.slow));
    let either = |said: &Option<String>, written: &Option<String>| {
        said.clone().or_else(|| written.clone()).filter(|text| !text.is_empty())
    };
    Settings {
        choice: match args.interface.as_ref().or(file.interface.as_ref()) {
            None => Choice::Default,
            Some(name) if *name == "" => Choice::Default,
            Some(name) if *name == "all" => Choice::All,
            Some(name) => Choice::Named(name.clone()),
        },
        process: either(&args.process, &file.process),
        filter: either(&args.filter, &file.filter),
        interval: args.interval.or(file.interval).unwrap_or(default.interval),
        xdp_mode: args.xdp_mode.or(file.xdp_mode).unwrap_or(default.xdp_mode),
        owners: file.owners.unwrap_or(default.owners),
        netns: args.netns.clone(),
        locked: args.lock,
        latency: args.latency || file.latency.unwrap_or(default.latency) || slow.is_some(),
        io: args.io.or(file.io.unwrap_or(default.io)).or(slow.map(|_| FileTypes::Regular)),
        slow,
        own_opens: file.own_opens.unwrap_or(default.own_opens),
        files: file.files.unwrap_or(default.files),
        unix_listeners: args.unix_listeners
            || file.unix_listeners.unwrap_or(default.unix_listeners),
        names: args.names || file.asked_names.unwrap_or(default.names),
    }
}

/// The settings of commands that can run without the connections probe.
pub fn settings_with(args: &WatchArgs, owners: OwnersArgs, file: &FileConfig) -> Settings {
    let settings = settings(args, file);
    Settings { owners: settings.owners && !owners.no_owners, ..settings }
}

/// The settings of `record`.
pub fn record_settings(
    args: &WatchArgs,
    owners: OwnersArgs,
    changes: ChangesArgs,
    file: &FileConfig,
) -> Settings {
    let settings = settings_with(args, owners, file);
    Settings { files: settings.files || changes.files, ..settings }
}

/// The settings of the dashboard.
pub fn dashboard_settings(
    args: &WatchArgs,
    owners: OwnersArgs,
    changes: ChangesArgs,
    own: OwnArgs,
    file: &FileConfig,
) -> Settings {
    let settings = record_settings(args, owners, changes, file);
    Settings { own_opens: settings.own_opens || own.own_opens, ..settings }
}

/// Settings of the dashboard alone. `NO_COLOR`, when not empty, turns colours off.
pub fn screen_settings(args: &ScreenArgs, file: &FileConfig) -> ScreenSettings {
    let default = ScreenSettings::default();
    let mut view = default.view;
    for (key, value) in &file.view {
        view.set(key, *value);
    }
    let theme = THEME_NAMES.into_iter().find(|t| args.theme.as_deref() == Some(*t));
    view.theme = theme.unwrap_or(view.theme);
    ScreenSettings {
        view,
        keys: file.keys.clone().unwrap_or(default.keys),
        columns: file.columns.clone(),
        file: path(args.config.as_deref()),
        mmdb: match args.mmdb.as_slice() {
            [] => file.mmdb.iter().map(PathBuf::from).collect(),
            said => said.to_vec(),
        },
        // Already checked.
        watched: WatchedPaths::parse(file.watched.iter().map(String::as_str)).unwrap_or_default(),
        mouse: !args.no_mouse && file.mouse.unwrap_or(default.mouse),
        ascii: args.ascii || file.ascii.unwrap_or(default.ascii),
        colour: std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::link::XdpMode;
    use std::time::Duration;

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = FileConfig::parse(
            "interface = 'eth1'\nfilter = 'x'\ninterval = '5s'\nxdp_mode = 'off'\nlatency = true\n",
        )
        .unwrap();
        let from_file = settings(&WatchArgs::default(), &file);
        assert_eq!(from_file.choice, Choice::Named("eth1".into()));
        assert_eq!(from_file.interval, Duration::from_secs(5));
        assert_eq!((from_file.xdp_mode, from_file.latency), (XdpMode::Off, true));
        let args = WatchArgs {
            interface: Some("all".into()),
            filter: Some(String::new()),
            interval: Some(Duration::from_secs(2)),
            ..WatchArgs::default()
        };
        let merged = settings(&args, &file);
        assert_eq!((merged.choice, merged.filter), (Choice::All, None));
        assert_eq!(merged.interval, Duration::from_secs(2));
        let none = OwnersArgs { no_owners: true };
        assert!(settings(&args, &file).owners && !settings_with(&args, none, &file).owners);
        let file = FileConfig::parse("owners = false\nown_opens = true").unwrap();
        assert!(!settings_with(&args, OwnersArgs::default(), &file).owners);
        let shown = |own_opens, file: &FileConfig| {
            let own = OwnArgs { own_opens };
            dashboard_settings(&args, OwnersArgs::default(), ChangesArgs::default(), own, file)
                .own_opens
        };
        assert!(shown(false, &file) && shown(true, &FileConfig::default()));
        assert!(!shown(false, &FileConfig::default()));
    }

    #[test]
    fn slow_times_opens_too() {
        let slow = Some(Duration::from_millis(20));
        let args = WatchArgs { slow, ..WatchArgs::default() };
        let said = settings(&args, &FileConfig::default());
        assert_eq!((said.slow, said.io, said.latency), (slow, Some(FileTypes::Regular), true));
        let file = FileConfig::parse("slow = '20ms'\nlatency = false").unwrap();
        let written = settings(&WatchArgs::default(), &file);
        assert_eq!((written.slow, written.latency), (slow, true));
    }

    #[test]
    fn without_either_the_defaults_hold() {
        let (args, file) = (WatchArgs::default(), FileConfig::default());
        assert_eq!(settings(&args, &file), Settings::default());
    }
}
