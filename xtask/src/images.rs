//! Images of stock Debian guests, built by `tabard image build` and kept below cargo's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::build;

/// An image is made anew when one of these is another.
const RECIPES: [&str; 2] =
    [include_str!("../../src/image/tiny.rs"), include_str!("../../src/image/init.sh")];
/// The same for a desktop, beside those.
const DESKTOP_RECIPES: [&str; 2] =
    [include_str!("../../src/image/desktop.rs"), include_str!("../../src/image/desktop.sh")];

/// The image of a Debian desktop, built unless it is there.
///
/// # Errors
/// A sentence, if it cannot be built.
pub fn desktop(tabard: &Path) -> Result<PathBuf, String> {
    let recipe = [&DESKTOP_RECIPES[..], &RECIPES[..]].concat().concat();
    make(tabard, guests()?.join("desktop"), "desktop", &[], &recipe)
}

/// The image of a Debian system without a desktop, of this release or of the host's own; built
/// unless it is there.
///
/// # Errors
/// A sentence, if it cannot be built.
pub fn tiny(tabard: &Path, release: Option<&str>) -> Result<PathBuf, String> {
    let Some(release) = release else {
        return make(tabard, guests()?.join("tiny"), "tiny", &[], &RECIPES.concat());
    };
    let image = guests()?.join(format!("tiny-{release}"));
    make(tabard, image, "tiny", &["--release", release], &RECIPES.concat())
}

/// The same with further modules of its kernel, in this folder.
///
/// # Errors
/// A sentence, if it cannot be built.
pub fn tiny_with(tabard: &Path, image: PathBuf, modules: &[&str]) -> Result<PathBuf, String> {
    let options: Vec<&str> = modules.iter().flat_map(|module| ["--module", module]).collect();
    make(tabard, image, "tiny", &options, &RECIPES.concat())
}

fn guests() -> Result<PathBuf, String> {
    let folder = build::target_dir()?.join("guests");
    fs::create_dir_all(&folder)
        .map(|()| folder.clone())
        .map_err(|error| format!("Cannot make {}: {error}", folder.display()))
}

/// Builds an image of this profile with these options, unless the one that is there was made by
/// this recipe.
fn make(
    tabard: &Path,
    image: PathBuf,
    profile: &str,
    options: &[&str],
    recipe: &str,
) -> Result<PathBuf, String> {
    let stamp = image.join("recipe");
    let recipe = format!("{}\n{recipe}", options.join(" "));
    if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) {
        return Ok(image);
    }
    let begin = Instant::now();
    eprintln!("A Debian image ({profile}) is built once, in {} ...", image.display());
    let mut command = Command::new(tabard);
    command.args(["image", "build", "--profile", profile]);
    build::run(command.args(options).arg(&image))?;
    eprintln!("A Debian image ({profile}) ... {:.1} s", begin.elapsed().as_secs_f64());
    fs::write(&stamp, recipe)
        .map(|()| image)
        .map_err(|error| format!("Cannot write {}: {error}", stamp.display()))
}
