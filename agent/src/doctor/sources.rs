//! The systems that this agent reads, as it was told to last.

use std::path::Path;
use std::time::Duration;

use towpath_adapter_api::{AdapterError, Registry};
use towpath_resource::api::Finding;
use towpath_resource::desired::DesiredSource;

use crate::control::ledger::Ledger;
use crate::control::questions::finding;
use crate::control::secrets;

const WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn examine(registry: &Registry, state_dir: &Path, findings: &mut Vec<Finding>) {
    let desired = match Ledger::kept_desired(state_dir) {
        Ok(Some(desired)) => desired,
        // What an agent that never heard of a source reads is not wrong.
        Ok(None) => return,
        Err(error) => {
            let remedy = "run this as the agent's user";
            return findings.push(Finding::failed("sources", error.to_string(), remedy));
        }
    };
    for source in &desired.sources {
        let about = format!("source {}", source.name);
        match timeout(check(registry, source)).await {
            Ok(found) if found.is_empty() => {
                findings.push(Finding::good(about, "its configuration is in order"));
            }
            Ok(found) => findings.extend(
                found
                    .into_iter()
                    .map(|finding| Finding { subject: format!("{about}: {}", finding.subject), ..finding }),
            ),
            Err(error) => {
                findings.push(Finding::failed(about, error.to_string(), error.kind.reaction().1));
            }
        }
    }
}

async fn timeout(
    check: impl Future<Output = Result<Vec<Finding>, AdapterError>>,
) -> Result<Vec<Finding>, AdapterError> {
    tokio::time::timeout(WITHIN, check).await.unwrap_or_else(|_| {
        let found = format!("it did not answer within {WITHIN:?}");
        Ok(vec![Finding::failed("system", found, "see that it runs and that this machine reaches it")])
    })
}

/// What the adapter finds; nothing if it knows of nothing to check.
async fn check(registry: &Registry, source: &DesiredSource) -> Result<Vec<Finding>, AdapterError> {
    let config = secrets::resolve(&source.config)?;
    // Refuses what could not be run at all.
    registry.source(source.adapter.as_str(), &config)?;
    match registry.check(source.adapter.as_str(), &source.name, &config)? {
        Some(check) => Ok(check.await?.into_iter().map(finding).collect()),
        None => Ok(Vec::new()),
    }
}
