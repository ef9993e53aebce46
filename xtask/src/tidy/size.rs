//! Sizes: a file has one subject, a function one thought.

use std::collections::BTreeSet;

use super::source::Source;

const MAX_FILE_LINES: usize = 600;
const MAX_MEDIAN_LINES: usize = 200;
const MAX_FUNCTION_LINES: usize = 70;

/// Names files and functions that are too long; tests are not counted.
pub(super) fn check(sources: &[Source], tests: &BTreeSet<String>) -> Vec<String> {
    let code: Vec<&Source> = sources.iter().filter(|source| !tests.contains(&source.path)).collect();
    let mut breaches = Vec::new();
    for source in &code {
        if source.lines > MAX_FILE_LINES {
            breaches.push(format!(
                "{}: {} lines where {MAX_FILE_LINES} are the most; it has two subjects, split it",
                source.path, source.lines
            ));
        }
        let long = source.functions.iter().filter(|function| function.lines > MAX_FUNCTION_LINES);
        breaches.extend(long.map(|function| {
            format!(
                "{}:{}: function `{}` has {} lines where {MAX_FUNCTION_LINES} are the most; it does two things",
                source.path, function.line, function.name, function.lines
            )
        }));
    }
    let mut lines: Vec<usize> = code.iter().map(|source| source.lines).collect();
    lines.sort_unstable();
    let median = lines.get(lines.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    if median > MAX_MEDIAN_LINES {
        breaches.push(format!("the median file has {median} lines where {MAX_MEDIAN_LINES} are the most"));
    }
    breaches
}
