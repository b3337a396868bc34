//! Cgroups that are made while the probe runs: id and path, reported by the kernel.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::rc::Rc;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapHandle, OpenObject, RingBuffer, RingBufferBuilder};

use crate::bpf::btf;
use crate::bpf::cgroups::types::cgroup_head;
use crate::bpf::cgroups::{CgroupsSkel, CgroupsSkelBuilder, OpenCgroupsSkel};
use crate::model::coverage::Missing;
use crate::model::escape::escape;
use crate::model::event::CgroupsMade;
use crate::probes::programs::{self, BRIEF_CGROUPS, Choice, Load, Object};
use crate::probes::refusal::LoadError;
use crate::sys::records::CGROUP_HEAD_BYTES;

const PROGRAM: &str = "cgroup_made";

/// The object; its links with it.
struct Cgroups;

impl Load for Cgroups {
    type Loaded<'obj> = (CgroupsSkel<'obj>, Vec<Link>);

    fn load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Self::Loaded<'obj>, LoadError> {
        let open_and_load = |storage| {
            let mut builder = CgroupsSkelBuilder::default();
            btf::prepare(&mut builder.obj_builder)?;
            let mut open: OpenCgroupsSkel<'obj> = builder.open(storage)?;
            choice.prepare(open.open_object_mut());
            open.load()
        };
        let skel = open_and_load(storage).map_err(LoadError::of_load)?;
        let mut links = Vec::new();
        if choice.uses(PROGRAM) {
            let program = &skel.progs.cgroup_made;
            let made = program.attach_raw_tracepoint("cgroup_mkdir");
            links.push(made.map_err(|e| LoadError::of_attach(PROGRAM, &e))?);
            // v1 alone has renames.
            links.extend(program.attach_raw_tracepoint("cgroup_rename"));
        }
        Ok((skel, links))
    }
}

/// The program, attached. It detaches when this is dropped.
pub(crate) struct Made {
    _links: Vec<Link>,
    ring: RingBuffer<'static>,
    taken: Rc<RefCell<CgroupsMade>>,
}

impl Made {
    /// Loads and attaches: from then on no cgroup that is made is missed.
    pub(crate) fn attach() -> Result<Self, Missing> {
        let mut storage = programs::storage();
        let missing = |error: String| Missing {
            feature: BRIEF_CGROUPS.into(),
            program: PROGRAM.into(),
            error: escape(error.as_bytes()).into_owned(),
        };
        let loaded = programs::load(&Cgroups, &mut storage, Choice::of(Object::Cgroups));
        let ((skel, links), choice) = loaded.map_err(|e| missing(e.to_string()))?;
        match choice.missing().pop() {
            Some(missing) => Err(missing),
            None => Self::of(&skel, links).map_err(|e| missing(e.to_string())),
        }
    }

    fn of(skel: &CgroupsSkel<'_>, links: Vec<Link>) -> libbpf_rs::Result<Self> {
        let taken = Rc::new(RefCell::new(CgroupsMade::default()));
        let mut ring = RingBufferBuilder::new();
        let out = Rc::clone(&taken);
        let map = MapHandle::try_from(&skel.maps.made)?;
        ring.add(&map, move |record| {
            take_in(&mut out.borrow_mut(), record);
            // Anything else would end the whole consume.
            0
        })?;
        // The links and the ring hold program and map.
        Ok(Self { _links: links, ring: ring.build()?, taken })
    }

    /// Cgroups made since the last call; `None` without any.
    pub(crate) fn take(&self) -> Option<CgroupsMade> {
        // An error leaves the rest for the next time.
        let _ = self.ring.consume_raw();
        let mut taken = self.taken.borrow_mut();
        let paths = std::mem::take(&mut taken.paths);
        (!paths.is_empty()).then_some(CgroupsMade { paths, lost: taken.lost })
    }
}

/// Takes a record; one that is short or odd is left out.
fn take_in(taken: &mut CgroupsMade, record: &[u8]) {
    let mut head = cgroup_head::default();
    if plain::copy_from_bytes(&mut head, record).is_err() {
        return;
    }
    taken.lost = taken.lost.max(head.lost);
    let path = record.get(CGROUP_HEAD_BYTES..).and_then(|p| p.get(..head.path_len as usize));
    if let Some(path) = path.filter(|path| path.starts_with(b"/")) {
        taken.paths.push((head.id, path.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::records::bytes_of;

    #[test]
    fn records_are_read_and_odd_ones_left_out() {
        let record = |path_len, path: &[u8]| {
            let head = cgroup_head { id: 7, lost: 2, path_len, ..cgroup_head::default() };
            [bytes_of(&head), path].concat()
        };
        let mut taken = CgroupsMade::default();
        for odd in [&record(3, b"/a")[..], &record(1, b"a"), &record(0, b""), b"short", b""] {
            take_in(&mut taken, odd);
        }
        assert_eq!(taken.paths, []);
        // The ring pads records to eight bytes.
        take_in(&mut taken, &record(3, b"/a\n\0\0"));
        assert_eq!(taken, CgroupsMade { paths: vec![(7, b"/a\n".to_vec())], lost: 2 });
    }
}
