//! `cargo demo --debian`: two stock Debian desktops of two labels, in pictures, and a plain console
//! beside a desktop.

use std::fs;
use std::path::{Path, PathBuf};

use crate::stock::{Script, Stage};
use crate::{build, engines, images};

/// The scripts, each with its desk, in this order.
const SCRIPTS: [Script; 2] = [
    Script {
        name: "tour",
        text: include_str!("../../tests/stock/tour/tour.tabard"),
        desk: ("desk.toml", include_str!("../../tests/stock/tour/desk.toml")),
    },
    Script {
        name: "sides",
        text: include_str!("../../tests/stock/tour/sides.tabard"),
        desk: ("sides.toml", include_str!("../../tests/stock/tour/sides.toml")),
    },
];
const USAGE: &str = "Write: cargo demo --debian [--engine auto|kvm|qemu] [--programs FOLDER] \
                     [--out FOLDER]";
/// Each picture of the scripts, and what it shows.
const PICTURES: [(&str, &str); 8] = [
    (
        "1-started.png",
        "Two unmodified Debian desktops side by side, each in the banner of its label.",
    ),
    ("2-web.png", "What is typed into the UNCLASSIFIED desktop arrives there and only there."),
    ("3-trusted.png", "The secure-attention key: no guest sees these keys."),
    ("4-plans.png", "The SECRET desktop has the keyboard now, as the bar says."),
    (
        "5-solo.png",
        "One desktop fills the screen, and its X server has followed; the banner stays.",
    ),
    ("6-ended.png", "Shut down by its power button: Tabard's own words, not a stale picture."),
    ("7-console.png", "A console in a plain framebuffer, beside a desktop on virtio-gpu."),
    ("8-scrolled.png", "It needs no driver: the kernel writes to it from the first second."),
];

/// Builds the images, plays the scripts, writes the page.
///
/// # Errors
/// A sentence that names what failed.
pub fn run(args: &[String]) -> Result<(), String> {
    let (mut programs, mut out) = (None, build::root().join("demo/debian"));
    let mut engine = "auto";
    for pair in args.chunks(2) {
        match pair {
            [word, value] if word == "--programs" => programs = Some(PathBuf::from(value)),
            [word, value] if word == "--out" => out = PathBuf::from(value),
            [word, value] if word == "--engine" => engine = value,
            _ => return Err(format!("There is no {}. {USAGE}", pair.join(" "))),
        }
    }
    let tabard = match programs {
        Some(programs) => programs.join("tabard"),
        None => build::demo_with_agent()?,
    };
    if engine == "qemu" || engine == "auto" && engines::stock_on_kvm().is_err() {
        engines::ensure_qemu(&tabard)?;
    }
    let stage = Stage {
        folder: build::target_dir()?.join("demo-debian"),
        desktop: images::desktop(&tabard)?,
        tiny: images::tiny(&tabard, None)?,
        installer: None,
        variables: Vec::new(),
        tabard,
    };
    SCRIPTS.iter().try_for_each(|script| stage.play(script, engine, &out))?;
    let page = out.join("index.html");
    fs::write(&page, html()).map_err(|error| cannot(&page, &error))?;
    println!("The tour is over. Its pictures are on the page {}", page.display());
    Ok(())
}

/// Every picture that the scripts make.
#[cfg(test)]
fn shots() -> impl Iterator<Item = &'static str> {
    let lines = SCRIPTS.iter().flat_map(|script| script.text.lines());
    lines.filter_map(|line| line.strip_prefix("shot "))
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    format!("Cannot use {}: {error}", path.display())
}

fn html() -> String {
    let figures: String = PICTURES
        .iter()
        .map(|(name, words)| {
            format!(
                "<figure><img src=\"{name}\" alt=\"\"><figcaption>{words}</figcaption></figure>\n"
            )
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>Tabard: two Debian desktops</title>\n<style>\n\
         body {{ background: #101215; color: #e9ebee; font: 17px/1.5 system-ui, sans-serif; \
         max-width: 1180px; margin: 0 auto; padding: 28px; }}\n\
         figure {{ margin: 0 0 36px; }}\nimg {{ width: 100%; height: auto; }}\n\
         figcaption {{ padding-top: 10px; color: #a2a9b4; }}\n</style>\n\
         <h1>Two stock Debian desktops, two labels</h1>\n{figures}</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_picture_of_the_tour_and_no_other() {
        let shots: Vec<&str> = shots().collect();
        assert_eq!(shots, PICTURES.map(|(name, _)| name));
        assert!(shots.iter().all(|name| html().contains(name)));
    }
}
