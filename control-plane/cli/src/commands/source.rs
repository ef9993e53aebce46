//! `towpath source`

use std::io::Write;

use towpath_resource::api::SourceCheck;

use crate::args::SourceCommand;
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

pub(super) async fn run(
    client: &Client,
    command: SourceCommand,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let SourceCommand::Check { name, output } = command;
    let check = client.check_source(&name).await?;
    output::view(output, &check, out, |out| show(&check, out))?;
    if check.is_ready() {
        return Ok(());
    }
    Err(CliError::NotAsItShould(format!("source {name} cannot work as its system is now")))
}

fn show(check: &SourceCheck, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["what", "verdict", "found"]);
    for finding in &check.findings {
        table.row([finding.subject.clone(), finding.verdict.as_str().to_owned(), finding.found.clone()]);
    }
    table.write("nothing was looked at", out)?;
    let mut remedies = check.findings.iter().filter_map(|finding| Some((finding, finding.remedy.as_ref()?)));
    if let Some(first) = remedies.next() {
        writeln!(out, "\nwhat would mend it:")?;
        for (finding, remedy) in std::iter::once(first).chain(remedies) {
            writeln!(out, "-- {}", human::harmless(&finding.subject))?;
            for line in remedy.lines() {
                writeln!(out, "{}", human::harmless(line))?;
            }
        }
    }
    Ok(())
}
