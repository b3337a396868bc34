//! Reads the names of containers from the files of their managers, without a daemon or a network.
//!
//! The files are opened with the program's own permissions, without a capability, through no link in the last
//! place; where they cannot be read, a container has its id alone. Their contents are up to others.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::model::container::{
    ContainerAnswers, ContainerName, ContainerRequests, is_id, of_docker, of_log, of_runtime,
    of_storage,
};
use crate::model::time::Mono;

/// The largest file that is read, bytes: a list of some ten thousand containers.
const MOST_BYTES: u64 = 16 << 20;

/// Maximum entries of a folder that are read.
const MOST_ENTRIES: usize = 16_384;

/// How long lines wait for the names of a new container.
const PATIENCE: Duration = Duration::from_millis(250);

/// Containers that may wait to be looked up.
const WAITING: usize = 4;

/// Docker's data: its own folder, and that of the snap.
const DOCKER: [&str; 2] = ["var/lib/docker", "var/snap/docker/common/var-lib-docker"];

/// Storage of Podman and CRI-O, and what it drops at a reboot.
const STORAGE: [&str; 2] = ["var/lib/containers/storage", "run/containers/storage"];

/// Drivers of that storage, each with a list of its own.
const DRIVERS: [&str; 4] = ["overlay", "btrfs", "vfs", "zfs"];

/// Containers that run, of containerd and of k3s: a folder for each namespace.
const CONTAINERD: [&str; 2] = [
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
];

/// Links that the kubelet makes to the logs of containers.
const LOGS: &str = "var/log/containers";

/// The files of this machine.
#[derive(Debug)]
pub struct ContainerFiles {
    /// The root of the file system; another one in tests.
    root: PathBuf,
}

impl Default for ContainerFiles {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl ContainerFiles {
    /// The files below another root.
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The names of these containers, by their ids.
    pub fn names(&self, ids: &[Box<str>]) -> ContainerAnswers {
        let ids = ids.iter().filter(|id| is_id(id));
        let mut answers: ContainerAnswers =
            ids.map(|id| (id.clone(), self.own_file(id).map(Arc::new))).collect();
        if answers.iter().any(|(_, name)| name.is_none()) {
            let listed = self.listed();
            for (id, name) in answers.iter_mut().filter(|(_, name)| name.is_none()) {
                *name = listed.get(&**id).cloned().map(Arc::new);
            }
        }
        answers
    }

    /// The name in a file that the container has to itself.
    fn own_file(&self, id: &str) -> Option<ContainerName> {
        let docker = DOCKER.iter().map(|dir| self.root.join(dir).join("containers").join(id));
        let docker = docker.map(|dir| dir.join("config.v2.json"));
        let spaces = CONTAINERD.iter().flat_map(|dir| entries(&self.root.join(dir)));
        let tasks = spaces.map(|space| space.join(id).join("config.json"));
        let data = STORAGE.iter().flat_map(|dir| {
            let of = |driver| format!("{driver}-containers/{id}/userdata/config.json");
            DRIVERS.map(|driver| self.root.join(dir).join(of(driver)))
        });
        docker
            .filter_map(|path| of_docker(&read(&path)?))
            .next()
            .or_else(|| tasks.chain(data).find_map(|path| of_runtime(&read(&path)?)))
    }

    /// The names in lists of all containers.
    fn listed(&self) -> HashMap<String, ContainerName> {
        let mut names = HashMap::new();
        for link in entries(&self.root.join(LOGS)) {
            if let Some((id, name)) = link.file_name().and_then(|name| of_log(name.as_bytes())) {
                names.insert(id.to_owned(), name);
            }
        }
        for dir in STORAGE {
            for driver in DRIVERS {
                let dir = self.root.join(dir).join(format!("{driver}-containers"));
                for list in ["containers.json", "volatile-containers.json"] {
                    names.extend(
                        read(&dir.join(list)).map(|list| of_storage(&list)).into_iter().flatten(),
                    );
                }
            }
        }
        names
    }
}

/// Asks a thread of its own, which reads the files: a disk may hang.
#[derive(Debug, Default)]
pub(super) struct Namer {
    thread: Option<(SyncSender<Box<str>>, Receiver<ContainerAnswers>)>,
    requests: ContainerRequests,
}

impl Namer {
    /// The names of a container, where it is time to ask for them, and any that came late; waits for at most
    /// [`PATIENCE`].
    pub(super) fn ask(&mut self, id: &str, now: Mono) -> ContainerAnswers {
        let is_due = self.requests.is_due(id, false, now);
        if is_due && self.thread.is_none() {
            self.thread = start();
        }
        let Some((ask, answers)) = &self.thread else { return ContainerAnswers::new() };
        let mut all: ContainerAnswers = answers.try_iter().flatten().collect();
        // Full: the disk hangs.
        if is_due && ask.try_send(id.into()).is_ok() {
            let deadline = Instant::now() + PATIENCE;
            let left = || deadline.saturating_duration_since(Instant::now());
            while !all.iter().any(|(answered, _)| **answered == *id) {
                let Ok(more) = answers.recv_timeout(left()) else { break };
                all.extend(more);
            }
        }
        all
    }
}

/// Starts the thread; `None` where there cannot be one more. It ends with the sender.
fn start() -> Option<(SyncSender<Box<str>>, Receiver<ContainerAnswers>)> {
    let (ask, asked) = sync_channel::<Box<str>>(WAITING);
    let (answer, answers) = channel();
    let work = move || {
        let files = ContainerFiles::default();
        for id in asked {
            if answer.send(files.names(&[id])).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("containers".into()).spawn(work).ok()?;
    Some((ask, answers))
}

/// The entries of a folder; none where it cannot be read.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(dir).into_iter().flatten();
    read.take(MOST_ENTRIES).filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The contents of a regular file of bounded size, which is no link.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > MOST_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn id(n: u8) -> Box<str> {
        format!("{n:064x}").into()
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn names_are_found_where_each_manager_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &format!("var/lib/docker/containers/{}/config.v2.json", id(1)),
            r#"{"Name":"/web"}"#,
        );
        let list = format!(r#"[{{"id":"{}","names":["db"]}}]"#, id(2));
        write(root, "var/lib/containers/storage/overlay-containers/containers.json", &list);
        let annotations = r#"{"annotations":{"io.kubernetes.cri.container-name":"app",
            "io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.sandbox-namespace":"prod"}}"#;
        let task = "run/containerd/io.containerd.runtime.v2.task/k8s.io";
        write(root, &format!("{task}/{}/config.json", id(3)), annotations);
        let logs = root.join(LOGS);
        std::fs::create_dir_all(&logs).unwrap();
        symlink("/nowhere", logs.join(format!("web-1_prod_app-{}.log", id(4)))).unwrap();
        let userdata = "run/containers/storage/overlay-containers";
        let crio = r#"{"annotations":{"io.kubernetes.container.name":"app",
            "io.kubernetes.pod.name":"web-2","io.kubernetes.pod.namespace":"prod"}}"#;
        write(root, &format!("{userdata}/{}/userdata/config.json", id(5)), crio);
        let names = ContainerFiles::below(root).names(&[1, 2, 3, 4, 5, 6].map(id));
        let labels: Vec<_> =
            names.iter().map(|(_, name)| name.as_ref().map(|n| n.label())).collect();
        let wanted = ["web", "db", "prod/web-0/app", "prod/web-1/app", "prod/web-2/app"];
        assert_eq!(labels[..5], wanted.map(|label| Some(label.to_owned())));
        assert_eq!(labels[5], None);
    }

    #[test]
    fn only_plain_files_of_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let path = |n| root.join(format!("var/lib/docker/containers/{}", id(n)));
        (1..=3).for_each(|n| std::fs::create_dir_all(path(n)).unwrap());
        write(root, "secret", r#"{"Name":"/secret"}"#);
        symlink(root.join("secret"), path(1).join("config.v2.json")).unwrap();
        nix::unistd::mkfifo(&path(2).join("config.v2.json"), nix::sys::stat::Mode::S_IRWXU)
            .unwrap();
        let large = File::create(path(3).join("config.v2.json")).unwrap();
        large.set_len(MOST_BYTES + 1).unwrap();
        // An id that leads out of the folder is no id.
        let asked = [id(1), id(2), id(3), "../../../../secret".into()];
        let names = ContainerFiles::below(root).names(&asked);
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|(_, name)| name.is_none()), "{names:?}");
    }
}
