//! Walks over the tables of the kernel side, which `walk.h` runs.

use std::cell::RefCell;

use libbpf_rs::{ProgramInput, RingBuffer};

use crate::bpf::connections::ConnectionsSkel;
use crate::bpf::connections::types::{bss, walk_over};

/// Changes what the programs read and write.
pub(super) fn set(skel: &mut ConnectionsSkel<'_>, change: impl FnOnce(&mut bss)) {
    if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
        change(bss);
    }
}

/// The ring that walks write into, and the bytes read from it.
pub(super) struct Walk<'a> {
    ring: RingBuffer<'a>,
    found: &'a RefCell<Vec<u8>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ring: RingBuffer<'a>, found: &'a RefCell<Vec<u8>>) -> Self {
        Self { ring, found }
    }

    /// Walks over a table to its end, and hands over the records, `bytes` each.
    pub(super) fn run(
        &self,
        skel: &mut ConnectionsSkel<'_>,
        over: walk_over,
        bytes: usize,
        mut take: impl FnMut(&[u8]),
    ) -> libbpf_rs::Result<()> {
        set(skel, |bss| {
            bss.walk_over = over.0;
            bss.walk_next = 0;
        });
        loop {
            let programs = [&skel.progs.walk, &skel.progs.walk_raw];
            let Some(program) = programs.into_iter().find(|p| p.autoload()) else { return Ok(()) };
            program.test_run(ProgramInput::default())?;
            self.ring.consume()?;
            let mut found = self.found.borrow_mut();
            found.chunks_exact(bytes).for_each(&mut take);
            found.clear();
            if !skel.maps.bss_data.as_deref().is_some_and(|bss| bss.walk_more) {
                return Ok(());
            }
        }
    }
}
