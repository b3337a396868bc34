//! Every bound that can be exceeded, with the counter that a user sees and the test that exceeds it.
//! docs/semantics.md has this table.

use std::collections::BTreeSet;
use std::path::Path;

use ebpftop::app::Msg;
use ebpftop::model::event::{ProbeEvent, ProbeInfo, Watched};
use ebpftop::model::talkers::{Direction, TalkersSample};
use ebpftop::model::wire::MAX_PORTS;
use ebpftop::settings::Settings;

use crate::fake::{Dashboard, at, sample, watched};

/// A bound.
pub struct Bound {
    pub data: &'static str,
    /// The BPF maps that have it.
    maps: &'static [&'static str],
    pub size: &'static str,
    /// The effect beyond it.
    pub beyond: &'static str,
    /// The place where a user sees the count; empty where nothing is lost.
    pub counter: &'static str,
    /// File and name of the test that exceeds it; or why there is none.
    test: Result<(&'static str, &'static str), &'static str>,
}

const fn bound(
    data: &'static str,
    maps: &'static [&'static str],
    size: &'static str,
    [beyond, counter]: [&'static str; 2],
    test: Result<(&'static str, &'static str), &'static str>,
) -> Bound {
    Bound { data, maps, size, beyond, counter, test }
}

/// All of them: opens, talkers, connections, dashboard, recordings, queues.
#[rustfmt::skip]
pub const BOUNDS: &[Bound] = &[
    bound("records of opens in the ring buffers", &["rings"],
        "16 MiB up to 4 possible CPUs, 8 MiB for each 4 beyond; resident memory shows them twice",
        ["the record is lost, the open is counted", "`lost` in the header and by process, `opens_lost`"],
        Ok(("tests/kernel/opens.rs", "a_full_ring_loses_details_and_no_counts"))),
    bound("processes whose lost opens are counted", &["lost"], "8,192 live ones",
        ["lost opens without a process", "`lost`, `opens_lost`: in the total alone"],
        Ok(("tests/kernel/opens.rs", "losses_beyond_their_table_are_in_the_total"))),
    bound("opens, reads and writes under way that are named", &[], "256 opens, 256 reads and writes",
        ["all are counted, the oldest are named", "the number in the header, `under_way_left_out`"],
        Ok(("src/model/under_way.rs", "the_oldest_are_named_whatever_their_order_and_all_are_counted"))),
    bound("descriptors that the detail view of a process names", &[], "512",
        ["all are counted, the first are named", "`of the first` beside the number"],
        Ok(("tests/pure/detail.rs", "a_leak_of_descriptors_is_seen"))),
    bound("holds in a report by holder", &[], "65,536",
        ["left out", "on stderr; the exit status is 1"],
        Err("as many descriptors of one file are more than a test should make")),
    bound("keys of files in the kernel", &["known"], "32,768 a ring, 256 KiB",
        ["names are sent again", ""], Err("nothing is lost")),
    bound("names of files in user space", &[],
        "two generations of 16,384 names or 2 MiB; four times that in the older one while a backlog is read",
        ["names are sent again", ""],
        Ok(("src/probes/opens/names.rs", "old_names_outlive_one_turn_and_are_gone_after_two"))),
    bound("io_uring opens under way", &["uring_pending"], "4,096, 4 KiB each while they last",
        ["the open has no path", "`unnamed` in the header, `opens_unnamed`"],
        Ok(("tests/kernel/io_uring.rs", "requests_beyond_their_table_have_no_name_and_are_counted"))),
    bound("io_uring opens that complete without an event", &["uring_silent"], "256",
        ["the oldest is evicted", "`opens_unfinished`"],
        Ok(("tests/kernel/io_uring.rs", "silent_completions_take_no_room_from_others"))),
    bound("threads between entry and exit of an open", &["pending"],
        "32,768, where a program at entry is attached",
        ["the latency is unknown", "`latency_ns` is `null`, `–` on the screen"],
        Ok(("tests/kernel/opens.rs", "threads_beyond_their_table_have_no_latency"))),
    bound("changes of files in the ring buffers of opens", &[], "the room of opens",
        ["lost", "`lost`, `files_lost`"],
        Ok(("tests/kernel/files.rs", "a_flood_is_counted_exactly"))),
    bound("changes of files through io_uring under way", &["ring_pending"], "1,024, 8 KiB each while they last",
        ["lost", "`lost`, `files_lost`"],
        Ok(("tests/kernel/files.rs", "changes_through_io_uring_are_seen"))),
    bound("pairs of process and open file of an interval, whose bytes are counted", &["used"],
        "65,536, of two intervals while one is read; 150 bytes each while they are there",
        ["counted without process and file, in no distribution of durations",
         "`other` of `stream io` and of reports; slow ones in `ebpftop_file_slow_calls_total` of `other`"],
        Ok(("tests/kernel/io.rs", "files_beyond_the_table_are_other_and_the_sum_is_kept"))),
    bound("bytes of files of an interval in the reader", &[],
        "as the table: 65,536 uses, 10 MiB, with `--slow` 40 MiB; each path once, 16 MiB of them",
        ["counted without process and file; without a path",
         "`other`; `resolved` is `null`, `without a path` below the files"],
        Ok(("src/probes/io/decode.rs", "a_path_is_in_memory_once_however_many_processes_use_it"))),
    bound("names of files whose bytes are counted, in their ring buffer", &[], "4 MiB in 50 ms",
        ["the file has no name", "`resolved` is `null`, `without a path` below the files"],
        Err("the ring has one size; `tests/kernel/opens.rs` fills the same kind")),
    bound("calls on files that are timed and under way, below kernel 5.17", &["began_516"], "65,536 threads",
        ["another thread's call is not timed", "`calls without a duration` below the files, `io_untimed_calls`"],
        Err("the kernel evicts, by its own rule, the thread that has waited longest")),
    bound("io_uring requests that are timed and under way", &["submitted"], "16,384",
        ["another request is not timed", "`calls without a duration` below the files, `io_untimed_calls`"],
        Ok(("tests/kernel/io_slow.rs", "requests_beyond_their_table_are_counted_as_untimed"))),
    bound("slow calls in their ring buffer", &["slow_calls"], "4 MiB, 37,000, in 50 ms",
        ["lost; durations and their number stay exact", "`lost`, `slow_lost`, below the timeline"],
        Ok(("tests/kernel/io_slow.rs", "slow_calls_that_find_no_room_are_counted"))),
    bound("durations of calls on files in user space, with `--slow`", &[],
        "480 bytes for each use, path, process (twice where its name changed) and program: 40 MiB in the dashboard, 160 MiB in a report",
        ["evicted with their row", "`evicted` below the files"],
        Ok(("src/model/opens/tests.rs", "totals_stay_exact_whatever_is_evicted"))),
    bound("last minutes of bytes of files", &[],
        "288 bytes for each process, program and path that read or wrote: 12 MiB",
        ["evicted with their row", "`evicted` below the files"],
        Ok(("src/model/opens/tests.rs", "totals_stay_exact_whatever_is_evicted"))),
    bound("slow calls in the dashboard", &[], "4 MiB, paths included",
        ["the oldest leave the timelines", "`evicted` below the timeline"],
        Ok(("src/model/event_log.rs", "the_oldest_are_evicted_and_counted"))),
    bound("changes of files in the dashboard", &[], "4 MiB, paths included",
        ["the oldest leave the view and the timelines", "`evicted` below the view of changes"],
        Ok(("src/model/event_log.rs", "the_oldest_are_evicted_and_counted"))),
    bound("starts and ends of processes in the ring buffers of opens", &[], "the room of opens",
        ["lost", "`lost`, `processes_lost`, below the timeline"],
        Err("the rings have one size; `tests/kernel/opens.rs` fills them")),
    bound("arguments of a program", &[], "4,095 bytes",
        ["cut", "`args_bytes` has the length of all of them"],
        Ok(("tests/kernel/processes.rs", "long_arguments_are_cut_and_their_length_is_exact"))),
    bound("starts and ends of processes in the dashboard", &[], "4 MiB, arguments included",
        ["the oldest leave the timelines", "`evicted` below the timeline"],
        Ok(("src/model/event_log.rs", "the_oldest_are_evicted_and_counted"))),
    bound("names of new cgroups in the ring buffer", &["made"], "256 KiB, about 2,600",
        ["the name is read when an open needs it, if the cgroup still exists",
         "a warning on stderr or the screen with their number"],
        Ok(("tests/kernel/cgroups.rs", "names_that_find_no_room_are_counted"))),
    bound("files and folders with names of containers", &[], "16 MiB a file, 16,384 entries a folder",
        ["a larger file is not read, further entries are not", "the container's id in place of its name"],
        Ok(("src/probes/containers.rs", "only_plain_files_of_bounded_size_are_read"))),
    bound("names of cgroups and of their containers", &[],
        "two generations of 8,192 in the dashboard, of 16,384 in a reader, of 65,536 in a report and in `export --from`",
        ["the older generation is evicted and read again", ""],
        Ok(("src/model/cgroup.rs", "names_that_are_used_again_outlive_a_generation"))),
    bound("sources of an interface and direction", &["side_0", "side_1"],
        "1,024 to 65,536, from the number of possible CPUs and a budget",
        ["evicted or not admitted", "`other`, `other_packets`, `other_bytes`"],
        Ok(("tests/kernel/talkers.rs", "in_a_flood_the_heavy_stay_exact_and_the_rest_is_other"))),
    bound("pairs of ports of the address in the details", &[],
        "512 to 4,096 an interval, side and direction, at most 2 MiB each up to 256 CPUs",
        ["not distinguished", "`other ports`"],
        Ok(("tests/kernel/talk.rs", "pairs_without_room_are_left_and_the_sums_hold"))),
    bound("rows of an address's ports", &[], "1,024", ["not distinguished", "`other ports`"],
        Ok(("src/model/wire/talk.rs", "flows_without_room_are_counted_as_left"))),
    bound("addresses in the dashboard", &[], "32,768, of all interfaces",
        ["evicted", "`evicted` below the talkers; bytes stay in `other`"],
        Ok(("src/model/wire/tests.rs", "a_source_that_is_evicted_leaves_to_other_and_totals_hold"))),
    bound("interfaces in the dashboard", &[], "512",
        ["not shown", "a line of the talkers pane with their number"],
        Ok(("tests/pure/bounds.rs", "further_interfaces_are_counted_in_the_pane"))),
    bound("counts of interfaces that are not watched any more", &[], "4,096 interfaces, 131,072 sources",
        ["an interface that is watched again counts from 0", "`partial`: since it was watched again"],
        Err("it would take 4,097 interfaces")),
    bound("connections in the ring buffer", &["conns"], "8 MiB, 27,600 records",
        ["lost; the next poll reports all that live", "`events lost` below the files, `lost`"],
        Err("the ring has one size; `tests/kernel/opens.rs` fills the same kind")),
    bound("sockets in the kernel's table", &["sock_sets", "socks"],
        "8,192 to 65,536: one for each 128 KiB of the machine's memory; a socket has 32 places, so some find none before all are taken",
        ["not counted", "`left out` below the files, in `evicted` below the connections, `left_out.sockets`"],
        Ok(("tests/kernel/faults.rs", "sockets_and_peers_that_find_no_room_are_counted"))),
    bound("connections that have begun and are not reported yet", &["begun"], "4,096 places",
        ["reported at once", ""], Err("nothing is lost")),
    bound("further processes of shared sockets", &["shares"], "16,384, of these 128 a socket",
        ["their bytes are unattributed", "`left_out.sharers`, reason `sharers`"],
        Ok(("tests/kernel/calls.rs", "one_socket_leaves_room_for_the_sharers_of_others"))),
    bound("peers of datagram sockets", &["peers"], "32,768",
        ["in the socket's counts alone", "`left_out.peers`"],
        Ok(("tests/kernel/faults.rs", "sockets_and_peers_that_find_no_room_are_counted"))),
    bound("datagram sockets that ended in an interval and whose peers are expected", &[], "32,768, about 500 bytes each",
        ["the traffic of further ones is in the socket's counts alone", "`left out` below the files, `left_out.peers`"],
        Ok(("src/model/connections/tests/tables.rs",
            "ended_sockets_whose_peers_are_expected_are_bounded_and_calls_of_others_counted"))),
    bound("datagram sockets that ended in an interval, in the reader", &[], "32,768",
        ["the entries of further ones are deleted two intervals later", ""],
        Ok(("src/probes/connections/shares.rs", "ended_sockets_are_bounded_and_all_entries_go"))),
    bound("peers that a call named", &["named_peers"], "8,192 threads",
        ["the call has no known peer", "`calls named no address` below the files where there is room, `left_out.unknown_peers`"],
        Err("it takes two threads whose numbers differ by 8,192, in a call at once")),
    bound("sockets and peers in one walk", &["walked"], "1 MiB",
        ["the walk continues in its next run", ""], Err("nothing is lost")),
    bound("connections and processes in user space", &[],
        "65,536 connections, about 800 bytes each, 16,384 processes, 65,536 pairs with peers",
        ["evicted, the quietest first", "`evicted` below the files and in the lines"],
        Ok(("src/model/connections/tests/tables.rs", "tables_are_bounded_and_the_sum_holds"))),
    bound("services of a process with one peer", &[], "8",
        ["not listed", "`…` behind those that are"],
        Ok(("src/model/connections/tests/tables.rs", "services_of_a_pair_are_bounded_and_more_are_marked"))),
    bound("further processes that have a socket open, in a line", &[], "8 of a socket",
        ["not listed", "`more_holders`"],
        Ok(("src/model/connections/tests/tables.rs", "further_holders_are_counted"))),
    bound("beginnings and ends of connections that wait to be written as lines", &[], "65,536",
        ["lost", "`lost`, `connections_lost`"],
        Ok(("src/model/connections/tests/tables.rs", "changes_that_no_line_takes_are_bounded_and_counted"))),
    bound("network events in the dashboard", &[], "8,192, 96 bytes each",
        ["the oldest leave the timelines", "`evicted` below the timeline"],
        Ok(("tests/pure/pivot.rs", "network_events_that_timelines_lack_are_counted"))),
    bound("processes of a row that decide about the mark of rows that belong to the selection", &[], "64",
        ["they mark nothing", "the number of processes in the row"],
        Err("a mark is no count: the rows themselves are in the details")),
    bound("packets with names in the ring buffer", &["hostnames"], "1 MiB in 50 ms",
        ["lost", "`names missed` above the connections, `names.lost`"],
        Ok(("tests/kernel/names_packets.rs", "packets_beyond_the_bounds_are_counted"))),
    bound("bytes of packets with names that are copied", &[],
        "4,096 of a packet or ClientHello, 4 MiB in 2^30 ns",
        ["skipped, cut", "`names missed` above the connections, `names.skipped`, `names.cut`"],
        Ok(("tests/kernel/names_packets.rs", "packets_beyond_the_bounds_are_counted"))),
    bound("sockets that have asked, and unfinished ClientHellos, in the kernel", &["askers", "hellos"], "16,384 and 4,096",
        ["the one used longest ago is evicted: its answer is not read", "`names.unasked`, `names.unfinished`"],
        Err("as many sockets that wait for answers are more than a test should make")),
    bound("queries without an answer and parts of messages in the reader", &[], "4,096 of each, 4 MiB of parts; by multicast 512 sockets, 16 names of each",
        ["the older half is evicted", "`names missed` above the connections, `names.evicted`"],
        Ok(("src/probes/connections/hostnames/track/tests.rs", "full_tables_evict_the_older_half_and_count_it"))),
    bound("answers of one message, and names of one drain", &[], "128 records, 32 addresses of a name, 64 of a message; 4,096 answers and as many ClientHellos in 50 ms",
        ["left out", "`names missed` above the connections, `names.left_out`"],
        Ok(("src/probes/connections/hostnames/track/tests.rs", "answers_of_a_message_and_of_a_drain_are_bounded"))),
    bound("names in user space", &[], "16,384 pairs of process and address, four names each, 8 MiB; 16,384 connections, 4 MiB",
        ["the older half is evicted", "`names missed` above the connections, `names.forgotten`"],
        Ok(("src/model/hostnames/table.rs", "the_oldest_names_are_evicted_and_counted"))),
    bound("connections that ended in the last minute", &[], "4,096, about 500 bytes each and the last minute",
        ["evicted, the oldest first", "`evicted` below the connections"],
        Ok(("tests/pure/conns_view.rs", "ended_connections_beyond_their_bound_are_counted"))),
    bound("last minutes of connections", &[], "8,192 living connections, those that carried something first, and 4,096 that ended; 420 bytes each",
        ["no graphs", "how many have none, in the details of one"],
        Ok(("src/model/connections/tests/tables.rs", "histories_are_bounded_and_those_without_are_counted"))),
    bound("local addresses with a count of accepted connections", &[], "4,096",
        ["not counted by address", "`accepted at further addresses` above the listeners, `accepted_left_out`"],
        Ok(("src/model/connections/tests/tables.rs", "accepted_connections_are_counted_by_listener"))),
    bound("listeners in a reading", &[], "8,192, of all namespaces",
        ["not shown, no line", "`left out` below the listeners, `listeners_left_out`, on stderr; the exit status is 1"],
        Ok(("tests/pure/conns_view.rs", "listeners_are_read_while_they_are_shown"))),
    bound("ended connections in a report by connection", &[], "16,384, or more up to 32,768",
        ["the smallest are added up", "`connections` of `other`"],
        Ok(("src/report/connections.rs", "the_largest_have_rows_and_the_others_are_added_up"))),
    bound("sockets of another namespace in a reading of listeners", &[], "8 MiB of each file of /proc, some 50,000",
        ["not shown, no line", "above the listeners, `partial` of the lines, on stderr; the exit status is 1"],
        Ok(("src/probes/listeners/proc_net.rs", "of_a_file_that_is_too_long_whole_lines_are_read"))),
    bound("Unix listeners of other namespaces that are counted once", &[], "32,768",
        ["counted once for each file", "`left out` below the listeners is larger"],
        Err("nothing is lost")),
    bound("bytes of the cgroups' paths in a reading of listeners", &[], "4 MiB",
        ["the row has no unit or container", "above the listeners, `partial` of the lines, on stderr; the exit status is 1"],
        Ok(("src/probes/listeners/read.rs", "cgroups_beyond_their_room_are_left_out_and_counted"))),
    bound("listeners that only the reading before has, where the last one may lack some", &[], "8,192, of one reading",
        ["closed when the next reading lacks them too", "`partial` of the line"],
        Ok(("src/model/listener.rs", "listeners_that_two_readings_lack_are_closed_and_what_is_known_is_bounded"))),
    bound("drops of listeners that are gone, in the metrics", &[], "8,192",
        ["those with the fewest are evicted; new listeners count beyond these", "`ebpftop_listeners_partial` is 1"],
        Ok(("src/export/counts/listeners.rs", "of_too_many_that_are_gone_those_with_the_fewest_drops_are_evicted_and_never_counted_twice"))),
    bound("processes in the dashboard", &[], "16,384",
        ["evicted, the quietest first", "`evicted` below the files"],
        Ok(("src/model/opens/tests.rs", "held_and_evicted_entries_are_all_there_were"))),
    bound("programs in the dashboard", &[], "2,048", ["one row of all others", "that row"],
        Ok(("src/model/opens/tests.rs", "evicted_programs_stay_in_one_row"))),
    bound("uses of files in the dashboard", &[], "24,576, 1,024 a process",
        ["one row of the directory", "that row, and `evicted` below the files"],
        Ok(("src/model/opens/tests.rs", "evicted_files_stay_in_their_directory"))),
    bound("groups of failures in the dashboard", &[], "8,192",
        ["one row of their kind", "that row, and `evicted` below the files"],
        Ok(("src/model/opens/tests.rs", "totals_of_rows_outlive_evictions_below"))),
    bound("path text in the dashboard", &[], "2 MiB, 1 MiB of paths as passed",
        ["the files are evicted; paths as passed are not stored", "`evicted` below the files"],
        Ok(("src/model/opens/tests.rs", "totals_stay_exact_whatever_is_evicted"))),
    bound("rows of the live feed", &[], "1,024", ["the oldest leave the feed", ""],
        Err("nothing is lost: each open is counted elsewhere")),
    bound("processes behind an address, peers of a process", &[], "512 rows, 5 files each",
        ["not listed", "the number of all of them below the rows"],
        Err("the number is that of all, not of the rows")),
    bound("names of addresses", &[], "4,096",
        ["the half requested longest ago is evicted, and requested again when it is shown", ""],
        Ok(("src/model/names.rs", "the_oldest_half_is_evicted"))),
    bound("the last minutes", &[], "ten minutes, 64 MiB of packed changes",
        ["the oldest leave", "the header shows how far back one can go"],
        Ok(("src/model/past/tests.rs",
            "the_oldest_goes_when_there_are_too_many_bytes_and_the_rest_is_as_it_was"))),
    bound("events that wait to be recorded by `R`", &[], "32 MiB",
        ["missing from the recording", "`missing` in the header, in the recording and its replay"],
        Ok(("src/runtime/recorder.rs", "large_events_of_every_kind_count_with_their_size"))),
    bound("one record of a recording", &[], "32 MiB",
        ["not written", "the summary of `record`, and the replay at that place"],
        Ok(("src/recording/tests.rs", "events_too_large_for_a_block_are_counted_and_reported"))),
    bound("events read ahead by a replay", &[], "16 MiB; the tables at 12 moments, 96 MiB",
        ["they wait", ""],
        Ok(("src/recording/tests.rs", "memory_stays_in_proportion_whatever_a_file_says"))),
    bound("events of `replay -` before the screen takes them", &[], "8, of 16 MiB together",
        ["the pipe fills, the recorder waits, and its ring buffers fill", "`lost` in the header"],
        Ok(("tests/kernel/remote.rs", "opens_that_a_slow_reader_does_not_take_are_counted"))),
    bound("lines that wait for the files of `stream --output`, or with `--on-slow drop`", &[], "8 MiB",
        ["`stream` waits, and the ring buffers fill; with `--on-slow drop` further lines are dropped",
         "`opens_lost`; `lines` of `lost`, `lines_dropped`"],
        Ok(("tests/kernel/stream_files.rs", "dropped_lines_are_counted"))),
    bound("events in the channel from the probes", &[], "8, of 2,048 opens each",
        ["the probes wait, and the ring buffers fill", "`lost`, `opens_lost`"],
        Ok(("tests/kernel/stream.rs", "everything_seen_is_written_or_lost"))),
    bound("output that the terminal has not taken", &[], "4 MiB", ["frames are skipped", ""],
        Ok(("src/runtime/line.rs", "waiting_output_is_bounded_and_can_be_forgotten"))),
    bound("groups in the metrics of `export`", &[], "`--max-groups`, 200; 4,096 more within an interval",
        ["evicted; counts in `other`", "`ebpftop_groups_evicted_total`"],
        Ok(("src/export/groups/tests.rs", "groups_that_come_and_go_are_neither_lost_nor_counted_twice"))),
    bound("errnos of a group in the metrics", &[], "16", ["one series of all others", "`errno=\"other\"`"],
        Ok(("src/export/group_counts.rs", "errnos_beyond_the_bound_are_other"))),
    bound("interfaces in the metrics", &[], "256",
        ["evicted where they are not watched any more; count in `other`", "`ebpftop_interfaces_evicted_total`, `interface=\"other\"`"],
        Ok(("src/export/counts/interfaces.rs", "interfaces_that_come_and_go_are_neither_lost_nor_counted_twice"))),
    bound("HTTP connections of `export`", &[], "16",
        ["the oldest is closed", "`ebpftop_http_connections_dropped_total`"],
        Ok(("src/export/serve/tests.rs", "dead_clients_stop_no_scrape_and_the_oldest_goes_first"))),
    bound("snapshots, and parts of log records, that wait for the thread of `export --otlp`", &[],
        "8 snapshots; 8 parts of 256 KiB",
        ["further ones are dropped", "`ebpftop_otlp_items_dropped_total{reason=\"queue_full\"}`"],
        Ok(("src/export/otlp/mod.rs", "more_than_the_channel_takes_is_dropped_and_counted"))),
    bound("requests that wait for the receiver of `export --otlp`", &[],
        "8 MiB of either signal, or one snapshot where that is larger",
        ["the oldest is dropped", "`ebpftop_otlp_items_dropped_total{reason=\"queue_full\"}`"],
        Ok(("src/export/otlp/queue.rs", "the_oldest_is_dropped_but_for_the_one_that_is_being_sent"))),
    bound("keys that the dashboard has not taken", &[], "64", ["they wait in the terminal", ""],
        Err("nothing is lost")),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_bound_is_exceeded_by_a_test_and_what_is_lost_is_counted() {
    for bound in BOUNDS {
        match bound.test {
            Ok((file, name)) => assert!(
                read(file).contains(&format!("fn {name}(")),
                "{}: {file} has no test `{name}`",
                bound.data
            ),
            Err(why) => assert!(!why.is_empty(), "{}", bound.data),
        }
        assert!(!bound.beyond.is_empty(), "{}", bound.data);
    }
}

/// The maps of more than two entries, by name: those for one value, one for each side or direction and
/// CPU cannot be full.
fn maps(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut entries = None;
    for line in source.lines() {
        if let Some((_, rest)) = line.split_once("__uint(max_entries, ") {
            entries = rest.split(')').next();
        }
        if let Some((name, _)) =
            line.trim().strip_prefix("} ").and_then(|l| l.split_once(" SEC(\".maps\")"))
            && let Some(entries) = entries.take()
            && !["1", "2"].contains(&entries)
        {
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn every_map_has_its_row() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bpf");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "c" || e == "h") {
            found.extend(maps(&std::fs::read_to_string(path).unwrap()));
        }
    }
    let listed: BTreeSet<String> =
        BOUNDS.iter().flat_map(|b| b.maps).map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    assert!(missing.is_empty(), "maps without a row in {}: {missing:?}", file!());
    // Those that get their size before they are loaded.
    let sized =
        ["rings", "pending", "began_516", "submitted", "side_0", "side_1"].map(str::to_owned);
    let gone: Vec<_> = listed.difference(&found).filter(|name| !sized.contains(name)).collect();
    assert!(gone.is_empty(), "rows without a map: {gone:?}");
}

/// Constants of the connections in user space that are bounds, and the row that has each.
const IN_USER_SPACE: &[(&str, &str)] = &[
    ("MAX_ACCEPTING", "local addresses with a count of accepted connections"),
    ("MAX_CLOSED", "connections that ended in the last minute"),
    ("MAX_CONNS", "connections and processes in user space"),
    ("MAX_ENDED", "datagram sockets that ended in an interval, in the reader"),
    ("MAX_EVENTS", "network events in the dashboard"),
    ("MAX_GONE", "datagram sockets that ended in an interval and whose peers are expected"),
    ("MAX_HISTORIES", "last minutes of connections"),
    ("MAX_LISTED", "further processes that have a socket open, in a line"),
    ("MAX_PAIRS", "connections and processes in user space"),
    ("MAX_PROCESSES", "connections and processes in user space"),
    ("MAX_QUEUED", "beginnings and ends of connections that wait to be written as lines"),
    ("MAX_SERVICES", "services of a process with one peer"),
];

#[test]
fn every_bound_of_connections_in_user_space_has_its_row() {
    let mut found = BTreeSet::new();
    for folder in ["src/model/connections", "src/probes/connections"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap()
        {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "rs") {
                continue;
            }
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let rest =
                    line.split_once("const MAX_").filter(|(_, rest)| rest.contains(": usize"));
                let name = rest.and_then(|(_, rest)| rest.split(':').next());
                found.extend(name.map(|name| format!("MAX_{name}")));
            }
        }
    }
    let listed: BTreeSet<String> =
        IN_USER_SPACE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed, "constants in the sources, and those in {}", file!());
    for (name, data) in IN_USER_SPACE {
        assert!(BOUNDS.iter().any(|bound| bound.data == *data), "{name}: no row `{data}`");
    }
}

#[test]
fn further_interfaces_are_counted_in_the_pane() {
    let settings = Settings::default();
    let mut app = Dashboard::new(&settings, "host", (200, 60), at(0.0));
    let indexes = 1..=MAX_PORTS as u32 + 3;
    let name = |n: u32| format!("if{n}");
    let all = indexes.clone().map(|n| Watched { ifindex: n, ..watched(&name(n)) }).collect();
    let samples = indexes.map(|n| {
        let sample = sample(&name(n), Direction::Rx, at(1.0), &[]);
        TalkersSample { ifindex: n, ..sample }
    });
    for event in
        [ProbeEvent::Started(ProbeInfo::Talkers(all)), ProbeEvent::Talkers(samples.collect())]
    {
        app.update(Msg::Probe(event), at(1.0));
    }
    app.update(Msg::Tick, at(1.0));
    let screen = app.text();
    assert!(screen.contains("3 interfaces find no room"), "{screen}");
}
