//! `towpath policy`

use std::io::Write;

use towpath_resource::api::{ClassOrigin, ExplainOrder, FieldAtPlace, PolicyExplanation};

use crate::args::PolicyCommand;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{self, Table};

pub(super) async fn run(
    client: &Client,
    command: PolicyCommand,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        PolicyCommand::Explain { field, region, purpose, output } => {
            let (stream, field) = (field.stream, field.field);
            let order = ExplainOrder { stream, field, region, purpose };
            let explanation = client.explain_policy(&order).await?;
            output::view(output, &explanation, out, |out| show(&explanation, out))?;
        }
    }
    Ok(())
}

fn show(explanation: &PolicyExplanation, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "field {} of stream {}\n", explanation.field, explanation.stream)?;
    if explanation.policies.is_empty() {
        return writeln!(out, "no policy covers the stream, so that all of it may stand everywhere");
    }
    let found = explanation.found.as_ref().map(|found| {
        let treatment = found.treatment.as_ref().map(|treatment| format!(", {treatment}"));
        format!("{}{}, in version {}", found.column_type, treatment.unwrap_or_default(), found.version)
    });
    let known = found.unwrap_or_else(|| "not in the newest schema".to_owned());
    output::fields(
        "",
        &[
            ("policies", words(&explanation.policies)),
            ("in the log", known),
            ("classes", classes(explanation)),
        ],
        out,
    )?;
    explanation.places.iter().try_for_each(|place| show_place(place, out))
}

fn classes(explanation: &PolicyExplanation) -> String {
    if explanation.origins.is_empty() {
        return "not known: nobody said which it has".to_owned();
    }
    let all: Vec<_> = explanation.origins.iter().map(origin).collect();
    all.join("; ")
}

fn origin(origin: &ClassOrigin) -> String {
    let classes = if origin.classes.is_empty() { "none".to_owned() } else { words(&origin.classes) };
    match (&origin.policy, origin.classification) {
        (Some(policy), Some(number)) => format!("{classes} by classification {number} of policy {policy}"),
        _ => format!("{classes} by the source"),
    }
}

fn show_place(place: &FieldAtPlace, out: &mut dyn Write) -> std::io::Result<()> {
    let purpose = place.purpose.as_ref().map(|purpose| format!(" for {purpose}"));
    let there = place.column_type.as_ref().map(|column_type| format!(" as {column_type}"));
    writeln!(
        out,
        "\nin region {}{}: {}{}, since {}",
        place.region,
        purpose.unwrap_or_default(),
        place.treatment,
        there.unwrap_or_default(),
        place.reason
    )?;
    let mut rules = Table::new(["policy", "rule", "then", "counts", "because"]);
    for rule in &place.rules {
        let counts = if rule.counts { "yes" } else { "no" }.to_owned();
        rules.row([
            rule.policy.to_string(),
            rule.rule.to_string(),
            rule.then.clone(),
            counts,
            rule.because.clone(),
        ]);
    }
    rules.write("there are no rules", out)
}

fn words<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
