//! The view by service and container: its rows, their sums, the programs below them.

use std::sync::Arc;

use crate::fake::{Dashboard, at, key, meta, started, text, type_text};
use ebpftop::app::opens::OpensView;
use ebpftop::app::opens::{Detail, Row};
use ebpftop::app::{Effect, Msg};
use ebpftop::model::cgroup::Cgroup;
use ebpftop::model::container::of_docker;
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::open::{OpenBatch, OpenMeta, ResolvedKind};
use ebpftop::settings::Settings;
use ratatui::crossterm::event::KeyCode;

const SIZE: (u16, u16) = (150, 40);
const ID: &str = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";

/// Two programs in a service, one of them in a cgroup below it, one in a container, one nowhere.
fn services() -> Dashboard {
    let mut app = started(&Settings::default(), SIZE);
    let mut batch = OpenBatch::default();
    for (pid, name, cgroup_id, opens) in [
        (10, "nginx", Some(1), 3),
        (11, "php-fpm", Some(2), 4),
        (12, "redis", Some(3), 5),
        (13, "stray", None, 1),
    ] {
        let meta = OpenMeta { cgroup_id, ..meta(pid, name, at(1.0), 3) };
        for _ in 0..opens {
            let path = format!("/srv/{name}/data");
            let resolved = (ResolvedKind::Opened, path.as_bytes());
            batch.push(meta, Some(path.as_bytes()), Some(resolved));
        }
    }
    let container = format!("/system.slice/docker-{ID}.scope");
    let cgroups =
        [(1, "/system.slice/web.service"), (2, "/system.slice/web.service/php"), (3, &container)];
    let named = |(id, path): (u64, &str)| (id, Some(Cgroup::at(path.as_bytes())));
    app.update(Msg::Cgroups(cgroups.into_iter().map(named).collect()), at(0.5));
    app.update(Msg::Probe(ProbeEvent::Opens(batch)), at(1.0));
    app.update(Msg::Tick, at(2.0));
    for _ in 0..2 {
        app.update(key(KeyCode::Char('t')), at(2.0));
    }
    assert_eq!(app.opens_pane.view, OpensView::Units);
    app
}

fn row<'a>(screen: &'a str, what: &str) -> &'a str {
    screen.lines().find(|l| l.contains(what)).unwrap_or_else(|| panic!("{what}: {screen}"))
}

#[test]
fn programs_are_summed_by_service_and_container() {
    let app = services();
    let screen = text(&app, SIZE);
    let web = row(&screen, "web.service");
    assert!(web.contains("2 programs") && web.contains(" 7.0"), "{screen}");
    assert!(row(&screen, "1b3f5c7d9e0a").contains(" 5.0"), "{screen}");
    assert!(row(&screen, "no cgroup").contains(" 1.0"), "{screen}");
    assert!(row(&screen, "php-fpm 11").contains("/srv/php-fpm/data"), "{screen}");
    assert!(screen.contains(" 3 of 3 "), "{screen}");
    let opens: u64 = app.opens_pane.units.iter().map(|unit| unit.tally.opens).sum();
    assert_eq!(opens, app.opens().total().opens);
    insta::assert_snapshot!("units_150x40", screen);
}

#[test]
fn a_container_has_the_names_of_its_manager() {
    let mut app = services();
    let names = of_docker(br#"{"Name":"/k8s_cache_web-0_prod_0f6a_3"}"#).map(Arc::new);
    app.update(Msg::Containers(vec![(ID.into(), names)]), at(2.5));
    app.update(Msg::Tick, at(3.0));
    let screen = text(&app, SIZE);
    assert!(screen.contains(" prod/web-0/cache ") && !screen.contains("1b3f5c7d9e0a"), "{screen}");
    type_text(&mut app, "/pod:web-0", at(3.0));
    let screen = text(&app, SIZE);
    assert!(screen.contains(" prod/web-0/cache ") && screen.contains(" 1 of 3 "), "{screen}");
}

/// The app asks for containers whose names it does not know, and less often the longer they are unknown.
#[test]
fn names_of_containers_are_requested() {
    let mut app = services();
    let mut asked = 0;
    for second in 3..63 {
        for effect in app.update(Msg::Tick, at(f64::from(second))) {
            if let Effect::Containers(ids) = effect {
                assert_eq!(ids, [ID.into()]);
                asked += 1;
            }
        }
    }
    assert!((4..8).contains(&asked), "{asked}");
}

#[test]
fn a_filter_leaves_the_part_that_matches() {
    let mut app = services();
    type_text(&mut app, "/nginx", at(2.0));
    let screen = text(&app, SIZE);
    let web = row(&screen, "web.service");
    assert!(web.contains("1 program ") && web.contains(" 3.0"), "{screen}");
    assert!(screen.contains(" 1 of 3 "), "{screen}");
}

#[test]
fn a_service_opens_to_its_programs_and_files() {
    let mut app = services();
    app.update(key(KeyCode::Enter), at(2.0));
    assert!(matches!(app.opens_pane.detail(), Some(Detail::Unit(_))));
    let screen = text(&app, SIZE);
    assert!(screen.contains("/system.slice/web.service"), "{screen}");
    assert!(screen.contains("nginx 10") && screen.contains("php-fpm 11"), "{screen}");
    assert!(!screen.contains("redis") && screen.contains(" 2 of 2 "), "{screen}");
    app.update(key(KeyCode::Esc), at(2.0));
    // What is below a row folds and unfolds.
    let below = |app: &Dashboard| {
        app.opens_pane.rows.iter().filter(|r| matches!(r, Row::ProgramUnderUnit(_))).count()
    };
    assert_eq!(below(&app), 4);
    app.update(key(KeyCode::Left), at(2.0));
    assert_eq!(below(&app), 2);
}
