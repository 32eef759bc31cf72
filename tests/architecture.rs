//! Holds the rooms of `docs/architecture.md` apart: who may know whom, what each program may
//! link, and where unsafe code may be. It reads `cargo metadata` and the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each room and the rooms that it may know about.
const ARROWS: [(&str, &[&str]); 17] = [
    ("tabard-labels", &[]),
    ("tabard-input", &[]),
    ("tabard-wire", &[]),
    ("tabard-agent-wire", &[]),
    ("tabard-agent", &["tabard-agent-wire"]),
    ("tabard-guests", &[]),
    ("tabard-view", &["tabard-labels"]),
    ("tabard-trusted-path", &["tabard-labels", "tabard-input", "tabard-view"]),
    ("tabard-proof", &["tabard-labels", "tabard-input", "tabard-view", "tabard-trusted-path"]),
    ("tabard-display", &["tabard-labels", "tabard-view"]),
    ("tabard-sight", &["tabard-display", "tabard-view"]),
    ("tabard-vmm", &["tabard-wire", "tabard-agent-wire"]),
    (
        "tabard-session",
        &[
            "tabard-labels",
            "tabard-input",
            "tabard-view",
            "tabard-trusted-path",
            "tabard-display",
            "tabard-wire",
            "tabard-agent-wire",
            "tabard-guests",
        ],
    ),
    (
        "tabard",
        &[
            "tabard-session",
            "tabard-labels",
            "tabard-input",
            "tabard-view",
            "tabard-trusted-path",
            "tabard-display",
            "tabard-sight",
            "tabard-wire",
            "tabard-agent-wire",
            "tabard-guests",
        ],
    ),
    // Its own tests link it; it is no part of the program.
    ("tabard-test", &["tabard", "tabard-display", "tabard-view"]),
    ("tabard-fuzz", &["tabard", "tabard-labels", "tabard-wire", "tabard-agent-wire", "tabard-vmm"]),
    ("xtask", &[]),
];

/// Rooms that do no I/O, and read no clock and no environment.
const PURE: [&str; 6] = [
    "labels/src",
    "input/src",
    "trusted-path/src",
    "display/view/src",
    "vmm/wire/src",
    "vmm/wire/agent/src",
];

/// The one folder in a pure room that does I/O, behind a feature: it reads `/dev/input`.
const READS_DEVICES: &str = "input/src/evdev";

/// What a pure room never names.
const IMPURE: [&str; 8] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::env",
    "std::time",
    "std::thread",
    "std::process",
];

/// The only file of `display` that may hold unsafe code: it maps surfaces.
const UNSAFE_ROOM: &str = "display/src/surface.rs";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The packages of the build and which of them each one links.
struct Graph {
    /// Package identifier to name.
    names: BTreeMap<String, String>,
    /// Package identifier to the identifiers of what it links or builds with; no dev-dependencies.
    links: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let packages = metadata["packages"].as_array().unwrap();
        let names = packages.iter().map(|one| (text(&one["id"]), text(&one["name"]))).collect();
        let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
        let links = nodes
            .iter()
            .map(|node| {
                let deps = node["deps"].as_array().unwrap().iter();
                let linked = deps.filter(|dep| {
                    dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev")
                });
                (text(&node["id"]), linked.map(|dep| text(&dep["pkg"])).collect())
            })
            .collect();
        Self { names, links }
    }

    fn id(&self, package: &str) -> &str {
        let mut found = self.names.iter().filter(|(_, name)| *name == package);
        found.next().unwrap_or_else(|| panic!("there is no package {package}")).0
    }

    /// The names of what a package depends on itself.
    fn direct(&self, package: &str) -> BTreeSet<&str> {
        self.links[self.id(package)].iter().map(|id| self.names[id].as_str()).collect()
    }

    /// The names of all that a package links, through others too.
    fn all(&self, package: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.id(package)];
        while let Some(id) = open.pop() {
            for next in &self.links[id] {
                if seen.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_room_knows_only_the_rooms_below_it() {
    let graph = Graph::read();
    for (room, allowed) in ARROWS {
        for known in graph.direct(room) {
            let ours = known == "xtask" || known == "tabard" || known.starts_with("tabard-");
            assert!(!ours || allowed.contains(&known), "{room} must not know {known}");
        }
    }
}

#[test]
fn every_package_of_the_workspace_is_a_known_room() {
    let graph = Graph::read();
    for name in graph.names.values().filter(|name| name.starts_with("tabard")) {
        assert!(ARROWS.iter().any(|(room, _)| room == name), "{name} has no entry in ARROWS");
    }
}

#[test]
fn the_trusted_program_links_no_device_emulation() {
    let graph = Graph::read();
    for linked in graph.all("tabard") {
        let emulation = linked.starts_with("kvm-")
            || linked.starts_with("virtio-")
            || ["linux-loader", "vm-memory", "vm-superio", "vmm-sys-util", "tabard-vmm"]
                .contains(&linked);
        assert!(!emulation, "tabard links {linked}");
    }
}

#[test]
fn the_guest_program_links_nothing_of_the_trusted_side_but_the_wire() {
    let graph = Graph::read();
    for linked in graph.all("tabard-vmm") {
        let trusted =
            linked.starts_with("tabard") && !["tabard-wire", "tabard-agent-wire"].contains(&linked);
        let window = ["winit", "softbuffer", "fontdue", "toml", "clap"].contains(&linked);
        assert!(!trusted && !window, "tabard-vmm links {linked}");
    }
}

#[test]
fn the_shipped_guest_program_lets_no_intruder_in() {
    for file in sources(&root().join("vmm/src")) {
        let admits = fs::read_to_string(&file).unwrap().contains("main_with(");
        assert!(!admits || file.ends_with("vmm/src/lib.rs"), "{} admits one", file.display());
    }
}

#[test]
fn pure_rooms_name_no_file_clock_thread_or_socket() {
    for file in PURE.iter().flat_map(|room| sources(&root().join(room))) {
        if file.starts_with(root().join(READS_DEVICES)) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for name in IMPURE {
            assert!(!text.contains(name), "{} names {name}", file.display());
        }
    }
}

#[test]
fn unsafe_code_has_few_rooms() {
    for room in PURE {
        let text = fs::read_to_string(root().join(room).join("lib.rs")).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{room} does not forbid unsafe code");
    }
    let display = fs::read_to_string(root().join("display/src/lib.rs")).unwrap();
    assert!(display.contains("#![deny(unsafe_code)]"), "display does not deny unsafe code");
    for file in sources(&root().join("display/src")) {
        let allows = fs::read_to_string(&file).unwrap().contains("allow(unsafe_code)");
        assert!(!allows || file.ends_with(UNSAFE_ROOM), "{} allows unsafe", file.display());
    }
}

#[test]
fn every_presenter_shows_verified_frames_only() {
    // Who draws for a glass draws through `checked.rs`; the drawing itself is in these.
    let may_draw = ["lib.rs", "compositor.rs", "checked.rs"];
    for file in sources(&root().join("display/src")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let unchecked = text.replace("CheckedCompositor", "").contains("Compositor::new");
        assert!(!unchecked || may_draw.contains(&name.as_str()), "{name} draws unverified frames");
    }
    // The oracle draws to compare, for no glass.
    for file in sources(&root().join("src")).iter().filter(|file| !file.ends_with("oracle.rs")) {
        let text = fs::read_to_string(file).unwrap().replace("CheckedCompositor", "");
        assert!(!text.contains("Compositor::new"), "{} draws unverified frames", file.display());
    }
}

#[test]
fn the_verifier_shares_the_font_atlas_with_the_compositor_and_nothing_else() {
    let shared = ["font::", "Frame", "Pictures", "region"];
    let drawing = ["art", "bar", "compositor", "paint", "pointer", "scene", "theme", "trusted"];
    for file in sources(&root().join("display/src/verifier")) {
        let text = fs::read_to_string(&file).unwrap();
        for module in drawing {
            assert!(
                !text.contains(&format!("crate::{module}")),
                "{} uses {module}",
                file.display()
            );
        }
        assert!(!text.contains("layout::"), "{} uses the layout it checks", file.display());
        let uses = text.lines().filter_map(|line| line.strip_prefix("use crate::"));
        for line in uses {
            assert!(
                shared.iter().any(|shared| line.contains(shared)),
                "{}: {line}",
                file.display()
            );
        }
    }
}

#[test]
fn faults_are_made_in_tests_only() {
    for manifest in ["Cargo.toml", "display/Cargo.toml", "trusted-path/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        assert!(!text.contains("faults"), "{manifest} has a way to build faults in");
    }
    for room in ["display/src", "session/src", "trusted-path/src"] {
        for file in sources(&root().join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("feature = \"fault"), "{} has a fault hook", file.display());
        }
    }
}

/// What is behind the feature counts as no line of a shipped program.
#[test]
fn only_the_model_checker_asks_for_the_feature_proof() {
    let mut asking = Vec::new();
    for package in manifests(&root()) {
        let text = fs::read_to_string(&package).unwrap();
        if text.contains("\"proof\"") {
            asking.push(package.strip_prefix(root()).unwrap().to_owned());
        }
    }
    assert_eq!(asking, [PathBuf::from("trusted-path/proof/Cargo.toml")]);
}

/// Every manifest below a folder.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(manifests(&path));
        } else if name == "Cargo.toml" {
            found.push(path);
        }
    }
    found
}
