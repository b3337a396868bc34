//! The filter language by tables and by chance.

use std::sync::{Arc, LazyLock};

use super::*;
use crate::model::container::of_docker;
use proptest::prelude::*;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn who<'a>(names: &'a [&'a [u8]]) -> ProcessInfo<'a> {
    static NGINX: LazyLock<Cgroup> = LazyLock::new(|| Cgroup::at(b"/system.slice/nginx.service"));
    ProcessInfo { names, tgid: 812, uid: 1000, cgroup: Some(&NGINX) }
}

#[test]
fn terms_on_the_process() {
    let names: &[&[u8]] = &[b"Socket Thread", b"firefox"];
    for (expr, matches) in [
        ("", true),
        ("fire", true),
        ("FIRE", true),
        ("chrome", false),
        ("!fire", false),
        ("!chrome", true),
        ("!!fire", true),
        ("\"socket t\"", true),
        ("'socket t'", true),
        ("!'socket t'", false),
        ("~^fire", true),
        ("~^ire", false),
        ("!~^fire", false),
        ("~\"t T\"", true),
        ("~\"t t\"", false),
        ("~'(?i)t T'", true),
        ("fire sock", true),
        ("fire chrome", false),
        ("pid:812", true),
        ("!pid:812", false),
        ("pid:1", false),
        ("uid:1000 pid:812", true),
        ("uid:0", false),
        ("cgroup:nginx", true),
        ("cgroup:~service$", true),
        ("cgroup:!nginx", false),
        ("!cgroup:!nginx", true),
        ("  fire \t pid:812  ", true),
        ("path:/etc err:ENOENT ip:10.0.0.0/8", true),
    ] {
        assert_eq!(filter(expr).process(&who(names)), matches, "{expr}");
    }
    for (text, path, matches) in [
        ("unit:nginx", "/system.slice/nginx.service", true),
        ("unit:~^nginx.service$", "/system.slice/nginx.service/sub", true),
        ("unit:system", "/system.slice/nginx.service", false),
        ("!unit:nginx", "/system.slice/nginx.service", false),
        ("unit:web", "/web", false),
        ("container:web", "/lxc.payload.web/system.slice/nginx.service", true),
        ("unit:nginx", "/lxc.payload.web/system.slice/nginx.service", false),
        ("container:nginx", "/system.slice/nginx.service", false),
        ("pod:0f1e2d3c", "/kubepods/burstable/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/x", true),
        ("pod:0f1e2d3c", "/system.slice/nginx.service", false),
    ] {
        let cgroup = Cgroup::at(path.as_bytes());
        let info = ProcessInfo { cgroup: Some(&cgroup), ..who(names) };
        assert_eq!(filter(text).process(&info), matches, "{text} {path}");
    }
    let name = of_docker(br#"{"Name":"/k8s_app_web-0_prod_0f6a_3"}"#).map(Arc::new);
    let cgroup = Cgroup { names: name, ..Cgroup::at(format!("/docker/{:064x}", 7).as_bytes()) };
    for (text, matches) in [
        ("container:app", true),
        ("container:0007", true),
        ("container:web-0", false),
        ("pod:web-0", true),
        ("pod:prod", true),
        ("!pod:prod", false),
    ] {
        let info = ProcessInfo { cgroup: Some(&cgroup), ..who(names) };
        assert_eq!(filter(text).process(&info), matches, "{text}");
    }
    let no_cgroup = ProcessInfo { cgroup: None, ..who(names) };
    assert!(!filter("cgroup:a").process(&no_cgroup));
    assert!(filter("!cgroup:a").process(&no_cgroup));
}

/// Any ancestor counts; negated, none may match.
#[test]
fn ancestors_match_by_id_or_name() {
    let ancestor =
        |pid, name: &[u8]| Ancestor { pid, name: Comm::new(name), ppid: 0, start_boottime_ns: 0 };
    let ancestors = [ancestor(700, b"backup.sh"), ancestor(1, b"systemd")];
    for (expr, matches) in [
        ("parent:700", true),
        ("parent:7", false),
        ("parent:backup", true),
        ("parent:~^system", true),
        ("parent:cron", false),
        ("!parent:systemd", false),
        ("!parent:cron parent:1", true),
        ("parent:!cron", true),
    ] {
        let filter = filter(expr);
        assert!(filter.chooses_parents() && filter.needs_each_process(), "{expr}");
        assert_eq!(filter.ancestors(&ancestors), matches, "{expr}");
    }
    assert!(Filter::parse("parent:").is_err() && Filter::parse("parent:~[").is_err());
}

#[test]
fn a_long_word_matches_by_its_first_fifteen_bytes() {
    let names: &[&[u8]] = &[b"gnome-session-b"];
    assert!(filter("gnome-session-binary").process(&who(names)));
    assert!(!filter("!gnome-session-binary").process(&who(names)));
    assert!(!filter("gnome-session-cinary").process(&who(names)));
    assert!(Pattern::parse_name("gnome-session-binary").unwrap().matches(b"gnome-session-b"));
    assert!(!Pattern::parse("gnome-session-binary").unwrap().matches(b"gnome-session-b"));
    // Cut inside a character: the whole characters before it are looked for.
    let cut: &[&[u8]] = &[b"aaaaaaaaaaaaaa\xc3"];
    assert!(filter("aaaaaaaaaaaaaaé").process(&who(cut)));
}

#[test]
fn terms_on_the_file() {
    let what = |errno| What { path: Some(b"conf/Site"), resolved: Some(b"/etc/site\xff"), errno };
    for (expr, good, failed) in [
        ("path:conf", true, true),
        ("path:SITE", true, true),
        ("path:/etc/", true, true),
        ("path:/usr", false, false),
        ("!path:/etc", false, false),
        ("path:!/usr", true, true),
        ("path:~^/etc", true, true),
        ("path:'~^/etc'", false, false),
        ("path:~'site(?-u:\\xff)$'", true, true),
        ("err:ENOENT", false, true),
        ("err:enoent", false, true),
        ("err:2", false, true),
        ("!err:2", true, false),
        ("err:any", false, true),
        ("!err:any", true, false),
        ("err:EACCES", false, false),
        ("pid:7", true, true),
    ] {
        assert_eq!(filter(expr).file(&what(None)), good, "{expr}");
        assert_eq!(filter(expr).file(&what(Some(libc::ENOENT))), failed, "{expr}");
    }
    let nothing = What { path: None, resolved: None, errno: None };
    assert!(!filter("path:a").file(&nothing));
    assert!(filter("!path:a").file(&nothing));
    assert!(filter("err:ERESTARTSYS").file(&What { errno: Some(512), ..nothing }));
}

#[test]
fn terms_on_the_address() {
    for (expr, ip, matches) in [
        ("ip:10.0.0.0/8", "10.255.1.2", true),
        ("ip:10.1.2.3/8", "10.255.1.2", true),
        ("ip:10.0.0.0/8", "11.0.0.1", false),
        ("!ip:10.0.0.0/8", "11.0.0.1", true),
        ("ip:10.0.0.2", "10.0.0.2", true),
        ("ip:10.0.0.2", "10.0.0.3", false),
        ("ip:0.0.0.0/0", "1.2.3.4", true),
        ("ip:0.0.0.0/0", "::ffff:1.2.3.4", false),
        ("ip:fe80::/10", "febf::1", true),
        ("ip:fe80::/10", "fec0::1", false),
        ("ip:::/0", "1.2.3.4", false),
        ("ip:::1", "::1", true),
        ("nginx pid:1", "1.2.3.4", true),
    ] {
        assert_eq!(filter(expr).address(ip.parse().unwrap()), matches, "{expr} {ip}");
    }
}

#[test]
fn conditions_that_every_match_has_are_known() {
    let kinds = |expr| {
        let f = filter(expr);
        (f.is_empty(), f.chooses_processes(), f.chooses_files(), f.chooses_addresses())
    };
    assert_eq!(kinds("  "), (true, false, false, false));
    assert_eq!(kinds("a"), (false, true, false, false));
    assert_eq!(kinds("path:a"), (false, false, true, false));
    assert_eq!(kinds("err:2"), (false, false, true, false));
    assert_eq!(kinds("!ip:::1"), (false, false, false, true));
}

#[test]
fn mistakes_say_where_and_what() {
    for (expr, at, says) in [
        ("a pid:x", 2..7, "number"),
        ("pid:", 0..4, "needs a value, as in `pid:812`"),
        ("!", 0..1, "without text"),
        ("!~", 0..2, "without text"),
        ("\"\"", 0..2, "without text"),
        ("user:root", 0..5, "unknown key"),
        ("a \"b c", 2..6, "closing quote"),
        ("\"b\"c", 0..3, "space"),
        ("nginx ~( x", 6..8, "unclosed group"),
        ("err:ENOSUCH", 0..11, "of an error, or any"),
        ("err:0", 0..5, "of an error, or any"),
        ("err:~E", 0..6, "of an error, or any"),
        ("ip:10.0.0.0/33", 0..14, "a network"),
        ("ip:10.0.0.0/+8", 0..14, "a network"),
        ("ip:host", 0..7, "a network"),
        ("uid:root", 0..8, "a number, as in `uid:1000`"),
        ("pid:-1", 0..6, "number"),
        ("~a{1000}{1000}", 0..14, "memory"),
    ] {
        let e = Filter::parse(expr).expect_err(expr);
        assert_eq!(e.at, at, "{expr}");
        assert!(e.reason.contains(says), "{expr}: {}", e.reason);
        assert!(!e.reason.contains('\n'), "{expr}: {}", e.reason);
    }
    assert!(Filter::parse(&"a ".repeat(3_000)).is_err());
}

#[test]
fn a_name_may_contain_a_colon() {
    let names: &[&[u8]] = &[b"kworker/0:1-eve"];
    assert!(filter("kworker/0:1").process(&who(names)));
    assert!(filter("'/0:'").process(&who(names)));
}

#[test]
fn case_is_nothing_beyond_ascii_too() {
    assert!(Pattern::parse("ÉTÉ").unwrap().matches("l'été".as_bytes()));
    assert!(!Pattern::parse("été").unwrap().matches(b"ete"));
}

#[test]
fn any_text_parses_or_points_into_itself() {
    crate::testing::fuzz::check("filter", |bytes| {
        let text = &String::from_utf8_lossy(bytes);
        match Filter::parse(text) {
            Ok(f) => {
                f.process(&who(&[bytes, b"x"]));
                f.address([10, 0, 0, 1].into());
            }
            Err(e) => {
                assert!(e.at.start <= e.at.end && e.at.end <= text.len());
                assert!(text.is_char_boundary(e.at.start) && text.is_char_boundary(e.at.end));
            }
        }
    });
}

proptest! {
    #[test]
    fn a_substring_is_found_as_the_plain_way_finds_it(
        text in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'B'), Just(b'/'), any::<u8>()], 0..40),
        needle in "[abAB/]{1,4}",
    ) {
        let lower = text.to_ascii_lowercase();
        let wanted = needle.to_ascii_lowercase();
        let plain = lower.windows(wanted.len()).any(|w| w == wanted.as_bytes());
        prop_assert_eq!(Pattern::parse(&needle).unwrap().matches(&text), plain);
        let negated = Pattern::parse(&format!("!{needle}")).unwrap();
        prop_assert_eq!(negated.matches(&text), !plain);
    }
}

#[test]
fn terms_on_connections() {
    let conn = crate::model::connections::sample(1); // 10.0.0.1:4711 to 10.0.0.2:443
    let quality = Quality { srtt_us: Some(60_000), retransmits: Some(2), ..Quality::default() };
    for (expr, matches) in [
        ("state:established", true),
        ("state:ESTAB", true),
        ("state:close-wait", false),
        ("!state:close-wait", true),
        ("rtt:>50ms", true),
        ("rtt:>0.05s", true),
        ("rtt:<50ms", false),
        ("rtt:>60ms", false),
        ("rtt:<60001us", true),
        ("retrans:>0", true),
        ("retrans:2", true),
        ("retrans:<2", false),
        ("port:443", true),
        ("port:>4000", true),
        ("port:<443", false),
        ("!port:>4000", false),
        ("peer:10.0.0.2 rtt:>50ms", true),
        ("peer:10.0.0.1", false),
        ("ip:10.0.0.0/8", true),
    ] {
        let filter = filter(expr);
        assert!(filter.chooses_peers() || filter.chooses_addresses(), "{expr}");
        assert_eq!(filter.connection(&conn, None, conn.tcp_state(), &quality), matches, "{expr}");
    }
    // Unknown values match no term, and every negated one.
    for (expr, matches) in [("rtt:<50ms", false), ("!rtt:>50ms", true), ("retrans:<9", false)] {
        let unknown = Quality::default();
        assert_eq!(filter(expr).connection(&conn, None, None, &unknown), matches, "{expr}");
    }
    for expr in ["rtt:50ms", "rtt:>50", "rtt:>", "retrans:>x", "retrans:+1", "state:open", "port:>"]
    {
        let error = Filter::parse(expr).unwrap_err();
        let (key, _) = expr.split_once(':').unwrap();
        assert!(error.reason.contains(key), "{expr}: {error}");
    }
}
