//! `towpath doctor`: what keeps this command line from working, from the context file outwards. Each thing is looked at
//! only if what it needs is well, so that one cause is told once.

mod context;
mod reach;
mod answers;

use std::io::Write;
use std::path::Path;

use towpath_resource::api::{Finding, Verdict};

use crate::args::DoctorArgs;
use crate::error::CliError;
use crate::output;

pub(super) async fn run(
    args: &DoctorArgs,
    file: Option<&Path>,
    name: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let findings = examine(file, name).await;
    output::view(args.output, &findings, out, |out| output::findings(&findings, out))?;
    match findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count() {
        0 => Ok(()),
        1 => Err(CliError::NotAsItShould("one thing keeps this command line from working".to_owned())),
        some => Err(CliError::NotAsItShould(format!("{some} things keep this command line from working"))),
    }
}

async fn examine(file: Option<&Path>, name: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let context = context::examine(file, name, &mut findings);
    findings.push(context::proxies(|name| std::env::var(name).ok()));
    let Some(context) = context else { return findings };
    if reach::examine(&context, &mut findings).await {
        answers::examine(file, name, &context, &mut findings).await;
    }
    findings
}
