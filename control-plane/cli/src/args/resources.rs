//! Resources: what to change, show and wait for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use towpath_record::TimeSpan;
use towpath_resource::Kind;

use super::complete;

/// Where resources come from.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// A file, a directory whose .yaml, .yml and .json files are taken, or `-` for the standard input. Can be repeated.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,
    /// Checks only; changes nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What to show.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// The kind, such as `sources`, or `streams`.
    #[arg(value_name = "KIND", add = complete::listings())]
    pub listing: Listing,
    /// The name of one. Default: all.
    #[arg(add = complete::names())]
    pub name: Option<String>,
    /// Those with these labels only: `site=plant`, `tier!=test`, `owner`, `!owner`, all of which must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABELS", conflicts_with = "name")]
    pub selector: Option<Selector>,
    /// Sorts by a column or field, such as `lag` or `spec.adapter`; with `-` before it, the largest first.
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Goes on and shows what changes, until it is stopped.
    #[arg(short, long)]
    pub watch: bool,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What can be listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// Resources of a kind.
    Resources(Kind),
    /// The streams of the logs.
    Streams,
}

impl FromStr for Listing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if ["stream", "streams"].contains(&text) {
            return Ok(Self::Streams);
        }
        text.parse()
            .map(Self::Resources)
            .map_err(|error: towpath_resource::kind::UnknownKind| error.to_string())
    }
}

/// Which labels resources must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector(Vec<Wanted>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Wanted {
    Is(String, String),
    IsNot(String, String),
    Has(String),
    HasNot(String),
}

impl Selector {
    /// The same as the filter of a list.
    pub fn filter(&self) -> String {
        let quoted = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        let terms = self.0.iter().map(|wanted| match wanted {
            Wanted::Is(key, value) => format!("labels.{key}={}", quoted(value)),
            Wanted::IsNot(key, value) => format!("labels.{key}!={}", quoted(value)),
            Wanted::Has(key) => format!("labels.{key}"),
            Wanted::HasNot(key) => format!("!labels.{key}"),
        });
        terms.collect::<Vec<_>>().join(",")
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let each = text.split(',').map(|part| {
            let part = part.trim();
            let wanted = match part.split_once('=') {
                Some((key, value)) => match key.strip_suffix('!') {
                    Some(key) => Wanted::IsNot(key.to_owned(), value.to_owned()),
                    None => Wanted::Is(key.to_owned(), value.strip_prefix('=').unwrap_or(value).to_owned()),
                },
                None => match part.strip_prefix('!') {
                    Some(key) => Wanted::HasNot(key.to_owned()),
                    None => Wanted::Has(part.to_owned()),
                },
            };
            let (Wanted::Is(key, _) | Wanted::IsNot(key, _) | Wanted::Has(key) | Wanted::HasNot(key)) =
                &wanted;
            if key.is_empty() {
                return Err(format!(
                    "`{part}` names no label; write LABEL=VALUE, LABEL!=VALUE, LABEL or !LABEL"
                ));
            }
            Ok(wanted)
        });
        each.collect::<Result<_, _>>().map(Self)
    }
}

/// The form of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For both; resources as they could be applied again.
    Yaml,
    /// Only the names, one on each line.
    Name,
}

/// One resource.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// The kind, such as `source`.
    #[arg(add = complete::kinds())]
    pub kind: Kind,
    /// The name.
    #[arg(add = complete::names())]
    pub name: String,
}

/// What to delete.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// The kind, such as `source`.
    #[arg(required_unless_present = "files", requires = "name", add = complete::kinds())]
    pub kind: Option<Kind>,
    /// The name.
    #[arg(required_unless_present = "files", add = complete::names())]
    pub name: Option<String>,
    /// Deletes the resources of a file, a directory or the standard input (`-`), those first that need others.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", conflicts_with_all = ["kind", "name"])]
    pub files: Vec<PathBuf>,
    /// With --file, passes over what is not there.
    #[arg(long, requires = "files")]
    pub ignore_missing: bool,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What to change in an editor.
#[derive(Args, Debug)]
pub struct EditArgs {
    /// What to edit.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The editor's command.
    #[arg(long, env = "EDITOR", value_name = "COMMAND", default_value = "vi")]
    pub editor: String,
}

/// What to compare with what is there.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// A file, a directory whose .yaml, .yml and .json files are taken, or `-` for the standard input. Can be repeated.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What to wait for.
#[derive(Args, Debug)]
pub struct WaitArgs {
    /// What to wait for.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How it should be: `condition=Running` (or Waiting, Failed, Unknown), `connected` (an agent), `delivered` (a route
    /// that is not behind), or `deleted`.
    #[arg(long = "for", value_name = "STATE")]
    pub state: AwaitedState,
    /// How long to wait at most. Exit code 3 when it is over.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub timeout: TimeSpan,
}

/// How a resource should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AwaitedState {
    /// Its condition is this one, in small letters.
    Condition(String),
    /// The agent is connected.
    Connected,
    /// Everything is delivered.
    Delivered,
    /// It is no more.
    Deleted,
}

const CONDITIONS: [&str; 4] = ["running", "waiting", "failed", "unknown"];

impl FromStr for AwaitedState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        match (word.as_str(), word.strip_prefix("condition=")) {
            ("connected", _) => Ok(Self::Connected),
            ("delivered", _) => Ok(Self::Delivered),
            ("deleted", _) => Ok(Self::Deleted),
            (_, Some(condition)) if CONDITIONS.contains(&condition) => {
                Ok(Self::Condition(condition.to_owned()))
            }
            (_, Some(_)) => Err(format!("the conditions are {}", CONDITIONS.join(", "))),
            _ => Err("write condition=Running, connected, delivered or deleted".to_owned()),
        }
    }
}

impl fmt::Display for AwaitedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(condition) => f.write_str(condition),
            Self::Connected => f.write_str("connected"),
            Self::Delivered => f.write_str("delivered"),
            Self::Deleted => f.write_str("deleted"),
        }
    }
}

/// What to explain.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A kind, or a field of it, such as `source.spec.capture`.
    #[arg(value_name = "KIND[.FIELD]", add = complete::kinds())]
    pub path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_asks_the_control_plane_for_all_of_its_labels() {
        for (selector, filter) in [
            ("tier=prod", r#"labels.tier="prod""#),
            ("tier==prod,owner", r#"labels.tier="prod",labels.owner"#),
            ("tier!=test, !site", r#"labels.tier!="test",!labels.site"#),
            (r#"note=say "a\b""#, r#"labels.note="say \"a\\b\"""#),
        ] {
            assert_eq!(selector.parse::<Selector>().unwrap().filter(), filter);
        }
        assert!("=x".parse::<Selector>().unwrap_err().contains("LABEL=VALUE"));
        assert!("tier=prod,".parse::<Selector>().is_err());
    }

    #[test]
    fn a_state_is_taken_in_any_case_and_an_unknown_one_is_explained() {
        assert_eq!("condition=Running".parse(), Ok(AwaitedState::Condition("running".into())));
        assert_eq!("Deleted".parse(), Ok(AwaitedState::Deleted));
        assert!("condition=fine".parse::<AwaitedState>().unwrap_err().contains("running, waiting"));
        assert!("runing".parse::<AwaitedState>().unwrap_err().contains("condition=Running"));
    }
}
