//! A driver's report on an interface, and its features, by `SIOCETHTOOL`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::model::interface_name::InterfaceName;

/// `include/uapi/linux/ethtool.h`
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;
const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// `SFEATURES` set some; a requested feature is not available.
const ETHTOOL_F_UNSUPPORTED: libc::c_int = 1;

/// A socket for requests in the current network namespace.
#[derive(Debug)]
pub(crate) struct Ethtool {
    socket: OwnedFd,
}

/// One feature of an interface, as `ethtool -k` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    /// The kernel's name, `rx-lro`.
    pub(crate) name: String,
    /// Its bit.
    pub(crate) bit: usize,
    /// On.
    pub(crate) active: bool,
    /// Requested.
    pub(crate) requested: bool,
    /// It cannot be changed.
    pub(crate) fixed: bool,
}

impl Ethtool {
    /// Opens the socket.
    pub(crate) fn open() -> io::Result<Self> {
        // SAFETY: three integers.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this descriptor to us alone.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// One call; `buffer` begins with the command and has the room that the command wants.
    fn call(&self, name: &InterfaceName, buffer: &mut [u32]) -> io::Result<libc::c_int> {
        let bytes = name.as_bytes();
        let mut request: libc::ifreq = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: buffer.as_mut_ptr().cast() },
        };
        if bytes.len() >= request.ifr_name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        // SAFETY: `request` is a whole ifreq; its data pointer is `buffer`, which each caller
        // sizes for its command and which lives through the call.
        let ret =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
        if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
    }

    /// The driver's name; bytes that are not UTF-8 are replaced.
    pub(crate) fn driver(&self, name: &InterfaceName) -> io::Result<String> {
        // struct ethtool_drvinfo: cmd, driver[32], … 196 bytes.
        let mut buffer = [0u32; 52];
        put(&mut buffer, 0, ETHTOOL_GDRVINFO);
        self.call(name, &mut buffer)?;
        let bytes: Vec<u8> = buffer.iter().skip(1).take(8).flat_map(|w| w.to_ne_bytes()).collect();
        Ok(text(&bytes))
    }

    /// The speed in Mb/s; `None` where it is not known.
    pub(crate) fn speed_mbit(&self, name: &InterfaceName) -> Option<u32> {
        // struct ethtool_link_settings: cmd, speed, …, s8 link_mode_masks_nwords at byte 15
        // (in the first answer the negative of what the kernel wants), 32 bytes, then at most 3 * 127 words of masks.
        let mut buffer = [0u32; 12 + 3 * 127];
        put(&mut buffer, 0, ETHTOOL_GLINKSETTINGS);
        self.call(name, &mut buffer).ok()?;
        let words = i8::from_ne_bytes([*buffer.get(3)?.to_ne_bytes().get(3)?]);
        if words < 0 {
            let mut ask = [0u32; 12 + 3 * 127];
            put(&mut ask, 0, ETHTOOL_GLINKSETTINGS);
            put(&mut ask, 3, u32::from_ne_bytes([0, 0, 0, words.unsigned_abs()]));
            self.call(name, &mut ask).ok()?;
            buffer = ask;
        }
        // SPEED_UNKNOWN is -1.
        buffer.get(1).copied().filter(|&s| s != 0 && s != u32::MAX)
    }

    /// Every feature of the interface.
    pub(crate) fn features(&self, name: &InterfaceName) -> io::Result<Vec<Feature>> {
        // struct ethtool_sset_info: cmd, reserved, u64 mask, u32 data[].
        let mut info = [0u32; 8];
        put(&mut info, 0, ETHTOOL_GSSET_INFO);
        put(&mut info, 2, 1 << ETH_SS_FEATURES);
        self.call(name, &mut info)?;
        let count = usize::try_from(info.get(4).copied().unwrap_or(0)).unwrap_or(0).min(1024);
        // struct ethtool_gstrings: cmd, string_set, len, u8 data[len * 32].
        let mut strings = vec![0u32; 3 + count * ETH_GSTRING_LEN / 4];
        put(&mut strings, 0, ETHTOOL_GSTRINGS);
        put(&mut strings, 1, ETH_SS_FEATURES);
        put(&mut strings, 2, u32::try_from(count).unwrap_or(0));
        self.call(name, &mut strings)?;
        // struct ethtool_gfeatures: cmd, size, {available, requested, active, never_changed}[].
        let blocks = count.div_ceil(32);
        let mut state = vec![0u32; 2 + blocks * 4];
        put(&mut state, 0, ETHTOOL_GFEATURES);
        put(&mut state, 1, u32::try_from(blocks).unwrap_or(0));
        self.call(name, &mut state)?;
        let bytes: Vec<u8> = strings.iter().skip(3).flat_map(|w| w.to_ne_bytes()).collect();
        let word = |bit: usize, which: usize| {
            state.get(2 + bit / 32 * 4 + which).is_some_and(|w| w >> (bit % 32) & 1 == 1)
        };
        Ok(bytes
            .chunks_exact(ETH_GSTRING_LEN)
            .enumerate()
            .map(|(bit, name)| Feature {
                name: text(name),
                bit,
                active: word(bit, 2),
                requested: word(bit, 1),
                fixed: word(bit, 3) || !word(bit, 0),
            })
            .collect())
    }

    /// Requests that the feature of number `bit` be on or off.
    pub(crate) fn set_feature(&self, name: &InterfaceName, bit: usize, on: bool) -> io::Result<()> {
        let blocks = self.features(name)?.len().div_ceil(32);
        // struct ethtool_sfeatures: cmd, size, {valid, requested}[].
        let mut buffer = vec![0u32; 2 + blocks * 2];
        put(&mut buffer, 0, ETHTOOL_SFEATURES);
        put(&mut buffer, 1, u32::try_from(blocks).unwrap_or(0));
        put(&mut buffer, 2 + bit / 32 * 2, 1 << (bit % 32));
        if on {
            put(&mut buffer, 3 + bit / 32 * 2, 1 << (bit % 32));
        }
        match self.call(name, &mut buffer)? & ETHTOOL_F_UNSUPPORTED {
            0 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        }
    }
}

fn put(buffer: &mut [u32], index: usize, value: u32) {
    if let Some(word) = buffer.get_mut(index) {
        *word = value;
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}
