//! `tabard needle`: makes needles from pictures, and says what is wrong with those of a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tabard_display::read_png;
use tabard_sight::{Area, Click, Kind, Needle, Pattern, Set};
use tabard_view::Rect;

use crate::session::desk::chain;

/// Arguments of `tabard needle`.
#[derive(Debug, clap::Args)]
pub struct NeedleArgs {
    /// What to do.
    #[command(subcommand)]
    command: NeedleCommand,
}

#[derive(Debug, clap::Subcommand)]
enum NeedleCommand {
    /// Make a needle from a picture, such as one that a script shot.
    New(NewArgs),
    /// Say which needles of a folder are unused, ambiguous, or end outside their picture.
    Check(CheckArgs),
}

/// Arguments of `tabard needle new`.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// The picture, a PNG file.
    shot: PathBuf,
    /// A part that must be there: X Y WIDTH HEIGHT in pixels; may be repeated. All of the picture if
    /// there is none.
    #[arg(long, num_args = 4, value_names = ["X", "Y", "W", "H"], action = clap::ArgAction::Append)]
    area: Vec<u32>,
    /// A part that does not count; may be repeated.
    #[arg(long, num_args = 4, value_names = ["X", "Y", "W", "H"], action = clap::ArgAction::Append)]
    exclude: Vec<u32>,
    /// What it stands for; may be repeated. Its name if there is none.
    #[arg(long)]
    tag: Vec<String>,
    /// How like it must be, in percent.
    #[arg(long = "match", value_name = "PERCENT", default_value_t = 96.0, value_parser = percent)]
    percent: f64,
    /// How far it may move, in pixels.
    #[arg(long, default_value_t = 50)]
    margin: u32,
    /// Where a click goes, from the upper left corner of the first area; its middle if not given.
    #[arg(long, num_args = 2, value_names = ["X", "Y"])]
    click: Vec<u32>,
    /// The needle to make: NAME.json, with NAME.png beside it. In the folder `needles`, called as
    /// the picture, if not given.
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Replace a needle that is there.
    #[arg(long)]
    force: bool,
}

/// Arguments of `tabard needle check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The folder of the needles.
    folder: PathBuf,
    /// The scripts that use them; those beside the folder if there are none.
    scripts: Vec<PathBuf>,
}

/// Runs the command: 0 if all is well, 1 if `check` found something, 2 for bad input.
#[must_use]
pub fn command(args: &NeedleArgs) -> ExitCode {
    let done = match &args.command {
        NeedleCommand::New(args) => make(args).map(|said| (said, true)),
        NeedleCommand::Check(args) => check(args),
    };
    match done {
        Ok((said, well)) => {
            said.iter().for_each(|line| println!("{line}"));
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| (1.0..=100.0).contains(percent));
    percent.ok_or_else(|| "write a number from 1 to 100".to_owned())
}

fn make(args: &NewArgs) -> Result<Vec<String>, String> {
    let picture = read_png(&args.shot).map_err(|error| chain(&error))?;
    let name = args.shot.file_stem().unwrap_or_default();
    let file = args.output.clone().unwrap_or_else(|| Path::new("needles").join(name));
    let file = file.with_extension("json");
    let rects = |numbers: &[u32]| -> Vec<Rect> {
        numbers
            .chunks_exact(4)
            .filter_map(|four| <[u32; 4]>::try_from(four).ok())
            .map(|[x, y, width, height]| Rect::new(x, y, width, height))
            .collect()
    };
    let mut matches = rects(&args.area);
    if matches.is_empty() {
        matches.push(picture.size.rect());
    }
    let click = match args.click.as_slice() {
        [x, y] => Some(Click::At(*x, *y)),
        _ => None,
    };
    let kinds = [(Kind::Match, matches), (Kind::Exclude, rects(&args.exclude))];
    let mut areas: Vec<Area> = kinds
        .into_iter()
        .flat_map(|(kind, rects)| rects.into_iter().map(move |rect| (kind, rect)))
        .map(|(kind, rect)| Area {
            kind,
            rect,
            percent: args.percent,
            margin: args.margin,
            click: None,
        })
        .collect();
    if let Some(first) = areas.first_mut() {
        first.click = click;
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let tags = if args.tag.is_empty() { vec![name.clone()] } else { args.tag.clone() };
    let needle = Needle { name, file: file.clone(), tags, workaround: false, areas };
    // What would be refused when it is read is not written.
    Needle::parse(&needle.text(), &file)?;
    Pattern::new(needle.clone(), picture).map_err(|error| error.to_string())?;
    if !args.force && file.exists() {
        return Err(format!(
            "There is a needle {}; name another with -o, or replace it with --force",
            file.display()
        ));
    }
    let unwritten =
        |error| format!("Cannot write {}: {error}. Name another with -o", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(unwritten)?;
    }
    let same = fs::canonicalize(&args.shot).ok() == fs::canonicalize(needle.picture()).ok();
    if !same {
        fs::copy(&args.shot, needle.picture()).map_err(unwritten)?;
    }
    fs::write(&file, needle.text()).map_err(unwritten)?;
    let tags = needle.tags.join("\" or needle \"");
    Ok(vec![format!(
        "{} is a needle now; a script says: wait-for needle \"{tags}\"",
        file.display()
    )])
}

fn check(args: &CheckArgs) -> Result<(Vec<String>, bool), String> {
    let set = Set::read(&args.folder)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let used = used(args)?;
    let mut said = Vec::new();
    for needle in &set.needles {
        let known = used.iter().any(|name| set.named(name).contains(&needle));
        if !known {
            said.push(format!("{}: unused: no script names it or its tags", needle.file.display()));
        }
    }
    let mut patterns = Vec::new();
    for needle in &set.needles {
        match Pattern::load(needle.clone()) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => said.push(chain(&error)),
        }
    }
    for one in &patterns {
        for other in &patterns {
            let apart = one.needle.file != other.needle.file
                && !one.needle.tags.iter().any(|tag| other.needle.tags.contains(tag));
            if apart && one.judge(&other.picture).ok() {
                said.push(format!(
                    "{}: ambiguous: it is also found in the picture of {}, which has no tag of it. Take a larger area, or one that tells them apart",
                    one.needle.file.display(),
                    other.needle.name
                ));
            }
        }
    }
    let well = said.is_empty();
    let count = set.needles.len();
    said.push(format!("tabard needle: {count} needles, {} faults", said.len()));
    Ok((said, well))
}

/// What the scripts call needles.
fn used(args: &CheckArgs) -> Result<BTreeSet<String>, String> {
    let mut scripts = args.scripts.clone();
    if scripts.is_empty() {
        let folder = fs::canonicalize(&args.folder).unwrap_or_else(|_| args.folder.clone());
        let beside = folder.parent().and_then(|folder| fs::read_dir(folder).ok());
        let files = beside.into_iter().flatten().flatten().map(|entry| entry.path());
        scripts.extend(files.filter(|file| file.extension().is_some_and(|end| end == "tabard")));
    }
    if scripts.is_empty() {
        return Err(format!(
            "There are no scripts beside {}. Name those that use its needles after it",
            args.folder.display()
        ));
    }
    let mut names = BTreeSet::new();
    for script in scripts {
        let text = fs::read_to_string(&script).map_err(|error| {
            format!("Cannot read the script {}: {error}. Check its path", script.display())
        })?;
        names.extend(text.lines().flat_map(crate::script::needles_of));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tabard_display::{Frame, write_png};
    use tabard_view::Size;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: NeedleArgs,
    }

    fn run(words: &[&str]) -> Result<(Vec<String>, bool), String> {
        let words = ["needle"].into_iter().chain(words.iter().copied());
        match Line::try_parse_from(words).unwrap().args.command {
            NeedleCommand::New(args) => make(&args).map(|said| (said, true)),
            NeedleCommand::Check(args) => check(&args),
        }
    }

    /// A folder with a picture, and the words that make a needle of it.
    fn shot(folder: &Path, name: &str, color: u32) -> String {
        let mut frame = Frame::new(Size { width: 100, height: 80 });
        frame.row_mut(20, 10, 30).fill(color);
        frame.row_mut(21, 10, 40).fill(color);
        let path = folder.join(name);
        write_png(&path, &frame).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_needle_that_is_made_can_be_read_and_is_in_its_picture() {
        let folder = tempfile::tempdir().unwrap();
        let (shot, to) = (shot(folder.path(), "a.png", 0x00ff_ffff), folder.path().join("n/ok"));
        let to = to.to_str().unwrap();
        let made =
            ["new", &shot, "--area", "5", "15", "50", "20", "--exclude", "6", "16", "3", "3"];
        let made = made.into_iter().chain(["--tag", "ok", "--click", "4", "5", "-o", to]);
        run(&made.collect::<Vec<_>>()).unwrap();
        let set = Set::read(&folder.path().join("n")).unwrap();
        let pattern = Pattern::load(set.named("ok")[0].clone()).unwrap();
        let verdict = pattern.judge(&read_png(Path::new(&shot)).unwrap());
        assert_eq!((verdict.percent(), verdict.click()), (100.0, Some((9, 20))));
        let again = run(&["new", &shot, "-o", to]).unwrap_err();
        assert!(again.contains("--force"), "{again}");
    }

    #[test]
    fn a_needle_that_could_not_be_read_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let shot = shot(folder.path(), "a.png", 0x00ff_ffff);
        let to = folder.path().join("n/x");
        let to = to.to_str().unwrap();
        for area in [["90", "0", "20", "20"], ["0", "0", "0", "20"]] {
            let mut words = vec!["new", &shot, "-o", to, "--area"];
            words.extend(area);
            assert!(run(&words).is_err(), "{area:?}");
        }
        assert!(!folder.path().join("n").exists());
    }

    #[test]
    fn needles_that_are_unused_ambiguous_or_outside_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let needles = folder.path().join("needles");
        fs::create_dir(&needles).unwrap();
        for (name, color) in [("a", 0x00ff_ffff), ("b", 0x00ff_fffe), ("c", 0x0080_0000)] {
            let file = shot(folder.path(), &format!("{name}.png"), color);
            let to = needles.join(name);
            run(&["new", &file, "--area", "5", "15", "50", "20", "-o", to.to_str().unwrap()])
                .unwrap();
        }
        fs::write(needles.join("d.json"), r#"{"area":[{"xpos":99,"width":9,"height":9}]}"#)
            .unwrap();
        fs::copy(needles.join("c.png"), needles.join("d.png")).unwrap();
        let script = "wait-for needle a\nexpect needle b of web\nclick needle \"d\"\n";
        fs::write(folder.path().join("s.tabard"), script).unwrap();

        let (said, well) = run(&["check", needles.to_str().unwrap()]).unwrap();

        let all = said.join("\n");
        assert!(!well);
        assert!(all.contains("c.json: unused"), "{all}");
        assert!(all.contains("a.json: ambiguous: it is also found in the picture of b"), "{all}");
        assert!(all.contains("d.json: area 1 ends at 108,9"), "{all}");
        assert!(all.ends_with("4 needles, 4 faults"), "{all}");
    }
}
