//! The tour of `tabard demo`: pictures of real machines, and a page that shows them.

mod common;

use common::{tabard_on_engine, vmm};
use tabard_display::read_png;

#[test]
fn the_tour_leaves_a_page_with_every_picture() {
    vmm();
    let folder = tempfile::tempdir().unwrap();
    let output = tabard_on_engine("demo")
        .args(["--headless", "--out", "tour", "--logs", "logs"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("index.html"), "{said}");

    let tour = folder.path().join("tour");
    let page = std::fs::read_to_string(tour.join("index.html")).unwrap();
    let pictures = [
        "desk.png",
        "solo-notes.png",
        "solo-web.png",
        "solo-plans.png",
        "trusted.png",
        "help.png",
        "typing.png",
        "held.png",
        "stopped.png",
    ];
    for name in pictures {
        assert!(page.contains(name), "{name} is not on the page");
        let picture = read_png(&tour.join(name)).unwrap();
        assert_eq!((picture.size.width, picture.size.height), (1280, 800), "{name}");
    }
    // SECRET's red bar; UNCLASSIFIED's green banner; TOP SECRET's orange one.
    let desk = read_png(&tour.join("desk.png")).unwrap();
    for color in [0x00c8_102e, 0x0000_7a33, 0x00ff_8c00] {
        assert!(desk.pixels.iter().filter(|pixel| **pixel == color).count() > 1000, "{color:06x}");
    }
    // A light bar that no label has, and none of the guests' red below it.
    let trusted = read_png(&tour.join("trusted.png")).unwrap();
    assert!(trusted.pixels[400] > 0x00f0_f0f0);
}
