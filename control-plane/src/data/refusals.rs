//! What the border refused, by source, for whoever asks how a source goes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use towpath_record::SourceId;
use towpath_resource::observed::Trouble;

use super::border::Forbidden;

/// What the border refused since the control plane was started.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<SourceId, Refused>>);

/// What it refused of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Refused {
    /// How many frames.
    pub frames: u64,
    /// Why it does not take what comes next, until it does.
    pub trouble: Option<Trouble>,
    /// How often the policies had been changed that were in force then.
    edits: u64,
}

impl Refusals {
    /// A frame of the source was refused.
    pub(crate) fn refused(&self, source: SourceId, edits: u64, forbidden: &Forbidden) {
        let mut all = self.0.lock();
        let refused = all.entry(source).or_default();
        let message = format!("the region's log does not take its frames: {forbidden}");
        let known = refused.trouble.take().filter(|trouble| trouble.message == message);
        let since = known.and_then(|trouble| trouble.since).or_else(|| Some(Timestamp::now()));
        refused.frames += 1;
        refused.edits = edits;
        refused.trouble = Some(Trouble { message, remedy: forbidden.remedy.clone(), since });
    }

    /// A frame of the source passed, or it begins anew: nothing stands in its way.
    pub(crate) fn over(&self, source: SourceId) {
        if let Some(refused) = self.0.lock().get_mut(&source) {
            refused.trouble = None;
        }
    }

    /// What was refused, by source. What other policies refused says nothing of now: the agent tries again.
    pub(crate) fn all(&self, edits: u64) -> BTreeMap<SourceId, Refused> {
        let mut all = self.0.lock().clone();
        for refused in all.values_mut().filter(|refused| refused.edits != edits) {
            refused.trouble = None;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_until_a_frame_passes_or_the_policies_change() {
        let (refusals, source) = (Refusals::default(), SourceId::from_bytes([1; 16]));
        let forbidden =
            Forbidden { on: "field a".into(), reason: "it may not".into(), remedy: "drop it".into() };
        refusals.refused(source, 3, &forbidden);
        refusals.refused(source, 3, &forbidden);
        let seen = &refusals.all(3)[&source];
        assert_eq!(seen.frames, 2);
        assert!(seen.trouble.as_ref().unwrap().message.contains("it may not"));
        assert_eq!(refusals.all(4)[&source].trouble, None);
        refusals.over(source);
        assert_eq!((refusals.all(3)[&source].frames, &refusals.all(3)[&source].trouble), (2, &None));
    }
}
