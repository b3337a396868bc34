//! Properties for any size, data and keys: no panic, the selection on a row, a total order.

use crate::fake::{Dashboard, at, batch, sample, watched};
use ebpftop::app::opens::OpensSort;
use ebpftop::app::talkers::TalkersSort;
use ebpftop::app::{Msg, Pane, Target};
use ebpftop::keys::{BINDINGS, Mode};
use ebpftop::model::cgroup::Cgroup;
use ebpftop::model::event::{ProbeEvent, ProbeId};
use ebpftop::model::problem::Problem;
use ebpftop::model::process::ProcessKey;
use ebpftop::model::process_info::{
    Descriptors, OpenDescriptor, Parent, ProcessDetails, ProcessInfo, Unread,
};
use ebpftop::model::talkers::Direction;
use ebpftop::settings::saved_view::SavedView;
use ebpftop::settings::{ScreenSettings, Settings};
use ebpftop::ui::{Look, THEMES, draw, hit, pane_at, split_for};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

#[derive(Clone, Debug)]
enum Step {
    Key(usize),
    Type(char),
    Opens(Vec<(u32, Vec<u8>, i64, usize)>),
    Talkers(bool, bool, Vec<(u8, u64, u64)>),
    Links(u8),
    Watch(u8),
    Ended(u32),
    Described(Vec<u8>, bool),
    Cgroup(u64, Vec<u8>),
    Resize(u16, u16),
    Click(u16, u16),
    Drag(u16, u16),
    Drop,
    Wheel(u16, u16, isize),
    Tick,
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "(/[a-z]{1,3}){1,6}".prop_map(String::into_bytes),
        ".{0,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(vec![b'/'; 4095]),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let open = (0u32..12, path(), -140i64..9, 1usize..4);
    let source = (any::<u8>(), any::<u64>(), any::<u64>());
    let step = prop_oneof![
        8 => (0..BINDINGS.len()).prop_map(Step::Key),
        2 => any::<char>().prop_map(Step::Type),
        4 => proptest::collection::vec(open, 0..12).prop_map(Step::Opens),
        3 => (any::<bool>(), any::<bool>(), proptest::collection::vec(source, 0..9))
            .prop_map(|(lo, tx, s)| Step::Talkers(lo, tx, s)),
        1 => (0u8..5).prop_map(Step::Links),
        1 => (0u8..5).prop_map(Step::Watch),
        1 => (0u32..12).prop_map(Step::Ended),
        1 => (path(), any::<bool>()).prop_map(|(text, gone)| Step::Described(text, gone)),
        1 => (0u64..4, path()).prop_map(|(id, path)| Step::Cgroup(id, path)),
        2 => (0u16..220, 0u16..70).prop_map(|(w, h)| Step::Resize(w, h)),
        2 => (0u16..220, 0u16..70).prop_map(|(x, y)| Step::Click(x, y)),
        2 => (0u16..220, 0u16..70).prop_map(|(x, y)| Step::Drag(x, y)),
        1 => Just(Step::Drop),
        1 => (0u16..220, 0u16..70, -9isize..9).prop_map(|(x, y, by)| Step::Wheel(x, y, by)),
        3 => Just(Step::Tick),
    ];
    proptest::collection::vec(step, 1..60)
}

fn message(app: &mut Dashboard, step: &Step, s: f64) -> Option<Msg> {
    let (now, area) = (at(s), app.area());
    let look = Look::new(&ScreenSettings::default());
    Some(match step {
        Step::Key(i) => {
            let binding = &BINDINGS[*i];
            Msg::Key(KeyEvent::new(binding.keys[0], binding.modifiers))
        }
        Step::Type(c) => crate::fake::key(KeyCode::Char(*c)),
        Step::Opens(opens) => {
            let opens: Vec<_> = opens
                .iter()
                .map(|(pid, path, ret, n)| (*pid, "na\x1bme", path.as_slice(), *ret, *n))
                .collect();
            Msg::Probe(ProbeEvent::Opens(batch(now, &opens)))
        }
        Step::Talkers(lo, tx, sources) => {
            let sources: Vec<_> = sources
                .iter()
                .map(|(n, total, delta)| {
                    let v4 = std::net::IpAddr::from([10, 0, 0, *n]);
                    let v6 = std::net::IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(*n)]);
                    (if n % 2 == 0 { v4 } else { v6 }, *total, *delta)
                })
                .collect();
            let way = if *tx { Direction::Tx } else { Direction::Rx };
            let name = if *lo { "lo" } else { "eth0" };
            Msg::Probe(ProbeEvent::Talkers(vec![sample(name, way, now, &sources)]))
        }
        Step::Links(n) => {
            let link =
                |i| crate::fake::link(i, if i == 1 { "lo" } else { "eth\x1b0" }, i != 2, "::1");
            Msg::Probe(ProbeEvent::Links((1..=u32::from(*n)).map(link).collect()))
        }
        Step::Watch(n) => {
            let problem = || Problem::new("watch it", "it \u{65e5}\u{672c} is so", "do that");
            Msg::Probe(match n {
                0 => ProbeEvent::Failed(ProbeId::Talkers, problem()),
                1 => ProbeEvent::Watching(vec![watched("eth0"), watched("lo")]),
                2 => {
                    let mut w = watched("eth0");
                    w.gone = Some(problem());
                    w.partial = Some("after foreign XDP".into());
                    ProbeEvent::Watching(vec![w])
                }
                3 => ProbeEvent::Watching(vec![]),
                _ => ProbeEvent::Watching(vec![watched("lo")]),
            })
        }
        Step::Ended(pid) => {
            let start_boottime_ns = u64::from(*pid) * 1_000_000;
            Msg::Ended(vec![ProcessKey { tgid: *pid, start_boottime_ns }])
        }
        Step::Described(text, gone) => {
            let facts = ProcessDetails {
                exe: Some(text.clone()),
                args: vec![text.clone(), vec![], text.clone()],
                parents: vec![Parent { pid: 1, name: text.clone() }],
                threads: vec![(text.clone(), 9)],
                descriptors: Some(Descriptors {
                    listed: vec![OpenDescriptor { fd: u32::MAX, target: text.clone() }; 3],
                    count: usize::MAX,
                }),
                ..ProcessDetails::default()
            };
            let key = app.inside_process()?.key;
            let facts = if *gone { Err(Unread::Gone) } else { Ok(facts) };
            let user = Some(String::from_utf8_lossy(text).into_owned());
            Msg::Described(key, Box::new(ProcessInfo { user, cgroup: None, facts }))
        }
        Step::Cgroup(id, path) => Msg::Cgroups(vec![(*id, Some(Cgroup::at(path)))]),
        Step::Resize(w, h) => {
            app.resize((*w, *h), now);
            return None;
        }
        Step::Click(x, y) => Msg::Click(hit(app, &look, area, *x, *y)?),
        Step::Drag(x, y) => Msg::Drag(split_for(app, area, *x, *y)?),
        Step::Drop => Msg::Drop,
        Step::Wheel(x, y, by) => Msg::Wheel(pane_at(app, area, *x, *y)?, *by),
        Step::Tick => Msg::Tick,
    })
}

fn in_range(cursor: usize, len: usize) -> bool {
    cursor < len || (len == 0 && cursor == 0)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn anything_goes(steps in steps(), theme in 0usize..5, ascii: bool, back: bool) {
        let settings = ScreenSettings {
            view: SavedView {
                theme: THEMES.get(theme).map_or("none", |t| t.name),
                ..SavedView::default()
            },
            colour: theme < 4,
            ascii,
            ..ScreenSettings::default()
        };
        let before = Look::new(&settings);
        let mut app = Dashboard::new(&Settings::default(), "ho\u{202e}st", (80, 24), at(0.0));
        app.remember(std::time::Duration::from_secs(1));
        for (i, step) in steps.iter().enumerate() {
            // A clock that stands still now and then, and one that goes back.
            let s = if back && i % 7 == 6 { i as f64 - 3.0 } else { i as f64 / 2.0 };
            if let Some(msg) = message(&mut app, step, s) {
                app.update(msg, at(s));
            }
            let area = app.area();
            let mut buf = Buffer::empty(area);
            let look = before.themed(if theme < 4 { app.screen.theme } else { "none" });
            draw(&app, &look, area, &mut buf);
            // A frame may come before the message about a new size.
            let other = Rect::new(0, 0, area.width / 2, area.height * 2);
            draw(&app, &look, other, &mut Buffer::empty(other));
            prop_assert!(in_range(app.opens_pane.list.cursor, app.opens_pane.rows.len()));
            prop_assert!(in_range(app.talkers_pane.list.cursor, app.talkers_pane.rows.len()));
            for cell in buf.content() {
                prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
                prop_assert!(!ascii || cell.symbol().is_ascii() || step_has_text(&steps));
            }
        }
    }

    #[test]
    fn every_order_is_the_same_each_time_and_whole(
        opens in proptest::collection::vec((0u32..9, "(/[a-c]){1,3}", -3i64..4, 1usize..3), 1..40),
    ) {
        let mut app = crate::fake::started(&Settings::default(), (120, 40));
        let opens: Vec<_> =
            opens.iter().map(|(p, f, r, n)| (*p, "x", f.as_bytes(), *r, *n)).collect();
        app.update(Msg::Probe(ProbeEvent::Opens(batch(at(0.5), &opens))), at(0.5));
        for _ in 0..7 {
            for sort in [OpensSort::Rate, OpensSort::Failed, OpensSort::Total, OpensSort::Age,
                         OpensSort::Name, OpensSort::Pid] {
                app.update(Msg::Click(Target::OpensHeader(sort)), at(1.0));
                let first = app.opens_pane.rows.clone();
                app.resize((120, 40), at(1.0));
                prop_assert_eq!(&first, &app.opens_pane.rows);
                let mut ids: Vec<_> = first.iter().map(|r| app.opens_pane.id(*r)).collect();
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), first.len());
            }
            app.update(crate::fake::key(KeyCode::Char('t')), at(1.0));
        }
        app.update(Msg::Click(Target::TalkersHeader(TalkersSort::Address)), at(1.0));
        prop_assert_eq!(app.screen.focus, Pane::Talkers);
    }
}

/// Names and paths of the data may go beyond ASCII, and are shown as they are.
fn step_has_text(steps: &[Step]) -> bool {
    steps.iter().any(|s| {
        matches!(
            s,
            Step::Described(..) | Step::Opens(_) | Step::Type(_) | Step::Watch(_) | Step::Links(_)
        )
    })
}

#[test]
fn every_binding_has_words_for_help() {
    for binding in BINDINGS.iter().filter(|b| b.mode == Mode::Main) {
        assert!(!binding.help.is_empty() && !binding.names().is_empty());
    }
}
