//! What a shell can complete beyond commands and options: kinds, and names that the control plane or the context file
//! knows. Whatever goes wrong, there is just nothing to complete: a shell is no place for an error.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::{ArgValueCompleter, CompletionCandidate};
use towpath_resource::Kind;

use crate::client::Client;
use crate::context::ContextFile;

use super::resources::Listing;

/// Who presses a key waits no longer than this for names.
const WAIT: Duration = Duration::from_millis(1_500);

pub(super) fn kinds() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| beginning(typed, Kind::ALL.map(|kind| kind.noun().to_owned())))
}

pub(super) fn listings() -> ArgValueCompleter {
    let all = || Kind::ALL.map(Kind::plural).into_iter().chain(["streams"]).map(ToOwned::to_owned);
    ArgValueCompleter::new(move |typed: &OsStr| beginning(typed, all()))
}

/// Names of the kind that stands before them.
pub(super) fn names() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let listing = words().iter().find_map(|word| word.parse::<Listing>().ok());
        listing.map(|listing| beginning(typed, named(listing))).unwrap_or_default()
    })
}

pub(super) fn agents() -> ArgValueCompleter {
    of(Listing::Resources(Kind::Agent))
}

pub(super) fn routes() -> ArgValueCompleter {
    of(Listing::Resources(Kind::Route))
}

pub(super) fn sources() -> ArgValueCompleter {
    of(Listing::Resources(Kind::Source))
}

pub(super) fn streams() -> ArgValueCompleter {
    of(Listing::Streams)
}

pub(super) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let file = ContextFile::open(option("--context").map(PathBuf::from).as_deref());
        let names = file.map(|file| file.names().map(ToOwned::to_owned).collect::<Vec<_>>());
        beginning(typed, names.unwrap_or_default())
    })
}

fn of(listing: Listing) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| beginning(typed, named(listing)))
}

fn beginning(typed: &OsStr, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names.into_iter().filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

/// The words of the line that is being completed, which stand behind `--`, without the program's name.
fn words() -> Vec<String> {
    let all = env::args_os().map(|word| word.to_string_lossy().into_owned());
    all.skip_while(|word| word != "--").skip(2).collect()
}

/// The value of an option of that line.
fn option(name: &str) -> Option<String> {
    let words = words();
    let mut pairs = words.iter().zip(words.iter().skip(1));
    pairs.find(|(option, _)| *option == name).map(|(_, value)| value.clone())
}

/// The names that the control plane knows now.
fn named(listing: Listing) -> Vec<String> {
    let asked = async {
        let (file, name) = (option("--context").map(PathBuf::from), option("--context-name"));
        let client = Client::of(file.as_deref(), name.as_deref()).ok()?;
        match listing {
            Listing::Resources(kind) => {
                let items = client.list(kind).await.ok()?;
                let name =
                    |item: &serde_json::Value| Some(item.pointer("/metadata/name")?.as_str()?.to_owned());
                Some(items.iter().filter_map(name).collect())
            }
            Listing::Streams => {
                Some(client.streams().await.ok()?.into_iter().map(|stream| stream.name.to_string()).collect())
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let answered = runtime.block_on(async { tokio::time::timeout(WAIT, asked).await });
    answered.ok().flatten().unwrap_or_default()
}
