//! Inside a room, imports point one way: two files that need each other are one idea in two
//! places, or two in one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItemFn, Item, ItemMod, ItemUse, UseTree};

/// The sources of each room that is shipped, and of the tasks.
const ROOMS: [&str; 13] = [
    "labels/src",
    "input/src",
    "trusted-path/src",
    "trusted-path/proof/src",
    "display/src",
    "display/view/src",
    "sight/src",
    "session/src",
    "vmm/wire/src",
    "vmm/wire/agent/src",
    "vmm/src",
    "src",
    "xtask/src",
];

/// Circles that still stand; there may be no other.
const STILL: [&str; 4] = [
    "session/src: cgroup, engine, guest, process",
    "vmm/src: agent, bus, devices, devices::rng, disks, engine, engine::qemu, intruder, jail, machine, \
     ports::i8042, ports::power, setup, snapshot, vcpu",
    "vmm/src: engine::qemu::monitor, engine::qemu::snapshot",
    "src: script::condition, script::needles",
];

/// A module by its path from the root of its crate.
type Module = Vec<String>;

/// The modules of a room, and what each names of the others.
fn imports(room: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut files = Vec::new();
    sources(room, &mut files);
    let modules: BTreeMap<Module, PathBuf> =
        files.into_iter().map(|file| (module(room, &file), file)).collect();
    let all: BTreeSet<Module> = modules.keys().cloned().collect();
    let named = |(module, file): (&Module, &PathBuf)| {
        let text = fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap();
        let mut names = Names { module: module.clone(), paths: Vec::new() };
        names.visit_file(&parsed);
        let of = |path: &Module| {
            (1..=path.len()).rev().map(|end| path[..end].to_vec()).find(|it| all.contains(it))
        };
        let others = names.paths.iter().filter_map(of).filter(|other| !related(module, other));
        (module.clone(), others.collect())
    };
    modules.iter().map(named).collect()
}

/// Whether one module holds the other: a parent declares its parts, and they are parts of it.
fn related(one: &Module, other: &Module) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test(&path) {
            files.push(path);
        }
    }
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

fn module(room: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(room).unwrap().with_extension("");
    let mut parts: Module =
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Every path that a file names, from the root of its crate.
struct Names {
    /// Where it is read: the file, or a module in it.
    module: Module,
    paths: Vec<Module>,
}

impl Names {
    fn add(&mut self, segments: &[String]) {
        let here = self.module.len();
        let ups = segments.iter().take_while(|part| *part == "super").count();
        let path = match segments.first().map(String::as_str) {
            Some("crate") => segments[1..].to_vec(),
            Some("self") => [&self.module, &segments[1..]].concat(),
            Some("super") if ups <= here => [&self.module[..here - ups], &segments[ups..]].concat(),
            _ => return,
        };
        self.paths.push(path);
    }

    fn tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(name) => self.add(&with(&name.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(before, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !never_shipped(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_file(&mut self, file: &'ast File) {
        file.items.iter().filter(|item| !of_tests(item)).for_each(|item| self.visit_item(item));
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        let items = item.content.iter().flat_map(|(_, items)| items);
        items.filter(|item| !of_tests(item)).for_each(|item| self.visit_item(item));
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }
}

/// Whether it is in no program that is shipped.
fn of_tests(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    };
    never_shipped(attributes)
}

fn never_shipped(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let of = attribute.to_token_stream().to_string().replace(' ', "");
        ["#[cfg(test)]", "#[cfg(feature=\"proof\")]"].contains(&of.as_str())
    })
}

/// Each set of modules that can all be reached from each other.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Module> = imports.get(from).into_iter().flatten().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(imports.get(next).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (module, reached(module))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        if others.contains(module) {
            let back = others.iter().filter(|other| reached[**other].contains(module));
            circles.insert(back.map(|module| module.join("::")).collect());
        }
    }
    circles
}

#[test]
fn no_room_has_another_circle_of_imports() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for room in ROOMS {
        let imports = imports(&root.join(room));
        assert!(!imports.is_empty(), "{room} has no sources");
        let names = |circle: BTreeSet<String>| Vec::from_iter(circle).join(", ");
        found.extend(circles(&imports).into_iter().map(|it| format!("{room}: {}", names(it))));
    }
    assert_eq!(found, STILL, "{}", found.join("\n"));
}

#[test]
fn a_circle_is_found_and_a_line_is_none() {
    let module = |name: &str| vec![name.to_owned()];
    let knows = |pairs: &[(&str, &[&str])]| {
        let one = |(name, others): &(&str, &[&str])| {
            (module(name), others.iter().map(|other| module(other)).collect())
        };
        pairs.iter().map(one).collect()
    };
    let line = knows(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]);
    let circle = knows(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
    assert!(circles(&line).is_empty());
    assert_eq!(circles(&circle), BTreeSet::from([["b", "c"].map(str::to_owned).into()]));
}
