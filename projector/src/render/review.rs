//! Owns the text of a finished review; it must not know which item shows it.

use crate::payload::items::shapes::{Finding, ReviewOutput};

/// Shown when a review says nothing at all.
const NO_OUTPUT: &str = "Reviewer failed to output a response.";

/// The served text: the explanation, then the findings.
pub(crate) fn text(output: Option<&ReviewOutput<'_>>) -> String {
    let Some(output) = output else {
        return NO_OUTPUT.to_owned();
    };
    let explanation = output.overall_explanation.text();
    let mut sections = Vec::new();
    if !explanation.trim().is_empty() {
        sections.push(explanation.trim().to_owned());
    }
    if !output.findings.is_empty() {
        sections.push(findings(&output.findings));
    }
    if sections.is_empty() {
        return NO_OUTPUT.to_owned();
    }
    sections.join("\n\n")
}

fn findings(findings: &[Finding<'_>]) -> String {
    let header = match findings {
        [_] => "Review comment:",
        _ => "Full review comments:",
    };
    let mut lines = vec![header.to_owned()];
    for finding in findings {
        let place = &finding.code_location;
        let range = place.line_range;
        let (title, path) = (finding.title.text(), place.absolute_file_path.text());
        lines.push(String::new());
        lines.push(format!(
            "- {title} \u{2014} {path}:{}-{}",
            range.start, range.end
        ));
        lines.extend(finding.body.text().lines().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}
