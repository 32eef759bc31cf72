//! The messages that QEMU sends to a device's backend (QEMU, `docs/interop/vhost-user.rst`), as far as
//! a device of ours needs them. QEMU is hostile: what is not here, is too long, or has a field that
//! makes no sense is refused before anything is done.

/// Bytes of a header: request, flags, size of the body.
pub const HEADER_BYTES: usize = 12;
/// Most regions of memory in one table (`VHOST_USER_MEMORY_REGIONS` of the specification).
pub const MAX_REGIONS: usize = 8;
/// Most bytes of a device's configuration (`VHOST_USER_MAX_CONFIG_SIZE`).
pub const MAX_CONFIG_BYTES: usize = 256;
/// The longest body: configuration with its header, or a table of memory.
pub const MAX_BODY_BYTES: usize = 12 + MAX_CONFIG_BYTES;
/// Largest ring: what QEMU's virtio-mmio offers, whatever the device says.
pub const MAX_RING_SIZE: u16 = 1024;

/// `VHOST_USER_F_PROTOCOL_FEATURES`.
pub const FEATURE_PROTOCOL: u64 = 1 << 30;
/// The protocol's feature `BACKEND_REQ`, without which QEMU's display device has no backend.
pub const PROTOCOL_BACKEND_REQUESTS: u64 = 1 << 5;
/// The protocol's feature `CONFIG`.
pub const PROTOCOL_CONFIG: u64 = 1 << 9;

const VERSION: u32 = 1;
const FLAGS_VERSION: u32 = 3;
const FLAG_REPLY: u32 = 4;
/// A ring's message without a descriptor says so by this bit.
const NO_DESCRIPTOR: u64 = 1 << 8;

/// QEMU said what it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not the protocol's version, or a reply to nothing.
    #[error("Header is none of the protocol")]
    Header,
    /// A request that no device of ours has.
    #[error("Request {0} is not known here")]
    Request(u32),
    /// The body is not as long as the request says.
    #[error("Body of request {0} has a wrong length")]
    Length(u32),
    /// Not as many descriptors as belong to it, or of another kind.
    #[error("Descriptors do not belong to request {0}")]
    Descriptors(u32),
    /// A number is out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// The socket failed.
    #[error("Socket failed: {0}")]
    Socket(rustix::io::Errno),
}

/// A stretch of guest memory as QEMU tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where the guest sees it.
    pub guest: u64,
    /// Bytes.
    pub bytes: u64,
    /// Where QEMU sees it; addresses of rings are in these terms.
    pub user: u64,
    /// Where it begins in its file.
    pub offset: u64,
}

/// Addresses of a ring, in QEMU's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Descriptors.
    pub descriptors: u64,
    /// What the driver has used.
    pub used: u64,
    /// What the driver offers.
    pub available: u64,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Asks for the device's features.
    GetFeatures,
    /// Settles on features.
    SetFeatures(u64),
    /// Asks for the protocol's features.
    GetProtocolFeatures,
    /// Settles on the protocol's features.
    SetProtocolFeatures(u64),
    /// Begins; nothing to do.
    SetOwner,
    /// Tells of guest memory; a descriptor for each.
    SetMemory(Vec<Region>),
    /// Size of a ring.
    SetRingSize(usize, u16),
    /// Where a ring is.
    SetRingAddresses(usize, Addresses),
    /// Where a ring goes on.
    SetRingBase(usize, u16),
    /// Stops a ring and asks where it is to go on.
    GetRingBase(usize),
    /// A descriptor that the driver's notice is written to.
    SetRingKick(usize),
    /// A descriptor to write when buffers are given back; without one, nobody wants to know.
    SetRingCall(usize, bool),
    /// A descriptor for errors, which we never write.
    SetRingError(usize, bool),
    /// A ring may be served, or not.
    SetRingEnabled(usize, bool),
    /// A socket for our own requests; we have none.
    SetBackendSocket,
    /// Reads configuration.
    GetConfig {
        /// From which byte.
        offset: u32,
        /// How many.
        bytes: u32,
        /// Repeated in the reply.
        flags: u32,
    },
    /// Writes configuration.
    SetConfig {
        /// From which byte.
        offset: u32,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Asks how many rings there are.
    GetRings,
    /// A socket for pictures of a GPU that draws by itself; ours does not.
    SetGpuSocket,
}

/// A header that has been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of the request.
    pub request: u32,
    /// Bytes of the body, at most [`MAX_BODY_BYTES`].
    pub body_bytes: usize,
}

/// Takes numbers from a body; nothing is read past its end.
struct Body<'a> {
    request: u32,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Broken::Length(self.request))?;
        self.rest = rest;
        Ok(*head)
    }

    fn word(&mut self) -> Result<u32, Broken> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Result<u64, Broken> {
        self.take().map(u64::from_le_bytes)
    }

    fn end(self) -> Result<(), Broken> {
        if self.rest.is_empty() { Ok(()) } else { Err(Broken::Length(self.request)) }
    }

    fn ring(&mut self, rings: usize) -> Result<usize, Broken> {
        ring(self.word()?.into(), rings)
    }
}

fn ring(index: u64, rings: usize) -> Result<usize, Broken> {
    let index = usize::try_from(index).ok().filter(|index| *index < rings);
    index.ok_or(Broken::Range("Number of a ring"))
}

impl Header {
    /// Looks at a header.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, Broken> {
        let mut body = Body { request: 0, rest: &bytes };
        let (request, flags, length) = (body.word()?, body.word()?, body.word()?);
        if flags & FLAGS_VERSION != VERSION || flags & FLAG_REPLY != 0 {
            return Err(Broken::Header);
        }
        let body_bytes = usize::try_from(length).ok().filter(|length| *length <= MAX_BODY_BYTES);
        Ok(Self { request, body_bytes: body_bytes.ok_or(Broken::Length(request))? })
    }
}

impl Request {
    /// Reads a request to a device with so many rings.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn decode(request: u32, body: &[u8], rings: usize) -> Result<Self, Broken> {
        let mut body = Body { request, rest: body };
        let decoded = match request {
            1 => Self::GetFeatures,
            2 => Self::SetFeatures(body.long()?),
            3 => Self::SetOwner,
            5 => Self::SetMemory(regions(&mut body)?),
            8 => {
                let (index, size) = (body.ring(rings)?, body.word()?);
                let size = u16::try_from(size).ok();
                let size = size.filter(|size| (1..=MAX_RING_SIZE).contains(size));
                Self::SetRingSize(index, size.ok_or(Broken::Range("Size of a ring"))?)
            }
            9 => {
                let index = body.ring(rings)?;
                // Flags, for a log of what is written, which only a migration wants.
                if body.word()? != 0 {
                    return Err(Broken::Range("Flags of a ring"));
                }
                let (descriptors, used, available) = (body.long()?, body.long()?, body.long()?);
                let _log = body.long()?;
                Self::SetRingAddresses(index, Addresses { descriptors, used, available })
            }
            10 => {
                let (index, base) = (body.ring(rings)?, body.word()?);
                let base = u16::try_from(base).map_err(|_| Broken::Range("Base of a ring"))?;
                Self::SetRingBase(index, base)
            }
            11 => {
                let index = body.ring(rings)?;
                let _empty = body.word()?;
                Self::GetRingBase(index)
            }
            12..=14 => {
                let word = body.long()?;
                let (index, there) =
                    (ring(word & !NO_DESCRIPTOR, rings)?, word & NO_DESCRIPTOR == 0);
                match request {
                    12 if there => Self::SetRingKick(index),
                    // To look for requests without end is nothing that we do.
                    12 => return Err(Broken::Descriptors(request)),
                    13 => Self::SetRingCall(index, there),
                    _ => Self::SetRingError(index, there),
                }
            }
            15 => Self::GetProtocolFeatures,
            16 => Self::SetProtocolFeatures(body.long()?),
            17 => Self::GetRings,
            18 => {
                let index = body.ring(rings)?;
                match body.word()? {
                    on @ 0..=1 => Self::SetRingEnabled(index, on == 1),
                    _ => return Err(Broken::Range("Enabling of a ring")),
                }
            }
            21 => Self::SetBackendSocket,
            24 | 25 => {
                let (offset, bytes, flags) = (body.word()?, body.word()?, body.word()?);
                let end = usize::try_from(offset)
                    .ok()
                    .zip(usize::try_from(bytes).ok())
                    .and_then(|(offset, bytes)| offset.checked_add(bytes));
                if end.is_none_or(|end| end > MAX_CONFIG_BYTES) {
                    return Err(Broken::Range("Configuration"));
                }
                let data = std::mem::take(&mut body.rest).to_vec();
                if usize::try_from(bytes) != Ok(data.len()) {
                    return Err(Broken::Length(request));
                }
                if request == 24 {
                    Self::GetConfig { offset, bytes, flags }
                } else {
                    Self::SetConfig { offset, data }
                }
            }
            33 => {
                // Some versions send an empty word with it.
                if !body.rest.is_empty() {
                    let _empty = body.long()?;
                }
                Self::SetGpuSocket
            }
            other => return Err(Broken::Request(other)),
        };
        body.end()?;
        Ok(decoded)
    }

    /// How many descriptors belong to it.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Self::SetMemory(regions) => regions.len(),
            Self::SetRingCall(_, there) | Self::SetRingError(_, there) => (*there).into(),
            Self::SetRingKick(_) | Self::SetBackendSocket | Self::SetGpuSocket => 1,
            _ => 0,
        }
    }
}

fn regions(body: &mut Body<'_>) -> Result<Vec<Region>, Broken> {
    let count = usize::try_from(body.word()?).ok().filter(|count| *count <= MAX_REGIONS);
    let _padding = body.word()?;
    let region = |_| {
        let (guest, bytes) = (body.long()?, body.long()?);
        Ok(Region { guest, bytes, user: body.long()?, offset: body.long()? })
    };
    (0..count.ok_or(Broken::Range("Number of regions"))?).map(region).collect()
}

/// A request of ours that has no body.
#[must_use]
pub fn notice(request: u32) -> Vec<u8> {
    [request, VERSION, 0].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A reply to a request.
#[must_use]
pub fn reply(request: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(body.len()));
    for word in [request, VERSION | FLAG_REPLY, length] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longs(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn header(request: u32, flags: u32, length: u32) -> Result<Header, Broken> {
        Header::decode(words(&[request, flags, length]).try_into().unwrap())
    }

    #[test]
    fn a_header_of_another_version_a_reply_and_a_long_body_are_refused() {
        assert_eq!(header(1, 1, 8), Ok(Header { request: 1, body_bytes: 8 }));
        // That the sender wants an answer is allowed; it gets none that it was not promised.
        assert!(header(1, 9, 8).is_ok());
        assert_eq!(header(1, 2, 0), Err(Broken::Header));
        assert_eq!(header(1, 5, 0), Err(Broken::Header));
        assert_eq!(header(1, 1, 269), Err(Broken::Length(1)));
        assert_eq!(header(1, 1, u32::MAX), Err(Broken::Length(1)));
    }

    #[test]
    fn a_ring_that_the_device_does_not_have_is_refused() {
        assert_eq!(Request::decode(8, &words(&[1, 64]), 2), Ok(Request::SetRingSize(1, 64)));
        for request in [8, 10, 11, 18] {
            let refused = Request::decode(request, &words(&[2, 1]), 2);
            assert_eq!(refused, Err(Broken::Range("Number of a ring")), "{request}");
        }
        let refused = Request::decode(12, &longs(&[2]), 2);
        assert_eq!(refused, Err(Broken::Range("Number of a ring")));
    }

    #[test]
    fn a_ring_has_1_to_1024_descriptors() {
        for size in [0, 1025, 2048, 65_536, u32::MAX] {
            let refused = Request::decode(8, &words(&[0, size]), 1);
            assert_eq!(refused, Err(Broken::Range("Size of a ring")), "{size}");
        }
    }

    #[test]
    fn every_request_has_exactly_its_length() {
        let bodies: [(u32, usize); 12] = [
            (1, 0),
            (2, 8),
            (3, 0),
            (8, 8),
            (9, 40),
            (10, 8),
            (11, 8),
            (12, 8),
            (15, 0),
            (16, 8),
            (18, 8),
            (21, 0),
        ];
        for (request, length) in bodies {
            let good = Request::decode(request, &vec![0; length], 1);
            assert!(good.is_ok() || request == 8, "{request}: {good:?}");
            for wrong in [length + 1, length.saturating_sub(1)] {
                if wrong != length {
                    assert!(Request::decode(request, &vec![0; wrong], 1).is_err(), "{request}");
                }
            }
        }
    }

    #[test]
    fn configuration_stays_within_its_256_bytes() {
        let get = |offset, bytes: u32, data: usize| {
            let mut body = words(&[offset, bytes, 0]);
            body.extend(vec![0; data]);
            Request::decode(24, &body, 1)
        };
        assert_eq!(get(8, 16, 16), Ok(Request::GetConfig { offset: 8, bytes: 16, flags: 0 }));
        assert_eq!(get(8, 16, 15), Err(Broken::Length(24)));
        assert_eq!(get(250, 7, 7), Err(Broken::Range("Configuration")));
        assert_eq!(get(u32::MAX, u32::MAX, 0), Err(Broken::Range("Configuration")));
    }

    #[test]
    fn a_table_of_memory_has_at_most_eight_regions() {
        let mut body = words(&[9, 0]);
        body.extend(vec![0; 9 * 32]);
        assert_eq!(Request::decode(5, &body, 1), Err(Broken::Range("Number of regions")));
        let mut body = words(&[1, 0]);
        body.extend(longs(&[1, 2, 3, 4]));
        let region = Region { guest: 1, bytes: 2, user: 3, offset: 4 };
        assert_eq!(Request::decode(5, &body, 1), Ok(Request::SetMemory(vec![region])));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for request in [0, 4, 6, 7, 19, 20, 34, 37, 40, u32::MAX] {
            assert_eq!(Request::decode(request, &[], 1), Err(Broken::Request(request)));
        }
    }
}
