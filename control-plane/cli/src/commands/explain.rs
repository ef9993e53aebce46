//! `towpath explain`: what the JSON Schema says, for people. Asks no server.

use std::io::Write;

use serde_json::Value;
use towpath_resource::{Kind, nearest, schema};

use crate::args::ExplainArgs;
use crate::error::CliError;

pub(super) fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let mut steps = args.path.split('.');
    let kind = steps.next().unwrap_or_default().parse::<Kind>();
    let kind = kind.map_err(|error| CliError::Usage(error.to_string()))?;
    let root = schema::of(kind);
    let (mut here, mut path) = (&root, kind.as_str().to_owned());
    for step in steps {
        here = field(here, step, &path)?;
        path = format!("{path}.{step}");
    }
    writeln!(out, "{path}: {}", type_of(here))?;
    for line in about(here).lines() {
        writeln!(out, "  {line}")?;
    }
    fields(here, "", out)?;
    if path == kind.as_str() {
        writeln!(out, "\nfor example:\n")?;
        for line in kind.example().lines() {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

fn field<'a>(schema: &'a Value, name: &str, path: &str) -> Result<&'a Value, CliError> {
    let fields = schema["properties"].as_object();
    if let Some(found) = fields.and_then(|fields| fields.get(name)) {
        return Ok(found);
    }
    let names = || fields.into_iter().flatten().map(|(name, _)| name.as_str());
    let near = nearest(name, names());
    let known = || format!("it has: {}", names().collect::<Vec<_>>().join(", "));
    let hint = near.map_or_else(known, |near| format!("did you mean `{near}`?"));
    Err(CliError::Usage(format!("{path} has no field `{name}`; {hint}")))
}

fn fields(schema: &Value, indent: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let Some(fields) = schema["properties"].as_object() else { return Ok(()) };
    let required = schema["required"].as_array();
    for (name, field) in fields {
        let is_required = required.is_some_and(|required| required.iter().any(|one| one == name));
        let mark = if is_required { ", required" } else { "" };
        writeln!(out, "\n{indent}{name}: {}{mark}", type_of(field))?;
        for line in about(field).lines() {
            writeln!(out, "{indent}  {line}")?;
        }
        fields_below(field, indent, out)?;
    }
    Ok(())
}

fn fields_below(field: &Value, indent: &str, out: &mut dyn Write) -> std::io::Result<()> {
    fields(field, &format!("{indent}  "), out)
}

fn about(schema: &Value) -> String {
    let mut about = schema["description"].as_str().unwrap_or_default().to_owned();
    for choice in schema["oneOf"].as_array().into_iter().flatten() {
        let word = choice["const"].as_str().map(ToOwned::to_owned).or_else(|| {
            let (name, inner) = choice["properties"].as_object()?.iter().next()?;
            Some(format!("{{{name}: {}}}", type_of(inner)))
        });
        if let Some(word) = word {
            about.push_str(&format!("\n`{word}`: {}", choice["description"].as_str().unwrap_or_default()));
        }
    }
    about
}

fn type_of(schema: &Value) -> String {
    if let Some(constant) = schema["const"].as_str() {
        return format!("`{constant}`");
    }
    if schema["oneOf"].is_array() || schema["enum"].is_array() {
        return "choice".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["properties"].is_object() => "fields".to_owned(),
        Some("object") => "mapping".to_owned(),
        Some("string") => match schema["examples"][0].as_str() {
            Some(example) => format!("text such as `{example}`"),
            None => "text".to_owned(),
        },
        Some("integer") => "whole number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(path: &str) -> Result<String, CliError> {
        let mut out = Vec::new();
        run(&ExplainArgs { path: path.to_owned() }, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_kind_is_explained_with_types_defaults_and_what_is_required() {
        let text = explained("source").unwrap();
        assert!(text.contains("\n  agent: text, required\n    The agent that reads it."), "{text}");
        assert!(text.contains("max_rows: whole number\n"), "{text}");
        assert!(text.contains("Default: 16384."), "{text}");
        assert!(text.contains("`spool`: When the agent's spool has it durably"), "{text}");
    }

    #[test]
    fn a_field_is_explained_alone_and_a_misspelled_one_is_understood() {
        let text = explained("route.spec.retry.first").unwrap();
        assert!(text.starts_with("Route.spec.retry.first: text such as `10s`"), "{text}");
        let refused = explained("route.spec.retri").unwrap_err();
        assert!(refused.to_string().contains("did you mean `retry`?"), "{refused}");
        assert_eq!(refused.exit_code(), 2);
        assert!(explained("rout").unwrap_err().to_string().contains("did you mean `route`?"));
    }

    #[test]
    fn every_kind_can_be_explained() {
        for kind in Kind::ALL {
            let text = explained(kind.noun()).unwrap();
            let (fields, example) = text.split_once("\nfor example:\n").unwrap();
            assert!(fields.lines().count() > 10, "{kind}");
            let example =
                example.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect::<Vec<_>>();
            let documents = towpath_resource::parse_documents(&example.join("\n")).unwrap();
            assert_eq!(documents[0].manifest.as_ref().unwrap().kind(), kind);
        }
    }
}
