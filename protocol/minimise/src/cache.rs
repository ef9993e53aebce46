//! A small store of plans, by stream and schema. When it is full, the plan that was used longest ago goes.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_record::{SchemaHash, StreamName};

use crate::plan::Plan;

/// How many plans are kept: a source rarely has more streams, and a plan can be made again.
const MOST_PLANS: usize = 512;

#[derive(Default)]
pub(crate) struct Cache {
    plans: HashMap<(StreamName, SchemaHash), Entry>,
    uses: u64,
}

struct Entry {
    plan: Arc<Plan>,
    last_use: u64,
}

impl Cache {
    /// The plan for a stream with this schema, made now if there is none. What cannot be made is tried again next time.
    pub(crate) fn get_or_make<E>(
        &mut self,
        stream: &StreamName,
        schema: SchemaHash,
        make: impl FnOnce() -> Result<Plan, E>,
    ) -> Result<Arc<Plan>, E> {
        self.uses += 1;
        let key = (stream.clone(), schema);
        if let Some(entry) = self.plans.get_mut(&key) {
            entry.last_use = self.uses;
            return Ok(entry.plan.clone());
        }
        let plan = Arc::new(make()?);
        if self.plans.len() >= MOST_PLANS {
            let oldest =
                self.plans.iter().min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.plans.remove(&key));
        }
        self.plans.insert(key, Entry { plan: plan.clone(), last_use: self.uses });
        Ok(plan)
    }
}
