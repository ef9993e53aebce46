//! `towpath-agent doctor`: what keeps this agent from working, from its own files outwards to the control plane and to the
//! systems it reads. It needs no link and may run beside the agent. Each thing is looked at only if what it needs is
//! well, so that one cause is told once.

mod identity;
mod disk;
mod network;
mod sources;

use std::path::Path;

use towpath_adapter_api::Registry;
use towpath_resource::api::Finding;

/// Looks at everything.
pub async fn examine(registry: &Registry, state_dir: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let identity = identity::examine(state_dir, &mut findings);
    disk::examine(state_dir, &mut findings);
    findings.push(network::proxies(|name| std::env::var(name).ok()));
    if let Some(identity) = identity {
        network::examine(identity, &mut findings).await;
    }
    sources::examine(registry, state_dir, &mut findings).await;
    findings
}
