//! `towpath wait`

use std::io::Write;

use serde_json::Value;
use towpath_resource::Kind;

use crate::args::{AwaitedState, WaitArgs};
use crate::client::Client;
use crate::error::CliError;

pub(super) async fn run(client: &Client, args: &WaitArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let (kind, name) = (args.target.kind, &args.target.name);
    if let Some(fit) = fit_for(&args.state).filter(|fit| *fit != kind) {
        return Err(CliError::Usage(format!(
            "`{}` is for {} only; {name} is a {kind}",
            args.state,
            fit.plural()
        )));
    }
    let mut changes = client.changes(kind).await;
    let mut last = String::new();
    let awaited = async {
        loop {
            let seen = match client.show(kind, name).await {
                Ok(seen) => Some(seen),
                Err(error) if error.is_not_found() && args.state == AwaitedState::Deleted => None,
                Err(error) => return Err(CliError::from(error)),
            };
            if is_so(&args.state, seen.as_ref()) {
                return Ok(());
            }
            last = how(seen.as_ref());
            changes.next().await;
        }
    };
    match tokio::time::timeout(args.timeout.0, awaited).await {
        Ok(done) => done?,
        Err(_) => {
            return Err(CliError::NotAsItShould(format!(
                "{kind} {name} is not {} after {}{last}; `towpath describe {} {name}` says more",
                args.state,
                args.timeout,
                kind.noun()
            )));
        }
    }
    writeln!(out, "{kind} {name} is {}", args.state)?;
    Ok(())
}

/// The only kind that can be in this state.
fn fit_for(state: &AwaitedState) -> Option<Kind> {
    match state {
        AwaitedState::Connected => Some(Kind::Agent),
        AwaitedState::Delivered => Some(Kind::Route),
        AwaitedState::Condition(_) | AwaitedState::Deleted => None,
    }
}

fn is_so(state: &AwaitedState, seen: Option<&Value>) -> bool {
    let at = |pointer| seen.and_then(|seen| seen.pointer(pointer));
    match state {
        AwaitedState::Deleted => seen.is_none(),
        AwaitedState::Condition(wanted) => {
            at("/status/condition").and_then(Value::as_str) == Some(wanted.as_str())
        }
        AwaitedState::Connected => at("/status/connected").and_then(Value::as_bool) == Some(true),
        AwaitedState::Delivered => {
            let nothing = |pointer| at(pointer).and_then(Value::as_u64) == Some(0);
            nothing("/status/lag/records") && nothing("/status/lag/bytes")
        }
    }
}

/// How it is instead, for whoever waited in vain.
fn how(seen: Option<&Value>) -> String {
    let text = |pointer| seen.and_then(|seen| seen.pointer(pointer)).and_then(Value::as_str);
    match (text("/status/condition"), text("/status/trouble/message")) {
        (Some(condition), Some(trouble)) => format!(", but {condition}: {trouble}"),
        (Some(condition), None) => format!(", but {condition}"),
        (None, _) => String::new(),
    }
}
