//! The man page and the shell completions, from the definition of the command line.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;
use crate::keys::{self, Mode};

/// Sections beside those that clap makes; paragraphs of plain text.
const SECTIONS: [(&str, &[&str]); 11] = [
    (
        "FILTERS",
        &[
            "A PATTERN is a substring in any case; with ~ in front a regular expression (case counts, \
         (?i) turns that off); with ! in front of that, negated. A name matches when the thread's or the \
         process's does. The kernel cuts names at 15 bytes, so a longer word matches by its first 15. \
         Path patterns are tried on the path as passed and on the resolved one.",
            "An EXPR is terms with spaces between, all of which must match: a bare PATTERN (name), \
         or pid:N, uid:N, path:PATTERN, err:NAME (ENOENT, 2, any), cgroup:PATTERN, unit:PATTERN, \
         container:PATTERN, pod:PATTERN, ip:NET (10.0.0.0/8), peer:NET, port:N. ! in front negates a term. Quotes, \" or ', enclose spaces: \
         path:\"a b\", ~'a b'.",
            "ip: selects talkers; those that it leaves out are counted in `other`. peer: and port: select \
         connections by their remote address, and by the port of either end; in the dashboard they select \
         the processes that have such connections. All other terms select opens, and connections by their \
         process.",
        ],
    ),
    (
        "TEXT LINES",
        &[
            "An open in text is: time, process id, thread name, descriptor or error, how, path. How \
         is r, w or rw, then c (create), x (exclusive), t (truncate), a (append), d (directory), \
         p (path only), T (temporary file).",
            "Bytes that would act on a terminal are written \\n, \\t, \\\\, \\x1b or \\u{200b} \
         in every output.",
        ],
    ),
    (
        "CONNECTIONS",
        &[
            "stream connections writes a line for each TCP connection that begins here (connect), that is \
         accepted (accept) and that ends (close). A connected UDP socket has a connect with its first \
         datagram; every UDP socket that carried something has a close. A connection that fails is a \
         connect with an errno.",
            "An accept is reported in accept() where the caller asks for the peer's address, as nearly all do; \
         else when a process first sends or receives through the socket, or when a poll finds it.",
            "pid, uid and comm are the process of the socket; from says how it is known: made (it called \
         connect), accepted, sent, received, found (a poll found the socket open in it). \
         Where there is none, they are null and unattributed gives the reason: a socket of the kernel, a \
         connection that is not accepted, or a socket that predates the probe. shared: other processes have \
         called on it, too; holders are other processes that have it open. local_ip, local_port, \
         remote_ip, remote_port: a v4-mapped address is written as v4; a UDP socket without a peer has no \
         remote end. netns is the network namespace's inode number, cookie the kernel's number of the socket.",
            "A close has since (null: before the probe began), duration_s, rx_bytes, tx_bytes, rx_packets and \
         tx_packets, queued_bytes (received, and never read), owners (each process with the bytes of its \
         calls), and unseen: true where the end itself was not observed and the counts are those of the last reading.",
            "Bytes are payload, counted from the start on where a process calls (kernel 6.3; \
         attribution: call): written into the socket, and read from it, by the calling process. Below that \
         kernel they are TCP's own counters, attributed to the connection's process, and datagrams are not \
         counted (attribution: connection). Retransmitted bytes count once. Packets are segments in and out, \
         retransmissions and bare acknowledgements included; of other protocols, calls.",
            "owners, once each interval and a last time before summary: interval_s, live (connections that are \
         tracked), the bytes and packets of all sockets, and of these unattributed (kernel; older; waiting: \
         not accepted yet, the accepting process gets them; queued: not read yet; uncalled: moved without a \
         call that returned them; sharers: calls of more processes than are tracked), other (processes that \
         the filter leaves out or that were evicted) and processes, each with its own, with live, begun and \
         peers, and with rx_bps and tx_bps, bits per second. They add up. evicted counts connections and \
         processes that found no place here, left_out sockets, sharers and peers that found none in the \
         kernel's tables.",
            "ready has connections: true, lost may have connections (events), summary has connects, accepts, \
         closes and connections_lost. CSV has the columns of all lines in each row; a row of owners is one \
         process; several processes are in one field with | between, the numbers of each with a space.",
            "Where the kernel refuses the programs that watch connections, they are polled from sock_diag and \
         /proc/PID/fd: ready and summary have attribution: procfs (else call or connection, or null without \
         connections), and so has each row. Connections shorter than an interval may be missing. Polling \
         does not show which side began a connection: seen takes the place of connect and accept, with the \
         time of the poll that found it, and summary counts them in seen. A close has the time of the poll \
         that no longer found it, unseen: true, since: null, and TCP's counts at the last poll; those of UDP \
         are null. Bytes and packets of processes, of unattributed and of other are null. UDP sockets \
         without a peer and raw sockets are not listed. The exit status is 1.",
            "missing, in ready and summary, is an array of the features that the kernel or its policy refused, each \
         with feature, program and error. Where connections are polled it also names processes and network \
         namespaces that cannot be read: that takes CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_SYS_ADMIN.",
        ],
    ),
    (
        "REPORTS",
        &[
            "report prints totals once: of --duration (10s) from ready on, which stands on stderr, or until \
         SIGINT; with FILE, of a recording. Rows are programs (processes of one name in one unit or \
         container), units and containers, processes, files, directories, failures, talkers or peers, the \
         largest first, at most --top (20). The last row, other, is the rest: rows beyond --top, evicted \
         entries, opens without a path, payload without a process. The rows add up to the totals. Lost \
         opens are in no row; the heading (text), summary (JSON) or stderr (CSV) has their number.",
            "report --by holder FILE lists what holds FILE at this moment: each descriptor, working directory, \
         root, executable and mapping of each process, by whatever name and mount it was reached.",
        ],
    ),
    (
        "METRICS",
        &[
            "export serves /metrics (Prometheus text, or OpenMetrics by Accept) and /healthz on 127.0.0.1:19435, or at \
         --listen, from a snapshot that it makes each --interval: a scrape reads nothing of the kernel. Opens and \
         connections are counted by unit, container or pod, then program; beyond --max-groups the least active \
         groups are evicted and count in `other`, so that all groups add up to the total. Losses, states of probes and \
         evictions are metrics. docs/fleet.md describes each metric.",
            "--web.config.file names a file in the format of Prometheus' exporter-toolkit: tls_server_config with cert_file, \
         key_file, client_ca_file, client_auth_type, min_version and max_version, and basic_auth_users with bcrypt hashes.",
            "--otlp sends the metrics each interval to an OpenTelemetry receiver, by OTLP over HTTP/protobuf to URL/v1/metrics, \
         and alone it opens no port. OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS and _TIMEOUT (and _METRICS_ and _LOGS_ variants of them), \
         OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME are honoured; keys and passwords are taken from the environment \
         alone. A snapshot that the receiver could not take is sent again; one that did not arrive is counted. --otlp-events sends opens, \
         too, as log records to URL/v1/logs: failed ones, or those that -f chooses.",
            "--textfile writes the metrics for node_exporter's textfile collector, and alone it opens no port. --from plays a \
         recording, in real time or --at-once, and serves its totals until SIGINT or SIGTERM. After the start only \
         the capabilities that reading takes are left, as with --lock; --no-lock keeps the others.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0: done as asked. 1: failed, or done in part; stderr says what failed, why, and what to do. \
         2: wrong usage, in the configuration too. A closed stdout ends stream quietly with 0.",
        ],
    ),
    (
        "FILES",
        &["$XDG_CONFIG_HOME/ebpftop/config.toml, else ~/.config/ebpftop/config.toml, of the user \
         who called sudo. `ebpftop config` prints it with every key and its default. The command \
         line takes precedence. The key W of the dashboard writes into it the changes made on the screen, \
         with that user's privileges, and leaves comments and order as they are; it does not write \
         through a symbolic link."],
    ),
    (
        "PRIVILEGES",
        &[
            "After the start each thread keeps the capabilities that it still needs: CAP_BPF and \
         CAP_PERFMON for opens, talkers and connections, CAP_NET_ADMIN and CAP_NET_RAW for talkers, \
         CAP_SYS_PTRACE to read the details of a process. Where connections are polled, their thread keeps \
         CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_SYS_ADMIN instead, to read descriptors and to enter \
         network namespaces. --lock drops these too; interface and mode cannot change then. The process \
         cannot start programs (seccomp, no_new_privs).",
            "File capabilities do instead of root where tracefs is mounted: `ebpftop doctor` prints the \
         setcap line, and says what else is missing.",
        ],
    ),
    (
        "THE LAST MINUTES",
        &[
            "The dashboard keeps the last ten minutes in memory, as far as their changes fit into 64 MiB. \
         While it is paused (p), [ and ] step back and forward from refresh to refresh, one second apart at \
         least, { and } a minute; the header shows the time on the screen, how far before the pause it is \
         and how far back one can go. p returns to now: counting continued meanwhile. Ctrl-R resets the \
         counts and leaves nothing to go back to.",
        ],
    ),
    (
        "RECORDINGS",
        &[
            "A recording is readable by its owner alone, and an existing file is never overwritten. It ends at \
         SIGINT or SIGTERM, after --duration, or before it exceeds --max-size. One that was cut off or \
         damaged plays up to there, and the exit status is 1.",
            "With --rotate record writes files into a directory, each a recording of its own that begins with what \
         was known then; their counts add up to those of one recording.",
            "The key R in the dashboard starts a recording, in the directory that it was started in and \
         named after the time, and stops it. When the disk is slower than the events, up to 32 MiB wait; \
         events beyond that are missing, which the header and the recording show.",
            "In a replay p pauses, [ and ] go 5 s back and forward, { and } a minute, comma and full \
         stop change the speed; at the end p plays it again.",
        ],
    ),
    (
        "LIMITS",
        &[
            "Path and resolved path are read when the call returns; a thread that changes memory, descriptor \
         or working directory in that instant can deceive.",
            "With --netns the talkers end, and say so, when the name or the process is gone; the opens go on. \
         Names of addresses come from this machine's resolver all the same.",
            "With --btf, for a kernel without types of its own, opens of io_uring and processes of connections \
         are not seen.",
            "Opens that find no room in the ring buffer are counted as lost, never guessed. \
         A path of 4,096 bytes and more is refused by the kernel, and not shown.",
            "A task is in one cgroup of each hierarchy; the one shown is that of name=systemd where a systemd \
         on cgroup v1 uses it, else of v2, else of pids, else of the v1 hierarchy mounted first. In a \
         cgroup namespace cgroups outside have no name where process 1 cannot be followed; doctor says so.",
            "Errors without a name are E and the number, E999.",
        ],
    ),
];

/// The man page.
pub fn page() -> io::Result<Vec<u8>> {
    let command = Cli::command();
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut commands = Vec::new();
    man.render_subcommands_section(&mut commands)?;
    // Subcommands have no pages of their own.
    let commands = String::from_utf8_lossy(&commands).replace("ebpftop\\-", "ebpftop ");
    page.extend(commands.replace("(1)", "").into_bytes());
    for name in ["stream", "report", "record", "replay", "export"] {
        let Some(sub) = command.find_subcommand(name) else { continue };
        let mut options = Vec::new();
        Man::new(sub.clone()).render_options_section(&mut options)?;
        let options = String::from_utf8_lossy(&options);
        let title = format!(".SH \"OPTIONS OF {}\"", name.to_uppercase());
        page.extend(options.replacen(".SH OPTIONS", &title, 1).into_bytes());
    }
    keys_section(&mut page)?;
    for (title, paragraphs) in SECTIONS {
        let mut roff = Roff::new();
        roff.control("SH", [title]);
        for (at, text) in paragraphs.iter().enumerate() {
            if at > 0 {
                roff.control("PP", []);
            }
            roff.text([roman(*text)]);
        }
        roff.to_writer(&mut page)?;
    }
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// The keys of the panes, from the same table as the help.
fn keys_section(page: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["KEYS"]);
    for binding in keys::of(Mode::Main) {
        roff.control("TP", []);
        roff.text([bold(binding.names())]);
        roff.text([roman(binding.help)]);
    }
    roff.to_writer(page)
}

/// The completions for a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ebpftop", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_and_subcommand_is_on_the_page() {
        // roff writes hyphens as \-.
        let page = String::from_utf8(page().unwrap()).unwrap().replace("\\-", "-");
        let command = Cli::command();
        for sub in command.get_subcommands() {
            assert!(page.contains(sub.get_name()), "{}", sub.get_name());
        }
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        for option in commands.flat_map(clap::Command::get_arguments).filter_map(|a| a.get_long()) {
            assert!(page.contains(&format!("--{option}")), "--{option}");
        }
    }

    #[test]
    fn every_shell_has_completions() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let text = String::from_utf8(completions(*shell)).unwrap();
            assert!(text.contains("stream"), "{shell}");
        }
    }
}
