//! The layers of a `tabard-vmm`'s jail, as the running process reports them.

use crate::DecodeError;

/// One layer of the jail. A layer holds or it does not; there is no half of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Layer {
    /// No new privileges, no capabilities, no core dumps, no tracing, death with its parent.
    Privileges = 0,
    /// A user namespace of its own; where `tabard` runs as root, an unused user as well.
    User = 1,
    /// A mount namespace whose root is empty and read-only.
    Mount = 2,
    /// A process namespace with nobody else in it.
    Pid = 3,
    /// A network namespace without any network.
    Net = 4,
    /// A namespace of its own for System V and POSIX message queues and shared memory.
    Ipc = 5,
    /// A host name of its own.
    Uts = 6,
    /// Landlock with nothing allowed.
    Landlock = 7,
    /// A seccomp filter for each kind of thread, which kills on a violation.
    Seccomp = 8,
    /// Limits of descriptors, threads, memory, file size, locked memory and priority.
    Limits = 9,
    /// No processor core is shared with another guest: core scheduling, or no sibling threads.
    Cores = 10,
    /// A control group that bounds its memory, its tasks and its share of the processors.
    Cgroup = 11,
}

impl Layer {
    /// Every layer, from the least to the highest bit.
    pub const ALL: [Self; 12] = [
        Self::Privileges,
        Self::User,
        Self::Mount,
        Self::Pid,
        Self::Net,
        Self::Ipc,
        Self::Uts,
        Self::Landlock,
        Self::Seccomp,
        Self::Limits,
        Self::Cores,
        Self::Cgroup,
    ];

    /// Its name in desk files, scripts and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        const NAMES: &str =
            "privileges user mount pid net ipc uts landlock seccomp limits cores cgroup";
        NAMES.split(' ').nth(usize::from(self as u8)).unwrap_or_default()
    }
}

/// A set of layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Layers(u16);

impl Layers {
    /// What `jail = "strict"` demands: all that a current kernel gives without further set-up.
    /// Core scheduling is no part of it, many kernels are built without; nor is a control group,
    /// which somebody has to give.
    pub const STRICT: Self = Self((1 << Layer::Cores as u8) - 1);

    /// Every layer.
    pub const ALL: Self = Self((1 << Layer::ALL.len()) - 1);

    /// What a desk file calls by this name: a layer, or `strict`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let layer = Layer::ALL.into_iter().find(|layer| layer.name() == name);
        let strict = (name == "strict").then_some(Self::STRICT);
        layer.map(|layer| Self::default().with(layer)).or(strict)
    }

    /// The set with this layer too.
    #[must_use]
    pub fn with(self, layer: Layer) -> Self {
        Self(self.0 | 1 << layer as u8)
    }

    /// Whether this layer is in the set.
    #[must_use]
    pub fn has(self, layer: Layer) -> bool {
        self.0 & 1 << layer as u8 != 0
    }

    /// The layers of this set that `other` lacks.
    #[must_use]
    pub fn lacking_in(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The layers of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether no layer is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The layers in the set.
    pub fn iter(self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(move |layer| self.has(*layer))
    }

    /// The set as the wire has it.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Reads a set; a bit that names no layer is a fault.
    pub fn from_bits(bits: u16) -> Result<Self, DecodeError> {
        let unknown = bits & !Self::ALL.0;
        if unknown == 0 { Ok(Self(bits)) } else { Err(DecodeError::Range("layers")) }
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, layer) in self.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(layer.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_is_every_layer_but_those_that_need_more_than_a_kernel() {
        for layer in Layer::ALL {
            let more = matches!(layer, Layer::Cores | Layer::Cgroup);
            assert_eq!(Layers::STRICT.has(layer), !more);
        }
    }

    #[test]
    fn each_layer_has_the_name_that_desk_files_know() {
        let named =
            [(Layer::Privileges, "privileges"), (Layer::Ipc, "ipc"), (Layer::Cgroup, "cgroup")];
        for (layer, name) in named {
            assert_eq!(layer.name(), name);
        }
        for layer in Layer::ALL {
            assert_eq!(layer.name(), format!("{layer:?}").to_lowercase());
            assert_eq!(Layers::named(layer.name()), Some(Layers::default().with(layer)));
        }
    }

    #[test]
    fn a_bit_without_a_layer_is_refused() {
        assert_eq!(Layers::from_bits(1 << 12), Err(DecodeError::Range("layers")));
        assert_eq!(Layers::from_bits(0xfff).map(|all| all.iter().count()), Ok(12));
    }

    #[test]
    fn what_is_lacking_is_named() {
        let held = Layers::default().with(Layer::Net).with(Layer::Seccomp);
        let wanted = held.with(Layer::Landlock);
        assert_eq!(wanted.lacking_in(held).to_string(), "landlock");
        assert_eq!(held.lacking_in(wanted).to_string(), "none");
    }
}
