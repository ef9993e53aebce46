//! `towpath status`

use std::io::Write;

use towpath_resource::api::FleetStatus;

use super::stages;
use crate::args::StatusArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

pub(super) async fn run(client: &Client, args: &StatusArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let status = client.status().await?;
    Ok(output::view(args.output, &status, out, |out| show(&status, out))?)
}

fn show(status: &FleetStatus, out: &mut dyn Write) -> std::io::Result<()> {
    for (n, stages) in stages::of(status).into_iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        let mut table = Table::new(stages.columns.iter().copied());
        for row in stages.rows {
            table.row(row.into_iter().map(|cell| cell.text));
        }
        table.write(stages.nothing, out)?;
    }
    let troubles = stages::troubles(status);
    if !troubles.is_empty() {
        writeln!(out)?;
    }
    for trouble in troubles {
        writeln!(out, "! {}", human::harmless(&output::trouble(Some(trouble))))?;
    }
    Ok(())
}
