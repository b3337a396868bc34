//! The rings that records come through, one for each group of CPUs.

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};

use crate::probes::OpensConfig;

/// The size of a ring when there is only one, and when there are more. The one holds 100 ms of
/// the fastest that two cores can open; a machine of 64 CPUs has sixteen, 128 MiB together.
const ONE_RING_BYTES: u32 = 16 << 20;
const EACH_RING_BYTES: u32 = 8 << 20;

/// How many rings, how large, and which CPUs write where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probes) struct Layout {
    /// How many.
    pub(in crate::probes) rings: u32,
    /// Bytes of each.
    pub(in crate::probes) bytes: u32,
    /// CPU `n` writes to ring `n >> shift`.
    pub(in crate::probes) shift: u32,
}

impl Layout {
    /// The rings of a machine whose highest CPU number is below `cpus`.
    pub(in crate::probes) fn new(config: &OpensConfig, cpus: u32) -> Self {
        let shift = config.cpus_per_ring.max(1).next_power_of_two().trailing_zeros();
        let rings = cpus.max(1).div_ceil(1 << shift);
        let bytes = if rings == 1 { ONE_RING_BYTES } else { EACH_RING_BYTES };
        Self { rings, bytes: config.ring_bytes.unwrap_or(bytes), shift }
    }

    /// Bytes of all.
    pub(in crate::probes) fn total_bytes(self) -> u64 {
        u64::from(self.rings) * u64::from(self.bytes)
    }

    /// Checks that there is memory for the rings, before the programs are loaded.
    ///
    /// The verifier's allocations end in the OOM killer where a cgroup has no memory left; those of a
    /// ring return ENOMEM (`bpf_ringbuf_area_alloc`, kernel/bpf/ringbuf.c). So the rings, which take more
    /// than the verifier, are tried first, and released again.
    pub(in crate::probes) fn check_memory(self) -> libbpf_rs::Result<()> {
        (0..self.rings).map(|_| self.ring()).collect::<Result<Vec<_>, _>>().map(drop)
    }

    /// Makes the rings and puts them where the programs find them.
    pub(in crate::probes) fn create(
        self,
        outer: &impl MapCore,
    ) -> libbpf_rs::Result<Vec<MapHandle>> {
        (0..self.rings)
            .map(|index| {
                let ring = self.ring()?;
                let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&ring));
                outer.update(&index.to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)?;
                Ok(ring)
            })
            .collect()
    }

    fn ring(self) -> libbpf_rs::Result<MapHandle> {
        let opts = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            ..Default::default()
        };
        MapHandle::create(MapType::RingBuf, Some("ring"), 0, 0, self.bytes, &opts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_grow_with_the_cpus() {
        let of = |cpus| {
            let layout = Layout::new(&OpensConfig::default(), cpus);
            (layout.rings, layout.bytes >> 20, layout.shift)
        };
        assert_eq!(of(1), (1, 16, 2));
        assert_eq!(of(4), (1, 16, 2));
        assert_eq!(of(5), (2, 8, 2));
        assert_eq!(of(64), (16, 8, 2));
        let odd = OpensConfig { cpus_per_ring: 3, ring_bytes: Some(4096), ..Default::default() };
        assert_eq!(Layout::new(&odd, 9), Layout { rings: 3, bytes: 4096, shift: 2 });
    }
}
