//! The policies in force, ready to be asked.

use std::sync::Arc;

use parking_lot::Mutex;
use towpath_catalog::{Catalog, State};
use towpath_policy::{NamedPolicy, Rulebook, RulebookError};

/// The policies in force. Cheap to clone; all clones make them ready once for each change.
#[derive(Clone)]
pub(crate) struct InForce {
    catalog: Arc<Catalog>,
    ready: Arc<Mutex<Option<Policies>>>,
}

/// The policies of one moment.
#[derive(Clone)]
pub(crate) struct Policies {
    /// How often they had been changed. Where it is the same, so are they.
    pub edits: u64,
    /// What they say. Policies that cannot be understood let nothing pass.
    pub rulebook: Arc<Result<Rulebook, RulebookError>>,
}

impl InForce {
    /// The policies of a catalog.
    pub(crate) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, ready: Arc::default() }
    }

    /// Those of now.
    pub(crate) fn now(&self) -> Policies {
        let state = self.catalog.state();
        let mut ready = self.ready.lock();
        match &*ready {
            Some(policies) if policies.edits == state.policies.edits() => policies.clone(),
            _ => {
                let policies =
                    Policies { edits: state.policies.edits(), rulebook: Arc::new(rulebook(&state)) };
                ready.insert(policies).clone()
            }
        }
    }

    /// Waits until there are others than those of an earlier moment. Ends at once when the catalog is closed.
    pub(crate) async fn changed(&self, edits: u64) {
        let mut states = self.catalog.subscribe();
        // An error means that the control plane is stopping.
        drop(states.wait_for(|state| state.policies.edits() != edits).await);
    }
}

/// The policies of a state of the catalog.
///
/// # Errors
/// One of them cannot be understood.
pub(crate) fn rulebook(state: &State) -> Result<Rulebook, RulebookError> {
    Rulebook::new(
        state
            .policies
            .values()
            .map(|policy| NamedPolicy { name: policy.name().clone(), spec: policy.spec.clone() }),
    )
}
