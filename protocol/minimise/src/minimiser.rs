//! The one who does it, for all streams of a source.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use towpath_policy::{Place, Rulebook};
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{RegionName, StreamName, StreamSchema};

use crate::cache::Cache;
use crate::dead_letter::without_values;
use crate::held::Held;
use crate::key::Keys;
use crate::plan::Plan;

/// Changes what a source read as the policies decide for the region whose log it goes to.
pub struct Minimiser {
    rulebook: Rulebook,
    region: RegionName,
    keys: Arc<dyn Keys>,
    plans: Cache,
}

impl Minimiser {
    /// One that applies these policies to what goes to this region's log. Keys are asked for when the first rows come that
    /// need them.
    pub fn new(rulebook: Rulebook, region: RegionName, keys: Arc<dyn Keys>) -> Self {
        Self { rulebook, region, keys, plans: Cache::default() }
    }

    /// Whether any policy covers the stream. What none covers passes as it is.
    pub fn covers(&self, stream: &StreamName) -> bool {
        self.rulebook.covers(stream)
    }

    /// The schema and rows that may be written; there may be none, and text that stands for a value may be longer than the
    /// value was. What no policy covers comes back as it is.
    ///
    /// # Errors
    /// Nothing of the stream may be written. The next call tries again, for what held it may have been mended.
    pub fn records(
        &mut self,
        stream: &StreamName,
        schema: StreamSchema,
        batch: RecordBatch,
    ) -> Result<(StreamSchema, RecordBatch), Held> {
        if !self.covers(stream) {
            return Ok((schema, batch));
        }
        let held = |reasons| Held { stream: stream.clone(), region: self.region.clone(), reasons };
        let place = Place { region: &self.region, purpose: None };
        let make = || Plan::new(&self.rulebook, stream, &schema, place, &*self.keys);
        let plan = self.plans.get_or_make(stream, schema.hash(), make).map_err(held)?;
        let batch = plan.apply(batch).map_err(|reason| held(vec![reason]))?;
        Ok((plan.schema().clone(), batch))
    }

    /// Dead letters as they may be written. Those of a stream that a policy covers say where the refused input lies, but
    /// nothing of what stands there: a reason may quote it.
    pub fn dead_letters(&self, stream: &StreamName, letters: Vec<DeadLetter>) -> Vec<DeadLetter> {
        if !self.covers(stream) {
            return letters;
        }
        letters.into_iter().map(|letter| without_values(stream, letter)).collect()
    }
}

impl fmt::Debug for Minimiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minimiser").field("region", &self.region).finish_non_exhaustive()
    }
}
