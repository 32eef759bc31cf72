//! Results as JUnit XML, one test case a step, as most CI servers read it.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::report::{Fate, Result, counts, left_out};
use super::results::Outcome;
use crate::xml::escape;

/// The XML document of a run: a suite for each script.
pub(crate) fn xml(outcomes: &[Outcome], took: Duration) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = tally(outcomes.iter().flat_map(|outcome| &outcome.steps), outcomes, took);
    // Writing to a string cannot fail.
    let _ = writeln!(xml, "<testsuites {all}>");
    for outcome in outcomes {
        let file = outcome.script.as_path();
        let suite = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
        let counts = tally(outcome.steps.iter(), std::slice::from_ref(outcome), outcome.took);
        let _ = writeln!(xml, "<testsuite name=\"{}\" {counts}>", escape(&suite));
        if outcome.flaky() {
            let _ = writeln!(
                xml,
                "<properties><property name=\"flaky\" value=\"passed at try {}\"/></properties>",
                outcome.tries
            );
        }
        for result in &outcome.steps {
            case(&mut xml, result, &suite, file);
        }
        if not_started(outcome) {
            let _ = writeln!(
                xml,
                "<testcase name=\"start\" classname=\"{0}\"><error message=\"{1}\"/></testcase>",
                escape(&suite),
                escape(&outcome.message)
            );
        }
        xml.push_str("</testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn not_started(outcome: &Outcome) -> bool {
    outcome.steps.is_empty() && outcome.status != 0
}

fn tally<'r>(
    results: impl Iterator<Item = &'r Result>,
    outcomes: &[Outcome],
    took: Duration,
) -> String {
    let results: Vec<Result> = results.cloned().collect();
    let (_, failed, skipped) = counts(&results);
    let skipped = skipped + left_out(&results);
    let errors = outcomes.iter().filter(|outcome| not_started(outcome)).count();
    format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\"",
        results.len() + errors,
        took.as_secs_f64()
    )
}

fn case(xml: &mut String, result: &Result, suite: &str, file: &Path) {
    let class = if result.section.is_empty() {
        suite.to_owned()
    } else {
        format!("{suite}.{}", result.section)
    };
    let _ = write!(
        xml,
        "<testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.3}\"",
        escape(&format!("{}: {}", result.line, result.text)),
        escape(&class),
        escape(&result.file.as_deref().unwrap_or(file).to_string_lossy()),
        result.line,
        result.took.as_secs_f64()
    );
    let _ = match &result.fate {
        Fate::Passed => writeln!(xml, "/>"),
        Fate::Skipped => writeln!(xml, "><skipped/></testcase>"),
        Fate::LeftOut(why) => {
            writeln!(xml, "><skipped message=\"{}\"/></testcase>", escape(why))
        }
        Fate::Failed { cause, details } => writeln!(
            xml,
            "><failure message=\"{}\">{}</failure></testcase>",
            escape(cause),
            escape(details)
        ),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str, fate: Fate) -> Result {
        let section = "a & b".to_owned();
        Result {
            file: None,
            line: 7,
            text: text.into(),
            section,
            took: Duration::from_millis(20),
            fate,
        }
    }

    #[test]
    fn every_step_is_a_case_with_its_fate() {
        let failed = Fate::Failed { cause: "no <x>".into(), details: "tail".into() };
        let results = [
            result("expect text \"<&>\"", Fate::Passed),
            result("sak", failed),
            result("mark", Fate::Skipped),
        ];
        let outcome = Outcome {
            script: "dir/typing.tabard".into(),
            took: Duration::from_secs(1),
            status: 1,
            tries: 1,
            steps: results.to_vec(),
            message: String::new(),
        };
        let none = Outcome { steps: Vec::new(), message: "no <desk>".into(), ..outcome.clone() };
        let flaky = Outcome { status: 0, tries: 2, ..outcome.clone() };
        assert!(xml(&[flaky], Duration::ZERO).contains("passed at try 2"));
        assert!(xml(&[none], Duration::ZERO).contains("<error message=\"no &lt;desk&gt;\"/>"));
        let xml = xml(&[outcome], Duration::from_secs(1));
        assert!(
            xml.contains("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.000\"")
        );
        assert!(xml.contains("name=\"7: expect text &quot;&lt;&amp;&gt;&quot;\""));
        assert!(xml.contains("classname=\"typing.a &amp; b\""));
        assert!(xml.contains("<failure message=\"no &lt;x&gt;\">tail</failure>"));
        assert!(xml.contains("<skipped/>"));
    }
}
