//! Names of containers, as their managers store them beside the container: Docker, Podman, CRI-O,
//! containerd and the kubelet.
//!
//! The readers here take the contents of a file, or its name, from elsewhere: whatever is not of the
//! expected form has no name.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::time::{Mono, NS_PER_SEC};

/// The longest name, bytes; Kubernetes allows 253.
const MOST_NAME: usize = 255;

/// Maximum containers that are remembered as asked for.
const MOST_ASKED: usize = 4_096;

/// Time until a container is asked for again: doubled with each request up to the longest.
const FIRST_PAUSE_NS: u64 = NS_PER_SEC;
const LONGEST_PAUSE_NS: u64 = 60 * NS_PER_SEC;

/// Doublings after which the pause is the longest one.
const MOST_DOUBLED: u32 = 6;

/// The names of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContainerName {
    pub name: Box<str>,
    /// The pod and its namespace, in Kubernetes.
    pub pod: Option<(Box<str>, Box<str>)>,
}

impl ContainerName {
    /// A container outside of Kubernetes; `None` for a name that none can have.
    fn plain(name: &str) -> Option<Self> {
        Some(Self { name: valid(name)?, pod: None })
    }

    /// A container of a pod.
    fn of_pod(name: &str, pod: &str, namespace: &str) -> Option<Self> {
        Some(Self { name: valid(name)?, pod: Some((valid(pod)?, valid(namespace)?)) })
    }

    /// `NAMESPACE/POD/CONTAINER`, or the name alone.
    pub fn label(&self) -> String {
        match &self.pod {
            Some((pod, namespace)) => format!("{namespace}/{pod}/{}", self.name),
            None => self.name.to_string(),
        }
    }
}

fn valid(name: &str) -> Option<Box<str>> {
    (!name.is_empty() && name.len() <= MOST_NAME).then(|| name.into())
}

/// The name in Docker's `config.v2.json`.
pub fn of_docker(config: &[u8]) -> Option<ContainerName> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Name")]
        name: String,
    }
    let config: Config = serde_json::from_slice(config).ok()?;
    let name = config.name.strip_prefix('/').unwrap_or(&config.name);
    of_kubelet(name).or_else(|| ContainerName::plain(name))
}

/// The names in the `containers.json` of Podman and CRI-O, by id.
pub fn of_storage(list: &[u8]) -> HashMap<String, ContainerName> {
    #[derive(Deserialize)]
    struct Container {
        id: String,
        #[serde(default)]
        names: Vec<String>,
    }
    let list: Vec<Container> = serde_json::from_slice(list).unwrap_or_default();
    let named = |c: Container| {
        let first = c.names.first()?;
        Some((c.id, of_kubelet(first).or_else(|| ContainerName::plain(first))?))
    };
    list.into_iter().filter_map(named).collect()
}

/// The name that the kubelet gave with Docker, and CRI-O gives: `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`.
fn of_kubelet(name: &str) -> Option<ContainerName> {
    let parts: Vec<&str> = name.strip_prefix("k8s_")?.split('_').collect();
    match parts.as_slice() {
        [container, pod, namespace, _uid, _attempt] => {
            ContainerName::of_pod(container, pod, namespace)
        }
        _ => None,
    }
}

/// The names in the annotations of an OCI runtime's `config.json`, as containerd, CRI-O and nerdctl
/// write them.
pub fn of_runtime(config: &[u8]) -> Option<ContainerName> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        annotations: HashMap<String, String>,
    }
    let config: Config = serde_json::from_slice(config).ok()?;
    let of = |keys: [&str; 2]| keys.into_iter().find_map(|key| config.annotations.get(key));
    let name = of(["io.kubernetes.cri.container-name", "io.kubernetes.container.name"]);
    let pod = of(["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
    let namespace = of(["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]);
    match (name, pod, namespace) {
        (Some(name), Some(pod), Some(namespace)) => ContainerName::of_pod(name, pod, namespace),
        // The sandbox of a pod, which has no name of its own.
        (None, Some(pod), Some(namespace)) => ContainerName::of_pod("POD", pod, namespace),
        _ => ContainerName::plain(of(["nerdctl/name", "io.podman.annotations.name"])?),
    }
}

/// The id and the names in the name of a link in `/var/log/containers`:
/// `POD_NAMESPACE_CONTAINER-ID.log`. None of the three has an underscore.
pub fn of_log(file_name: &[u8]) -> Option<(&str, ContainerName)> {
    let file_name = std::str::from_utf8(file_name).ok()?;
    let (names, id) = file_name.strip_suffix(".log")?.rsplit_once('-')?;
    let mut parts = names.split('_');
    let (pod, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    if !is_id(id) || parts.next().is_some() {
        return None;
    }
    Some((id, ContainerName::of_pod(name, pod, namespace)?))
}

/// Whether this is a container's id, 64 hex digits, and not its name.
pub fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// When each container was asked for: the kubelet writes some names after the container's start, and a
/// container can be renamed.
#[derive(Clone, Debug, Default)]
pub struct ContainerRequests {
    asked: HashMap<Box<str>, (Mono, u32)>,
}

impl ContainerRequests {
    /// Whether to ask for this container now; then it counts as asked for.
    pub fn is_due(&mut self, id: &str, is_known: bool, now: Mono) -> bool {
        if !is_id(id) {
            return false;
        }
        let (next, tries) = self.asked.get(id).copied().unwrap_or_default();
        if now < next {
            return false;
        }
        let doubled = (FIRST_PAUSE_NS << tries).min(LONGEST_PAUSE_NS);
        let pause = if is_known { LONGEST_PAUSE_NS } else { doubled };
        if self.asked.len() >= MOST_ASKED && !self.asked.contains_key(id) {
            self.asked.clear();
        }
        let next = Mono(now.0.saturating_add(pause));
        self.asked.insert(id.into(), (next, (tries + 1).min(MOST_DOUBLED)));
        true
    }
}

/// A container by its id; `None` where nothing names it.
pub type ContainerAnswer = (Box<str>, Option<Arc<ContainerName>>);

/// The answers to a request.
pub type ContainerAnswers = Vec<ContainerAnswer>;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";

    #[test]
    fn each_manager_names_its_containers() {
        let label = |name: Option<ContainerName>| name.map(|name| name.label());
        let docker = |text: &str| label(of_docker(text.as_bytes()));
        assert_eq!(docker(r#"{"ID":"x","Name":"/web","Config":{}}"#).unwrap(), "web");
        let kubelet = r#"{"Name":"/k8s_app_web-0_prod_0f6a_3"}"#;
        assert_eq!(docker(kubelet).unwrap(), "prod/web-0/app");
        for wrong in ["", "{}", r#"{"Name":3}"#, r#"{"Name":"/"}"#, "[", "\u{0}"] {
            assert_eq!(docker(wrong), None, "{wrong}");
        }
        let list = r#"[{"id":"a","names":["db"]},{"id":"b","names":[]},{"id":"c"},
            {"id":"d","names":["k8s_POD_web-0_prod_0f6a_0"],"metadata":"{}"}]"#;
        let names = of_storage(list.as_bytes());
        assert_eq!((names.len(), &*names["a"].name), (2, "db"));
        assert_eq!(names["d"].label(), "prod/web-0/POD");
        let runtime = |annotations: &str| {
            label(of_runtime(format!(r#"{{"annotations":{{{annotations}}}}}"#).as_bytes()))
        };
        let pod = r#""io.kubernetes.cri.sandbox-name":"web-0",
            "io.kubernetes.cri.sandbox-namespace":"prod""#;
        let container = format!(r#"{pod},"io.kubernetes.cri.container-name":"app""#);
        assert_eq!(runtime(&container).unwrap(), "prod/web-0/app");
        assert_eq!(runtime(pod).unwrap(), "prod/web-0/POD");
        assert_eq!(runtime(r#""nerdctl/name":"web""#).unwrap(), "web");
        assert_eq!(runtime(""), None);
        assert_eq!(of_runtime(b"{}"), None);
    }

    #[test]
    fn links_to_logs_name_containers() {
        let link = format!("web-0_prod_app-{ID}.log");
        let (id, name) = of_log(link.as_bytes()).unwrap();
        assert_eq!((id, name.label().as_str()), (ID, "prod/web-0/app"));
        for wrong in ["x.log", "a_b_c-1.log", "a_b_c_d.log", &format!("a_b-{ID}.log"), ""] {
            assert_eq!(of_log(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn names_have_a_bound() {
        let long = "x".repeat(MOST_NAME + 1);
        assert_eq!(of_docker(format!(r#"{{"Name":"/{long}"}}"#).as_bytes()), None);
    }

    #[test]
    fn an_unknown_container_is_asked_for_less_and_less() {
        let mut requests = ContainerRequests::default();
        let mut asked = 0;
        for second in 0..600 {
            asked += u32::from(requests.is_due(ID, false, Mono(second * NS_PER_SEC)));
        }
        assert_eq!(asked, 15);
        assert!(!requests.is_due("lxc-name", false, Mono(0)));
        for n in 0..10_000 {
            requests.is_due(&format!("{n:064x}"), true, Mono(0));
        }
        assert!(requests.asked.len() <= MOST_ASKED);
    }

    #[test]
    fn any_file_does_no_harm() {
        crate::testing::fuzz::check("container", |bytes| {
            of_docker(bytes);
            of_storage(bytes);
            of_runtime(bytes);
            of_log(bytes);
        });
    }
}
