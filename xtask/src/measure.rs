//! `cargo measure`: runs the measuring program of `benches/`, adds the lines of code, prints one
//! JSON object a line, and writes the table of `docs/specification.md`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{build, engines, images, lines, table};

/// What the figures of the engine `qemu` begin with: they have a table of their own.
const EMULATED: &str = "qemu_";

/// Measures everything.
///
/// # Errors
/// A sentence, if something cannot be measured or a figure is over its limit.
pub fn run() -> Result<(), String> {
    // The measuring program starts the `tabard-vmm` beside `tabard`.
    let tabard = build::release()?;
    // A guest's process that was taken over, to see what it can do to the others.
    let mut payload = build::cargo();
    payload.args(["build", "--release", "--package", "tabard-vmm", "--example", "payload"]);
    build::run(&mut payload)?;
    let image = engines::ensure_qemu(&tabard).and_then(|()| images::tiny(&tabard, None));
    let mut figures = Vec::new();
    let mut bench = build::cargo();
    bench.args(["bench", "--package", "tabard", "--bench", "measure"]);
    match image {
        Ok(image) => bench.env("TABARD_MEASURE_IMAGE", image),
        // What rests on it is not measured.
        Err(why) => {
            eprintln!("measure: without a Debian guest: {why}");
            bench.env_remove("TABARD_MEASURE_IMAGE")
        }
    };
    let mut child = bench
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("Cannot start {}: {error}", build::words(&bench)))?;
    // Figures are shown as they come: the whole takes minutes.
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line.map_err(|error| format!("The measuring program: {error}"))?;
        if let Ok(figure) = serde_json::from_str::<Value>(&line)
            && figure.get("figure").is_some()
        {
            println!("{line}");
            figures.push(figure);
        }
    }
    let status = child.wait().map_err(|error| format!("The measuring program: {error}"))?;
    for side in lines::SIDES {
        let count = lines::count(&build::root(), side).map_err(|error| error.to_string())?;
        let figure = json!({
            "figure": format!("lines_{}", side.name.replace([' ', '-'], "_")),
            "value": count.code, "unit": "lines", "limit": side.promise,
            "peer": null, "peer_value": null, "ratio": null,
        });
        println!("{figure}");
        figures.push(figure);
    }
    if !status.success() {
        return Err(format!("measure: {} failed: {status}", build::words(&bench)));
    }
    let (emulated, others): (Vec<Value>, Vec<Value>) = figures.into_iter().partition(is_emulated);
    // Both are written, whatever is in the first.
    let first = write_table("measure", &others);
    first.and(write_table("measure-qemu", &emulated))
}

fn is_emulated(figure: &Value) -> bool {
    figure["figure"].as_str().is_some_and(|name| name.starts_with(EMULATED))
}

/// What was measured on, in a line.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let models =
        cpuinfo.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<&str> = models.map(|(_, name)| name.trim()).collect();
    let model = models.first().unwrap_or(&"processor of an unknown kind");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("Measured on {} × {model}; the machine's load was {load} at the end.", models.len())
}

/// Writes the table of `docs/specification.md` that stands between the marks of this name.
///
/// # Errors
/// A sentence, if the file cannot be written or a figure breaks its promise.
pub fn write_table(name: &str, figures: &[Value]) -> Result<(), String> {
    let file: PathBuf = build::root().join("docs/specification.md");
    let at = |error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(&file).map_err(|error| at(error.to_string()))?;
    let text =
        table::replace(&text, name, &machine(), figures).map_err(|error| at(error.to_owned()))?;
    fs::write(&file, text).map_err(|error| at(error.to_string()))?;
    eprintln!("measure: wrote the table of {}", file.display());
    let over: Vec<_> = figures.iter().filter(|figure| table::is_over(figure)).collect();
    if over.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = over.iter().filter_map(|figure| figure["figure"].as_str()).collect();
    Err(format!("measure: over the limit: {}", names.join(", ")))
}
