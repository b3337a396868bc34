//! The processes that hold a file now, read on demand by iterators over tasks (`held.bpf.c`).
//!
//! Nothing is attached to what processes do: a run costs what it reads, and nothing in between.

mod decode;

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, OpenObject};

use super::programs::{self, Choice, Load, Object, Storage};
use super::quiet_libbpf;
use super::refusal::LoadError;
use super::{cgroups, iterator};
use crate::bpf::held::{HeldSkel, HeldSkelBuilder};
use crate::model::coverage::Missing;
use crate::model::held::Holders;
use crate::model::problem::Problem;

/// Holds in one answer, 16 MiB with paths of 200 bytes.
const MOST: usize = 65_536;

/// The loaded object, and each iterator that the kernel takes.
pub struct Reader<'obj> {
    skel: HeldSkel<'obj>,
    descriptors: Option<Link>,
    places: Option<Link>,
    mappings: Option<Link>,
    missing: Vec<Missing>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("missing", &self.missing).finish_non_exhaustive()
    }
}

struct HeldObject;

impl Load for HeldObject {
    type Loaded<'obj> = Reader<'obj>;

    fn load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Reader<'obj>, LoadError> {
        let skel = open_and_load(storage, choice).map_err(LoadError::of_load)?;
        let progs = &skel.progs;
        let attach = |program: &libbpf_rs::ProgramMut<'_>, name: &str| {
            let link = choice.uses(name).then(|| program.attach()).transpose();
            link.map_err(|e| LoadError::of_attach(name, &e))
        };
        let descriptors = match attach(&progs.held_descriptors, "held_descriptors")? {
            None => attach(&progs.held_fds, "held_fds")?,
            named => named,
        };
        let places = attach(&progs.held_places, "held_places")?;
        let mappings = attach(&progs.held_mappings, "held_mappings")?;
        Ok(Reader { skel, descriptors, places, mappings, missing: Vec::new() })
    }
}

fn open_and_load<'obj>(
    storage: &'obj mut MaybeUninit<OpenObject>,
    choice: &Choice,
) -> libbpf_rs::Result<HeldSkel<'obj>> {
    let mut open = HeldSkelBuilder::default().open(storage)?;
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.systemd_hierarchy = cgroups::systemd_hierarchy();
        rodata.pids_hierarchy = cgroups::pids_hierarchy();
    }
    choice.prepare(open.open_object_mut());
    open.load()
}

impl<'obj> Reader<'obj> {
    /// Loads the iterators. The error is that of the descriptors: without these nothing is answered.
    pub fn load(storage: &'obj mut Storage) -> Result<Self, Problem> {
        let problem = |why: String, fix: &str| {
            Problem::new("read the files that processes hold", why, fix.to_owned())
        };
        quiet_libbpf();
        let choice = Choice::of(Object::Held);
        let (reader, choice) = programs::load(&HeldObject, storage, choice)
            .map_err(|e| problem(e.to_string(), e.fix().unwrap_or("see `ebpftop doctor`")))?;
        let missing = choice.missing();
        match missing.iter().find(|missing| missing.feature == programs::HELD_DESCRIPTORS) {
            Some(missing) => Err(problem(missing.error.clone(), "see `ebpftop doctor`")),
            None => Ok(Self { missing, ..reader }),
        }
    }

    /// The features that the kernel refused.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Reads who holds the file of this descriptor at this moment; not the own process. Processes come
    /// and go meanwhile: each is read once.
    pub fn holders(&mut self, of: BorrowedFd<'_>) -> libbpf_rs::Result<Holders> {
        if let Some(bss) = self.skel.maps.bss_data.as_deref_mut() {
            (bss.last_task, bss.last_mapped) = (0, 0);
            bss.wanted_fd = u32::try_from(of.as_raw_fd()).unwrap_or_default();
        }
        let mut found = Holders::default();
        for link in [&self.descriptors, &self.places, &self.mappings].into_iter().flatten() {
            iterator::run(link, |bytes| {
                decode::records(bytes, |held| match found.held.len() < MOST {
                    true => found.held.push(held),
                    false => found.left_out += 1,
                })
            })?;
        }
        found.held.sort_by_key(|held| (held.key.tgid, held.held_as));
        found.held.dedup();
        Ok(found)
    }
}

/// The features that the kernel refuses; the error where it refuses all.
pub fn tried() -> Result<Vec<Missing>, Problem> {
    let mut storage = programs::storage();
    Reader::load(&mut storage).map(|reader| reader.missing)
}
