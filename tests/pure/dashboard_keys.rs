//! Effects of keys, at fixed times: no kernel, no terminal.

use crate::fake::{at, batch, key, started, type_text};
use ebpftop::app::opens::OpensView;
use ebpftop::app::{Effect, Msg, Overlay};
use ebpftop::keys::{Action, BINDINGS};
use ebpftop::model::event::{OpensInfo, ProbeEvent, ProbeId, ProbeInfo};
use ebpftop::model::problem::Problem;
use ebpftop::settings::Settings;
use ratatui::crossterm::event::KeyCode;
use strum::VariantArray;

#[test]
fn copied_text_has_no_control_characters() {
    let mut app = started(&Settings::default(), (120, 40));
    let opens = batch(at(1.0), &[(7, "sh", b"/tmp/a\n\x1b[2J\xff", 3, 1)]);
    app.update(Msg::Probe(ProbeEvent::Opens(opens)), at(1.0));
    type_text(&mut app, "ttt", at(1.0));
    let effects = app.update(key(KeyCode::Char('y')), at(1.0));
    assert_eq!(effects[0], Effect::Copy("/tmp/a\\n\\x1b[2J\\xff".into()));
}

#[test]
fn without_the_talkers_probe_its_keys_report_why_and_request_nothing() {
    let mut app = started(&Settings::default(), (120, 40));
    let problem = Problem::new("watch eth7", "no such interface", "choose another");
    app.update(Msg::Probe(ProbeEvent::Failed(ProbeId::Talkers, problem)), at(1.0));
    for c in ['i', 'n', 'b', 'x'] {
        assert_eq!(app.update(key(KeyCode::Char(c)), at(2.0)), [Effect::Redraw]);
        assert!(matches!(app.screen.overlay, Overlay::None));
        let notice = app.notice().unwrap().0;
        assert_eq!(
            notice,
            "the talkers probe is not running: watch eth7: no such interface; choose another"
        );
    }
    assert_eq!(app.data.problems().len(), 1);
}

/// The help of the key for the next view names each view.
#[test]
fn the_key_of_views_names_each_one() {
    let key = BINDINGS.iter().find(|binding| binding.action == Action::NextView).unwrap();
    for view in OpensView::VARIANTS {
        assert!(key.help.contains(view.title()), "{view:?}: {}", key.help);
    }
}

/// `--process` keeps opens by processes whose name matches, in every view.
#[test]
fn only_processes_of_the_command_line_are_counted() {
    let settings = Settings { process: Some("alpha".into()), ..Settings::default() };
    let mut app = started(&settings, (120, 40));
    let before = app.opens().total().opens;
    let opens = batch(at(1.0), &[(7, "alpha", b"/shared", 3, 10), (8, "beta", b"/shared", 3, 100)]);
    app.update(Msg::Probe(ProbeEvent::Opens(opens)), at(1.0));
    assert_eq!(app.opens().total().opens - before, 10);
}

#[test]
fn a_filter_on_changes_that_are_not_reported_warns() {
    let warning = "`op:` has no effect: changes of files are reported with --files";
    for (files, notice) in [(false, Some(warning)), (true, None)] {
        let mut app = started(&Settings::default(), (120, 40));
        let info = OpensInfo { files, ..OpensInfo::default() };
        let event = ProbeEvent::Started(ProbeInfo::Opens(info));
        app.update(Msg::Probe(event), at(1.0));
        type_text(&mut app, "/op:unlink", at(1.0));
        app.update(key(KeyCode::Enter), at(1.0));
        assert_eq!(app.notice().map(|notice| notice.0), notice);
    }
}
