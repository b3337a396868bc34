//! `ebpftop doctor`: checks of this machine, kernel and user, with the fix where something is missing.

mod checks;
mod host;
mod privileges;

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::DoctorFormat;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The check passed.
    Ok,
    /// Missing; the program runs without it.
    Without,
    /// Missing; [`field@Check::fix`] says what to do.
    Fix,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its subject, one or two words.
    pub check: String,
    /// Its result.
    pub status: Status,
    /// The finding.
    pub detail: String,
    /// The remedy; empty if there is none or none is needed.
    pub fix: String,
}

impl Check {
    fn new(check: &str, status: Status, detail: impl Into<String>, fix: &str) -> Self {
        Self { check: check.into(), status, detail: detail.into(), fix: fix.into() }
    }

    fn ok(check: &str, detail: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, detail, "")
    }

    fn without(check: &str, detail: impl Into<String>) -> Self {
        Self::new(check, Status::Without, detail, "")
    }

    fn fix(check: &str, detail: impl Into<String>, fix: &str) -> Self {
        Self::new(check, Status::Fix, detail, fix)
    }
}

/// All checks.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The checks, in the order of the output.
    pub checks: Vec<Check>,
    /// At least one probe can run.
    pub can_run: bool,
}

/// Runs all checks. Takes about a second, since it starts the probes.
pub fn examine() -> Report {
    checks::examine()
}

/// The report as text or JSON.
pub fn render(report: &Report, format: DoctorFormat) -> String {
    match format {
        DoctorFormat::Text => text(&report.checks),
        DoctorFormat::Json => json(&report.checks),
    }
}

fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|c| c.check.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        // Each character of a mark is one cell wide.
        let mark = match check.status {
            Status::Ok => "ok",
            Status::Without => "–",
            Status::Fix => "fix",
        };
        let _ = writeln!(out, "{mark:<4} {:<width$}  {}", check.check, check.detail);
        if !check.fix.is_empty() {
            let _ = writeln!(out, "{:<4} {:<width$}  -> {}", "", "", check.fix);
        }
    }
    out
}

#[derive(Serialize)]
struct Row<'a> {
    check: &'a str,
    ok: bool,
    detail: &'a str,
    fix: Option<&'a str>,
}

fn json(checks: &[Check]) -> String {
    let rows: Vec<String> = checks
        .iter()
        .filter_map(|c| {
            serde_json::to_string(&Row {
                check: &c.check,
                ok: c.status == Status::Ok,
                detail: &c.detail,
                fix: (!c.fix.is_empty()).then_some(&c.fix),
            })
            .ok()
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Check> {
        vec![
            Check::ok("kernel", "6.18"),
            Check::without("io_uring", "not seen"),
            Check::fix("tracefs", "not there", "mount it"),
        ]
    }

    #[test]
    fn text_is_aligned() {
        assert_eq!(
            text(&three()),
            "ok   kernel    6.18\n\
             –    io_uring  not seen\n\
             fix  tracefs   not there\n\
             \u{20}              -> mount it\n"
        );
    }

    #[test]
    fn json_is_an_array() {
        let value: serde_json::Value = serde_json::from_str(&json(&three())).unwrap();
        assert_eq!(
            value,
            serde_json::json!([
                {"check": "kernel", "ok": true, "detail": "6.18", "fix": null},
                {"check": "io_uring", "ok": false, "detail": "not seen", "fix": null},
                {"check": "tracefs", "ok": false, "detail": "not there", "fix": "mount it"},
            ])
        );
    }
}
