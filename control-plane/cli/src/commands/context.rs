//! `towpath context`

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::args::ContextCommand;
use crate::context::{Context, ContextFile};
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

/// A context without its secrets.
#[derive(Serialize)]
struct Shown {
    name: String,
    current: bool,
    server: String,
    login: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renews: Option<bool>,
    ca_pem: String,
}

pub(super) fn run(
    command: ContextCommand,
    (file, chosen): (Option<&Path>, Option<&str>),
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        ContextCommand::List { output } => {
            let contexts = ContextFile::open(file)?;
            let current = contexts.current();
            let all: Vec<_> =
                contexts.contexts().map(|(name, context)| shown(name, context, current)).collect();
            output::list(output, &all, |one| one.name.clone(), out, |out| table(&all, out))?;
        }
        ContextCommand::Use { name } => {
            ContextFile::change(file, |contexts| contexts.use_from_now_on(&name))?;
            writeln!(out, "context `{name}` is used from now on")?;
        }
        ContextCommand::Show { name, output } => {
            let contexts = ContextFile::open(file)?;
            let (name, context) = contexts.chosen(name.as_deref().or(chosen))?;
            let one = shown(name, context, contexts.current());
            output::view(output, &one, out, |out| show(&one, contexts.path(), out))?;
        }
        ContextCommand::Delete { name } => {
            ContextFile::change(file, |contexts| contexts.forget(&name))?;
            writeln!(out, "context `{name}` deleted")?;
        }
    }
    Ok(())
}

fn shown(name: &str, context: &Context, current: Option<&str>) -> Shown {
    let session = context.session.as_ref();
    Shown {
        name: name.to_owned(),
        current: current == Some(name),
        server: context.server.clone(),
        login: context.login(),
        expires_at: session.map(|session| session.expires_at),
        renews: session.map(|session| session.refresh_token.is_some()),
        ca_pem: context.ca_pem.clone(),
    }
}

fn table(all: &[Shown], out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(["", "name", "server", "login", "ends"]);
    for one in all {
        let mark = if one.current { "*" } else { "" };
        table.row([mark.to_owned(), one.name.clone(), one.server.clone(), one.login.clone(), ends(one)]);
    }
    table.write("there are no contexts; run `towpath login`", out)
}

fn show(one: &Shown, path: &Path, out: &mut dyn Write) -> std::io::Result<()> {
    output::fields(
        "",
        &[
            ("name", one.name.clone()),
            ("in use", if one.current { "yes" } else { "no" }.to_owned()),
            ("server", one.server.clone()),
            ("login", one.login.clone()),
            ("ends", ends(one)),
            ("file", path.display().to_string()),
        ],
        out,
    )
}

fn ends(one: &Shown) -> String {
    match (one.expires_at, one.renews) {
        (Some(_), Some(true)) => "renewed by itself".to_owned(),
        (Some(at), _) => human::ahead(at, Timestamp::now()),
        (None, _) => String::new(),
    }
}
