//! The man page and the shell completions, made from the command line's definition.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;
use crate::keys::{self, Mode};

/// Sections that the command line's definition does not hold; paragraphs of plain text.
const SECTIONS: [(&str, &[&str]); 9] = [
    (
        "FILTERS",
        &[
            "A PATTERN is a substring, whatever its case; with ~ in front a regular expression \
         (case counts, (?i) turns that off); with ! in front of that, negated. On names it holds \
         for the thread's name and the process's. The kernel cuts names at 15 bytes, so a longer \
         word matches by its first 15. Path patterns are tried on the path as passed and on the \
         resolved one.",
            "An EXPR is terms with spaces between, all of which must hold: a bare PATTERN (name), \
         or pid:N, uid:N, path:PATTERN, err:NAME (ENOENT, 2, any), cgroup:PATTERN, ip:NET \
         (10.0.0.0/8). ! in front negates a term. Quotes, \" or ', hold spaces: path:\"a b\", ~'a b'.",
            "ip: chooses talkers; what it leaves out is counted in `other`. peer:NET and port:N choose \
         connections by their other end, and by the port of either. In the \
         dashboard they choose the processes that have such connections. All else chooses opens, and \
         connections by their process.",
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
            "stream connections writes a line for each TCP connection that begins from here (connect), that is \
         accepted (accept) and that ends (close), and for each UDP socket: connect with the first datagram of one that \
         is connected, close for every one that carried something. A connection that does not come about is a \
         connect with an errno.",
            "An accept is told in accept() where its caller asks for the peer's address, as nearly all do; else when a \
         process first sends through the socket, or within an interval is found to hold it.",
            "pid, uid and comm are the process in whose hands the socket is; from says how that is known: made \
         (it called socket or connect), accepted, sent (it sent through it), found (it held it when ebpftop looked). \
         Where there is none, they are null and no_owner says \
         why: a kernel socket, a connection that nobody has accepted, or a socket that is older than the probe and was in \
         nobody's hands. holders are other \
         processes that have it open. local_ip, local_port, remote_ip, remote_port: a v4-mapped address is \
         told as v4; a UDP socket without a peer has no remote end. netns is the network namespace's inode number, cookie \
         the kernel's number of the socket.",
            "A close has since (null: before the probe began), duration_s, rx_bytes, tx_bytes, rx_packets and \
         tx_packets, owners (what it carried while it was in the hands of each process, four of them; a process \
         has it from when it sends until another one does), and unseen: true where the event was lost and the counts are \
         those of the last look.",
            "Bytes are the payload of TCP and UDP, counted from the probe's start. What TCP sends again counts once; what \
         it receives counts when it is in order. Packets are segments in and out, those sent again and bare \
         acknowledgements included, and datagrams before they are cut into fragments. Other protocols are counted \
         behind the IP header, under their number.",
            "owners, once each interval and a last time before summary: interval_s, live (connections that are \
         followed), the bytes and packets of all sockets, and of these no_owner (kernel, older, and waiting: not accepted yet; whoever accepts gets it), other (processes that \
         are not chosen or were let go) and processes, each with its own, with live, begun and peers, and with rx_bps and \
         tx_bps, bits per second. They add up. let_go counts connections and processes that found no room.",
            "ready has connections: true, lost may have connections (events), summary has connects, accepts, closes and \
         connections_lost. CSV has the columns of all lines in each row; an owners row is one process; several \
         processes stand in one field with | between, the numbers of each with a space.",
            "Where the kernel refuses the programs that watch connections, they are polled from sock_diag and \
         /proc/PID/fd: ready and summary have attribution: procfs (else connection, or null without connections), \
         and so has each row. Connections shorter than an interval may be missing. There is no connect and no accept, since polling does \
         not tell who began a connection: seen is one that a poll found and the one before did not, with the time of \
         that poll; summary counts them in seen. A close has the time of the poll that no longer found it, unseen: true, since: null, \
         and the counts that TCP had at the last poll, from the beginning of the connection or the first poll; \
         of UDP they are null. Bytes and packets of processes, of no_owner and of other are null. UDP sockets without a peer \
         and raw sockets are not listed. The exit status is 1.",
            "missing, in ready and summary, is an array of the features that the kernel or its policy refused, each \
         with feature, program and error. It says, too, which processes and network namespaces cannot be \
         read where connections are polled: that takes CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and \
         CAP_SYS_ADMIN.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0: done as asked. 1: could not do it, or only in part; stderr says what failed, why, and \
         what to do. 2: wrong usage, in the configuration too. A closed stdout ends stream quietly \
         with 0.",
        ],
    ),
    (
        "FILES",
        &["$XDG_CONFIG_HOME/ebpftop/config.toml, else ~/.config/ebpftop/config.toml, of the user \
         who called sudo. `ebpftop config` prints it with every key and its default. The command \
         line wins over it. The key W of the dashboard writes into it what was changed on the screen, \
         with that user's rights, and leaves comments and order as they are; it does not write \
         through a symbolic link."],
    ),
    (
        "RIGHTS",
        &[
            "After the start each thread keeps the capabilities that it still needs: CAP_BPF and \
         CAP_PERFMON for opens, talkers and connections, CAP_NET_ADMIN and CAP_NET_RAW for talkers, CAP_SYS_PTRACE \
         to read who a process is. Where connections are polled, their thread keeps CAP_SYS_PTRACE, \
         CAP_DAC_READ_SEARCH and CAP_SYS_ADMIN instead, to read descriptors and enter network namespaces. --lock gives up these too, and with them another interface or \
         mode. The process starts no program (seccomp, no_new_privs).",
            "File capabilities do instead of root where tracefs is mounted: `ebpftop doctor` prints the \
         setcap line, and says what else is missing.",
        ],
    ),
    (
        "THE LAST MINUTES",
        &[
            "The dashboard keeps the last ten minutes, as far as what changed in them fits into 64 MiB. \
         While it is paused (p), [ and ] step back and forth from refresh to refresh, one second apart at \
         least, { and } a minute; the header tells the time that is shown, how far before the pause it is and \
         how far back one can go. p returns to now: counting went on meanwhile. Ctrl-R, which starts the \
         counts again, leaves nothing to go back to.",
        ],
    ),
    (
        "RECORDINGS",
        &[
            "A recording is for its owner alone to read, and never written over. It ends at SIGINT or \
         SIGTERM, after --duration, or before it is larger than --max-size. One that was cut off or \
         damaged is shown up to there, and the exit status is 1.",
            "The key R in the dashboard begins a recording, in the directory that it was started in and \
         named after the time, and ends it. When the disk is slower than what comes, up to 32 MiB wait; \
         opens beyond that are missing, which the header and the recording tell.",
            "In a replay p stands still, [ and ] go 5 s back and forth, { and } a minute, comma and full \
         stop change the speed; at the end p begins again.",
        ],
    ),
    (
        "LIMITS",
        &[
            "What descriptor, memory and working directory hold when a call returns is what is told; \
         a thread that changes them in that instant can deceive.",
            "With --netns the namespace is let go when the name or the process that it was given by is no \
         more: the talkers end and say so, the opens go on. Names of addresses come from this machine's \
         resolver all the same.",
            "With --btf, for a kernel without types of its own, opens of io_uring and owners of connections \
         are not seen.",
            "Opens that the kernel's ring had no room for are counted and told as lost, never guessed. \
         A path of 4,096 bytes and more is refused by the kernel, and not shown.",
            "A task is in one cgroup of each hierarchy; the one shown is that of name=systemd where a systemd \
         on cgroup v1 uses it, else of v2, else of pids, else of the v1 hierarchy mounted first. In a \
         cgroup namespace cgroups outside have no name where process 1 cannot be followed; doctor says so.",
            "Names of errors without one are E and the number, E999.",
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
    // They are on this page, not on pages of their own.
    let commands = String::from_utf8_lossy(&commands).replace("ebpftop\\-", "ebpftop ");
    page.extend(commands.replace("(1)", "").into_bytes());
    for name in ["stream", "record", "replay"] {
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

/// The keys of the panes, from the table that the help is printed from.
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
    fn the_page_has_its_sections() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        for title in SECTIONS.map(|(title, _)| title) {
            assert!(
                page.contains(&format!(".SH \"{title}\""))
                    || page.contains(&format!(".SH {title}")),
                "{title}"
            );
        }
        assert!(page.contains(".SH \"OPTIONS OF STREAM\""), "{page}");
        assert!(page.contains("duration"));
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
