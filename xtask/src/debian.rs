//! `cargo demo --debian`: two stock Debian desktops of two labels, in pictures, and a plain console
//! beside a desktop. They run on this host where its KVM can run stock kernels, and otherwise in
//! the test host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{build, test_host};

/// The scripts, each with its desk, in this order.
const SCRIPTS: [(&str, &str); 2] = [
    ("tour.tabard", include_str!("../../tests/test-host/tour/tour.tabard")),
    ("sides.tabard", include_str!("../../tests/test-host/tour/sides.tabard")),
];
const DESKS: [(&str, &str); 2] = [
    ("desk.toml", include_str!("../../tests/test-host/tour/desk.toml")),
    ("sides.toml", include_str!("../../tests/test-host/tour/sides.toml")),
];
/// What plays them in the test host, again where its processor is seen to have failed.
const PLAYS: [(&str, &str); 2] = [
    ("again.sh", include_str!("../../tests/test-host/tour/again.sh")),
    ("play.sh", include_str!("../../tests/test-host/tour/play.sh")),
];
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
/// Graphical systems on an emulated processor need their time.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// Builds the images, plays the scripts, writes the page.
///
/// # Errors
/// A sentence that names what failed.
pub fn run(programs: Option<PathBuf>, out: &Path) -> Result<(), String> {
    let tabard = match programs {
        Some(programs) => programs.join("tabard"),
        None => build::release()?,
    };
    let folder = build::target_dir()?.join("test-host");
    let desktop = test_host::desktop_image(&tabard, &folder.join("guests/desktop"))?;
    let tiny = test_host::tiny_image(&tabard, &folder.join("guests/tiny"))?;
    let tour = folder.join("tour");
    let make = |path: &Path| fs::create_dir_all(path).map_err(|error| cannot(path, &error));
    make(&tour)?;
    make(out)?;
    let direct = runs_stock_kernels();
    let place = |image: &Path, carried: &str| match direct {
        true => image.display().to_string(),
        false => carried.to_owned(),
    };
    let desktops = place(&desktop, "/carried/desktop");
    let tinies = place(&tiny, "/carried/tiny");
    for (name, text) in DESKS.iter().chain(&SCRIPTS).chain(&PLAYS) {
        let path = tour.join(name);
        let text = text.replace("@DESKTOP@", &desktops).replace("@TINY@", &tinies);
        fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
    }
    if direct {
        for (name, _) in SCRIPTS {
            let mut command = Command::new(&tabard);
            command.arg("test").arg(tour.join(name)).arg("--out").arg(out);
            build::run(&mut command)?;
        }
    } else {
        eprintln!(
            "No KVM of this host can run stock kernels, so the desktops run in an emulated one; \
             that takes some minutes"
        );
        let command = ["sh", "/carried/tour/play.sh"];
        let carried = vec![desktop, tiny, tour];
        let results = test_host::run_carrying(&tabard, TIMEOUT, carried, &command)?;
        for (name, script) in shots() {
            let folder = script.trim_end_matches(".tabard");
            let (from, to) = (results.join("tour").join(folder).join(name), out.join(name));
            fs::copy(&from, &to).map_err(|error| cannot(&from, &error))?;
        }
    }
    let page = out.join("index.html");
    fs::write(&page, html()).map_err(|error| cannot(&page, &error))?;
    println!("The tour is in {}", page.display());
    Ok(())
}

/// Every picture, and the script that makes it.
fn shots() -> impl Iterator<Item = (&'static str, &'static str)> {
    SCRIPTS.into_iter().flat_map(|(script, text)| {
        text.lines().filter_map(move |line| Some((line.strip_prefix("shot ")?, script)))
    })
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    format!("Cannot use {}: {error}", path.display())
}

/// Whether KVM is there and works by the processor's virtualization.
fn runs_stock_kernels() -> bool {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let virtualizes = processor.split_whitespace().any(|word| word == "vmx" || word == "svm");
    virtualizes && fs::File::options().read(true).write(true).open("/dev/kvm").is_ok()
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
        let shots: Vec<&str> = shots().map(|(name, _)| name).collect();
        assert_eq!(shots, PICTURES.map(|(name, _)| name));
        assert!(shots.iter().all(|name| html().contains(name)));
    }
}
