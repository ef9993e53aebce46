//! `towpath deadletters`

use std::io::Write;

use jiff::Timestamp;
use towpath_resource::api::DeadLetter;

use crate::args::DeadLettersCommand;
use crate::client::{Client, LetterArgs};
use crate::error::CliError;
use crate::human::{self, harmless};
use crate::output::{self, Table};

pub(super) async fn run(
    client: &Client,
    command: DeadLettersCommand,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        DeadLettersCommand::List { stream, route, limit, output } => {
            let args = LetterArgs { stream, route, limit: Some(limit) };
            let letters = client.dead_letters(&args).await?;
            output::list(output, &letters, |letter| letter.id.clone(), out, |out| table(&letters, out))?;
        }
        DeadLettersCommand::Show { id, output } => {
            let letter = client.dead_letter(&id).await?;
            output::view(output, &letter, out, |out| show(&letter, out))?;
        }
        DeadLettersCommand::Replay { ids } => {
            for id in ids {
                let letter = client.replay_dead_letter(&id).await?;
                let route = letter.route.map(|route| format!(" by route {route}")).unwrap_or_default();
                writeln!(out, "dead letter {id} of stream {} is delivered again{route}", letter.stream)?;
            }
        }
    }
    Ok(())
}

fn table(letters: &[DeadLetter], out: &mut dyn Write) -> std::io::Result<()> {
    let now = Timestamp::now();
    let mut table = Table::new(["id", "refused", "by", "stream", "state", "where", "reason"]);
    for letter in letters {
        table.row([
            letter.id.clone(),
            human::ago(letter.refused_at, now),
            refused_by(letter),
            letter.stream.to_string(),
            letter.state.as_str().to_owned(),
            place(letter),
            letter.reason.clone(),
        ]);
    }
    table.write("there are no dead letters", out)
}

fn show(letter: &DeadLetter, out: &mut dyn Write) -> std::io::Result<()> {
    output::fields(
        "",
        &[
            ("id", letter.id.clone()),
            ("stream", letter.stream.to_string()),
            ("refused by", refused_by(letter)),
            ("refused at", letter.refused_at.to_string()),
            ("state", letter.state.as_str().to_owned()),
            ("where", place(letter)),
            ("column", letter.column.clone().unwrap_or_default()),
            ("reason", letter.reason.clone()),
        ],
        out,
    )?;
    if let Some(record) = &letter.record {
        writeln!(out, "\nrecord")?;
        output::json(record, out)?;
    }
    if let Some(raw) = &letter.raw {
        writeln!(out, "\nraw input{}", if letter.raw_truncated { " (cut)" } else { "" })?;
        for line in raw.lines() {
            writeln!(out, "{}", harmless(line))?;
        }
    }
    Ok(())
}

fn refused_by(letter: &DeadLetter) -> String {
    let name = letter.route.as_ref().or(letter.source.as_ref()).map(|name| format!(" ({name})"));
    format!("{}{}", letter.origin.as_str(), name.unwrap_or_default())
}

fn place(letter: &DeadLetter) -> String {
    letter.line.map_or_else(|| letter.resource.clone(), |line| format!("{}:{line}", letter.resource))
}
