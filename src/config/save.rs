//! Writes settings changed on the screen into the configuration: the rest of the file stays as it
//! is, and there is never half a file.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use super::place;
use super::readers::FileConfig;
use crate::model::escape::escape;
use crate::privileges::as_invoker;
use crate::settings::saved_view::Value;

/// Values to be written, by their keys.
pub type Changes = Vec<(&'static str, Value)>;

/// Writes `changes` into `path`; the file that was written, as it is to be shown, or why none was.
///
/// Behind sudo it writes with the permissions of the user who called it, and new files are that user's.
pub fn save(path: &Path, changes: &Changes) -> Result<String, String> {
    let shown = escape(path.as_os_str().as_encoded_bytes()).into_owned();
    let result = as_invoker(|| write(path, changes)).unwrap_or_else(|e| Err(e.to_string()));
    result.map(|()| shown.clone()).map_err(|why| format!("{shown}: {why}"))
}

fn write(path: &Path, changes: &Changes) -> Result<(), String> {
    let during = |what: &'static str| move |e: io::Error| format!("{what}: {e}");
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(during("make the folder"))?;
    let mut mode = 0o600;
    let text = match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => {
            return Err("it is a symbolic link, which is not written through".into());
        }
        Ok(meta) => {
            mode = meta.permissions().mode() & 0o777;
            place::read(path).map_err(during("read it"))?
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(during("read it")(e)),
    };
    let text = edited(&text, changes)?;
    replace(dir, path, text.as_bytes(), mode).map_err(during("write it"))
}

/// Puts a whole new file in the place of `path`. A link that comes into its place meanwhile is
/// replaced, never followed.
fn replace(dir: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary: PathBuf = dir.join(format!(".ebpftop.{}.tmp", std::process::id()));
    let written = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    };
    let result = written();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// `text` with the changes in it. A key that is there keeps its place and its comment, one that is
/// there commented out comes below that line, and any other before the first table.
fn edited(text: &str, changes: &Changes) -> Result<String, String> {
    let parsed = |text: &str| {
        FileConfig::parse(text).map_err(|(line, reason)| format!("line {line}: {reason}"))
    };
    parsed(text)?;
    let mut text = text.to_owned();
    for (key, value) in changes {
        let before = document(&text)?;
        if before.get(key).is_none()
            && let Some(below) = below_comment(&text, key, *value)
            && document(&below).is_ok_and(|d| d.get(key).is_some())
        {
            text = below;
            continue;
        }
        let mut document = before;
        let mut new = toml_edit(*value);
        // The comments above a line belong to its key, those behind it to its value.
        match document.get_mut(key).and_then(|item| item.as_value_mut()) {
            Some(old) => {
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            None => {
                document.insert(key, toml_edit::Item::Value(new));
            }
        }
        text = document.to_string();
    }
    parsed(&text)?;
    Ok(text)
}

fn document(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|e: toml_edit::TomlError| escape(e.message().as_bytes()).into_owned())
}

fn toml_edit(value: Value) -> toml_edit::Value {
    match value {
        Value::Word(word) => word.into(),
        Value::Number(n) => i64::from(n).into(),
        Value::Flag(flag) => flag.into(),
    }
}

/// `text` with a line for `key` below the one that has it commented out.
fn below_comment(text: &str, key: &str, value: Value) -> Option<String> {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        end += line.len();
        let said = line.strip_prefix('#').and_then(|l| l.trim_start().strip_prefix(key));
        if said.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            let (before, after) = text.split_at_checked(end)?;
            let lf = if before.ends_with('\n') { "" } else { "\n" };
            return Some(format!("{before}{lf}{key} = {}\n{after}", toml_edit(value)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::printed;

    fn theme(name: &'static str) -> Changes {
        vec![("theme", Value::Word(name))]
    }

    #[test]
    fn other_lines_keep_their_place_and_their_comments() {
        let text = "# mine\nmouse = true # yes\ntheme = 'light'   # dark is for the night\n\n[keys]\npause = ['P'] # one\n";
        let mut changes = theme("contrast");
        changes.extend([("reverse", Value::Flag(true)), ("split", Value::Number(60))]);
        let new = edited(text, &changes).unwrap();
        let expected = "# mine\nmouse = true # yes\ntheme = \"contrast\"   # dark is for the night\n\
                        reverse = true\nsplit = 60\n\n[keys]\npause = ['P'] # one\n";
        assert_eq!(new, expected);
        assert_eq!(edited("", &theme("light")).unwrap(), "theme = \"light\"\n");
    }

    #[test]
    fn any_file_that_holds_still_does_with_the_change_in_it() {
        crate::testing::fuzz::check("config", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let new = edited(&text, &theme("contrast"));
            assert_eq!(new.is_ok(), FileConfig::parse(&text).is_ok(), "{new:?}");
        });
    }

    #[test]
    fn in_the_printed_default_each_goes_below_its_own_line() {
        let new = edited(&printed(), &theme("light")).unwrap();
        assert!(new.contains("#theme = \"terminal\"\ntheme = \"light\"\n"), "{new}");
        assert_eq!(new.lines().count(), printed().lines().count() + 1);
        let again = edited(&new, &theme("contrast")).unwrap();
        assert_eq!(again, new.replace("\"light\"\n", "\"contrast\"\n"));
        // Below a table it would be something else.
        let new = edited("[keys]\n#theme = 1\n", &theme("light")).unwrap();
        assert!(new.starts_with("theme = \"light\"\n"), "{new}");
    }

    #[test]
    fn a_file_that_is_wrong_is_not_touched() {
        assert!(edited("mouse = 1\n", &theme("light")).unwrap_err().starts_with("line 1: "));
        assert!(edited("mouse =\n", &theme("light")).unwrap_err().starts_with("line 1: "));
    }

    #[test]
    fn a_new_file_is_for_its_owner_and_an_old_one_keeps_its_mode() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a/b/config.toml");
        let mode = |p: &Path| p.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(save(&file, &theme("light")).unwrap(), file.display().to_string());
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        save(&file, &theme("contrast")).unwrap();
        assert_eq!(mode(&file), 0o644);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "theme = \"contrast\"\n");
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn links_and_folders_in_its_place_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let (target, link) = (home.path().join("target"), home.path().join("config.toml"));
        std::fs::write(&target, "").unwrap();
        symlink(&target, &link).unwrap();
        let why = save(&link, &theme("light")).unwrap_err();
        assert!(why.contains("symbolic link"), "{why}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "");
        assert!(save(home.path(), &theme("light")).is_err());
        assert!(save(&target.join("config.toml"), &theme("light")).is_err());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
    }
}
