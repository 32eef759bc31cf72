//! The workflows of `docs/ci.md` are YAML, and what they tell `tabard` to do can be done.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

/// The workflows of the page, in their order.
fn workflows() -> Vec<Yaml> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|text| YamlLoader::load_from_str(text).unwrap().remove(0)).collect()
}

/// The steps of every job.
fn steps(workflow: &Yaml) -> Vec<&Yaml> {
    let jobs = workflow["jobs"].as_hash().expect("a workflow has jobs");
    jobs.values().flat_map(|job| job["steps"].as_vec().expect("a job has steps")).collect()
}

/// What a program says about these words of a command line.
fn help(words: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_tabard")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "tabard {} --help", words.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn both_workflows_are_whole() {
    let workflows = workflows();
    assert_eq!(workflows.len(), 2);
    for workflow in &workflows {
        assert!(workflow["name"].as_str().is_some() && !workflow["on"].is_badvalue());
        let steps = steps(workflow);
        for step in &steps {
            let (uses, run) = (step["uses"].as_str(), step["run"].as_str());
            assert!(uses.is_some() != run.is_some(), "{step:?}");
            assert!(uses.is_none_or(|uses| uses.contains("@v")), "{uses:?}");
        }
        let uses = |action: &str| {
            steps.iter().any(|step| step["uses"].as_str().is_some_and(|it| it.starts_with(action)))
        };
        assert!(uses("actions/cache@") && uses("actions/upload-artifact@"));
        let kept = steps.iter().filter(|step| step["if"].as_str() == Some("always()"));
        assert!(kept.count() == 1, "what happened is kept whatever happened");
    }
    let sharded = &workflows[0]["jobs"]["screens"]["strategy"]["matrix"]["shard"];
    assert_eq!(sharded.as_vec().map(Vec::len), Some(3));
}

#[test]
fn every_command_of_the_workflows_exists_with_its_options() {
    let mut seen = BTreeSet::new();
    for workflow in workflows() {
        for step in steps(&workflow) {
            let run = step["run"].as_str().unwrap_or_default().replace("|| true", "");
            for line in run.lines().flat_map(|line| line.split(';')) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let Some(at) = words.iter().position(|word| *word == "tabard") else { continue };
                let after = &words[at + 1..];
                // `clone ... tabard` and `cd tabard` name a folder.
                if at > 0 && words[at - 1] != "do" {
                    continue;
                }
                let nested = ["image", "engine"].contains(&after[0]);
                let subcommand = &after[..if nested { 2 } else { 1 }];
                let help = help(subcommand);
                for option in after.iter().filter(|word| word.starts_with("--")) {
                    assert!(help.contains(option), "tabard {subcommand:?} has no {option}");
                }
                seen.insert(subcommand.join(" "));
            }
        }
    }
    let wanted = ["check", "doctor", "engine fetch", "image build", "test"];
    assert_eq!(seen, wanted.map(str::to_owned).into());
}
