//! Tells each agent what it shall run, whenever that changes.

use std::sync::Arc;

use tokio::sync::watch;
use towpath_catalog::State;
use towpath_record::AgentId;

use crate::link::SessionHandle;

/// Follows the catalog for one session until it is over. `applied` is the generation that the agent says it runs.
pub(crate) async fn follow(
    mut catalog: watch::Receiver<Arc<State>>,
    agent: AgentId,
    session: SessionHandle,
    applied: u64,
) {
    let mut told = applied;
    loop {
        let state = catalog.borrow_and_update().clone();
        let generation = state.desired_generation(agent);
        if generation != told
            && let Some(desired) = state.desired(agent)
        {
            let bytes = serde_json::to_vec(&desired).expect("a desired state is always JSON");
            session.request(move |machine, now| machine.desire(now, generation, bytes.into()));
            told = generation;
        }
        tokio::select! {
            changed = catalog.changed() => if changed.is_err() { return },
            () = session.closed() => return,
        }
    }
}
