//! What a snapshot is of. All of it must be as it was, or the snapshot starts nothing: a state of
//! another program, engine or machine would be read for what it is not, and a guest of another class
//! would get what belongs to this one.

use serde::{Deserialize, Serialize};

/// The format of manifest and state. It grows by one with each change of what is in them.
pub const FORMAT: u32 = 1;

/// The manifest of a snapshot, as it stands in `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`] of who wrote it.
    pub format: u32,
    /// What it is of.
    pub machine: Machine,
    /// The files beside it.
    pub files: Files,
}

/// What a guest's machine is, as far as its state depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// SHA-256 of `tabard-vmm` and `tabard-engine`, one behind the other.
    pub program: String,
    /// `kvm` or `qemu`.
    pub engine: String,
    /// QEMU's version; for `kvm` the kernel's, its module and the processor.
    pub engine_version: String,
    /// The guest's access class.
    pub class: String,
    /// The marking of its label.
    pub label: String,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub vcpus: u8,
    /// SHA-256 of the kernel.
    pub kernel: String,
    /// SHA-256 of the initrd; none if there is none.
    pub initrd: Option<String>,
    /// The kernel's command line.
    pub cmdline: String,
    /// The devices beside those that every machine has, in their order: display, and each volume with
    /// its access, its length and when it was last changed.
    pub devices: Vec<String>,
}

/// The files of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The guest's memory.
    pub memory: Part,
    /// All the rest of the machine.
    pub state: Part,
    /// What was written over each volume that forgets it.
    pub overlays: Vec<Part>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of where each page is that is not zero, and of the page.
    pub sha256: String,
}

/// One thing that is not as it was, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its {what} was {kept}, and is {now} now")]
pub struct Difference {
    /// What.
    pub what: &'static str,
    /// As it was kept.
    pub kept: String,
    /// As it is.
    pub now: String,
}

impl Machine {
    /// The first thing that keeps this machine from being started from that one's snapshot. The class
    /// comes first: of a snapshot of another one nothing else is told.
    ///
    /// # Errors
    /// [`Difference`].
    pub fn check(&self, kept: &Self) -> Result<(), Difference> {
        let some = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let pairs = [
            ("class", kept.class.clone(), self.class.clone()),
            ("label", kept.label.clone(), self.label.clone()),
            ("program (tabard-vmm)", kept.program.clone(), self.program.clone()),
            ("engine", kept.engine.clone(), self.engine.clone()),
            ("engine's version", kept.engine_version.clone(), self.engine_version.clone()),
            ("memory", format!("{} MiB", kept.memory_mib), format!("{} MiB", self.memory_mib)),
            ("number of processors", kept.vcpus.to_string(), self.vcpus.to_string()),
            ("kernel", kept.kernel.clone(), self.kernel.clone()),
            ("initrd", some(&kept.initrd), some(&self.initrd)),
            ("command line", format!("{:?}", kept.cmdline), format!("{:?}", self.cmdline)),
            ("devices", kept.devices.join(", "), self.devices.join(", ")),
        ];
        match pairs.into_iter().find(|(_, kept, now)| kept != now) {
            None => Ok(()),
            // Digests are long, and differ in their first letters.
            Some((what, kept, now)) => Err(Difference { what, kept: short(kept), now: short(now) }),
        }
    }
}

fn short(text: String) -> String {
    let digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digest { text.chars().take(12).collect() } else { text }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn machine() -> Machine {
        Machine {
            program: "ab".repeat(32),
            engine: "qemu".to_owned(),
            engine_version: "10.0.2".to_owned(),
            class: "level 1".to_owned(),
            label: "SECRET".to_owned(),
            memory_mib: 64,
            vcpus: 1,
            kernel: "cd".repeat(32),
            initrd: None,
            cmdline: "quiet".to_owned(),
            devices: vec!["display".to_owned()],
        }
    }

    #[test]
    fn each_thing_that_is_not_as_it_was_is_named() {
        type Change = fn(&mut Machine);
        let changes: [(&str, Change); 11] = [
            ("its class was level 1, and is other now", |now| now.class = "other".into()),
            ("its label was SECRET", |now| now.label = "other".into()),
            ("its program (tabard-vmm) was abababababab,", |now| now.program = "0".repeat(64)),
            ("its engine was qemu, and is kvm now", |now| now.engine = "kvm".into()),
            ("its engine's version was 10.0.2, and", |now| now.engine_version = "9".into()),
            ("its memory was 64 MiB, and is 65 MiB now", |now| now.memory_mib = 65),
            ("its number of processors was 1, and is 2 now", |now| now.vcpus = 2),
            ("its kernel was cdcdcdcdcdcd, and is 000000000000 now", |now| {
                now.kernel = "0".repeat(64);
            }),
            ("its initrd was none, and is x now", |now| now.initrd = Some("x".into())),
            ("its command line was \"quiet\", and is \"\" now", |now| now.cmdline.clear()),
            ("its devices was display, and is  now", |now| now.devices.clear()),
        ];
        assert_eq!(machine().check(&machine()), Ok(()));
        for (words, change) in changes {
            let mut now = machine();
            change(&mut now);
            let said = now.check(&machine()).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_class_is_looked_at_before_all_else() {
        let other = Machine { class: "level 9".into(), vcpus: 9, ..machine() };
        assert_eq!(other.check(&machine()).unwrap_err().what, "class");
    }

    prop_compose! {
        fn any_machine()(
            texts in prop::array::uniform7(".{0,12}"),
            memory_mib in any::<u32>(),
            vcpus in any::<u8>(),
            initrd in prop::option::of(".{0,12}"),
            devices in prop::collection::vec(".{0,12}", 0..4),
        ) -> Machine {
            let [program, engine, engine_version, class, label, kernel, cmdline] = texts;
            Machine {
                program, engine, engine_version, class, label, memory_mib, vcpus, kernel, initrd,
                cmdline, devices,
            }
        }
    }

    prop_compose! {
        fn any_part()(bytes in any::<u64>(), sha256 in "[0-9a-f]{0,64}") -> Part {
            Part { bytes, sha256 }
        }
    }

    proptest! {
        #[test]
        fn a_manifest_comes_back_as_it_was_written(
            format in any::<u32>(),
            machine in any_machine(),
            memory in any_part(),
            state in any_part(),
            overlays in prop::collection::vec(any_part(), 0..3),
        ) {
            let manifest = Manifest { format, machine, files: Files { memory, state, overlays } };
            let text = serde_json::to_string(&manifest).unwrap();
            prop_assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        }

        #[test]
        fn bytes_that_are_no_manifest_are_refused_and_nothing_breaks(
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
        ) {
            let part = Part { bytes: 1, sha256: String::new() };
            let files = Files { memory: part.clone(), state: part, overlays: Vec::new() };
            let manifest = Manifest { format: FORMAT, machine: machine(), files };
            let mut text = serde_json::to_vec(&manifest).unwrap();
            let at = at.index(text.len());
            text[at] = value;
            // It is read as something, or it is not: nothing else happens.
            let _read = serde_json::from_slice::<Manifest>(&text);
            text.truncate(at);
            prop_assert!(serde_json::from_slice::<Manifest>(&text).is_err());
        }
    }
}
