//! Which of an agent's sources goes first, when one of them is in need.
//!
//! A source that must catch up claims precedence, and the agent then takes nothing of the others, so that this one has
//! the spool, the link and the processor. The others wait as they do for a full spool: nothing is lost. Those that hold a
//! claim themselves do not wait, so that no two wait for each other.

use tokio::sync::watch;
use towpath_record::ResourceName;

/// The claims of an agent's sources. Clones share them.
#[derive(Clone, Default, Debug)]
pub struct Precedence(watch::Sender<Vec<Preferred>>);

/// A source that goes first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Preferred {
    /// The source.
    pub source: ResourceName,
    /// Why, as the end of a sentence such as "paused for source erp: …".
    pub reason: String,
}

/// One source's place among those of its agent.
#[derive(Clone, Debug)]
pub struct Turn {
    source: ResourceName,
    precedence: Precedence,
    claims: watch::Receiver<Vec<Preferred>>,
}

/// Precedence that a source has, until this is dropped.
#[derive(Debug)]
#[must_use = "the claim ends when it is dropped"]
pub struct Claim {
    preferred: Preferred,
    precedence: Precedence,
}

impl Precedence {
    /// The place of a source.
    pub fn turn(&self, source: ResourceName) -> Turn {
        Turn { source, precedence: self.clone(), claims: self.0.subscribe() }
    }
}

impl Turn {
    /// Asks the other sources of the agent to wait. `reason` says why, to admins.
    pub fn claim(&self, reason: impl Into<String>) -> Claim {
        let preferred = Preferred { source: self.source.clone(), reason: reason.into() };
        self.precedence.0.send_modify(|claims| claims.push(preferred.clone()));
        Claim { preferred, precedence: self.precedence.clone() }
    }

    /// The source that this one has to wait for, if there is one.
    pub fn waits_for(&mut self) -> Option<Preferred> {
        let claims = self.claims.borrow_and_update();
        let has_claim = claims.iter().any(|claim| claim.source == self.source);
        claims.first().filter(|_| !has_claim).cloned()
    }

    /// Returns when claims have changed since [`Self::waits_for`] was asked.
    pub async fn changed(&mut self) {
        self.claims.changed().await.expect("this value has a sender of its own");
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.precedence.0.send_modify(|claims| {
            if let Some(place) = claims.iter().position(|claim| *claim == self.preferred) {
                claims.remove(place);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns<const N: usize>(names: [&str; N]) -> [Turn; N] {
        let precedence = Precedence::default();
        names.map(|name| precedence.turn(ResourceName::new(name).unwrap()))
    }

    fn waits_for(turn: &mut Turn) -> Option<String> {
        turn.waits_for().map(|preferred| format!("{}: {}", preferred.source, preferred.reason))
    }

    #[test]
    fn the_others_wait_for_as_long_as_a_source_has_its_claim() {
        let [erp, mut crm] = turns(["erp", "crm"]);
        assert_eq!(waits_for(&mut crm), None);
        let claim = erp.claim("it is late");
        assert_eq!(waits_for(&mut crm).as_deref(), Some("erp: it is late"));
        drop(claim);
        assert_eq!(waits_for(&mut crm), None);
    }

    #[test]
    fn sources_that_both_have_a_claim_do_not_wait_for_each_other() {
        let [mut erp, mut crm, mut files] = turns(["erp", "crm", "files"]);
        let first = erp.claim("it is late");
        let second = crm.claim("it is later");
        assert_eq!((waits_for(&mut erp), waits_for(&mut crm)), (None, None));
        assert_eq!(waits_for(&mut files).as_deref(), Some("erp: it is late"));
        drop(first);
        assert_eq!(waits_for(&mut erp).as_deref(), Some("crm: it is later"));
        drop(second);
        assert_eq!((waits_for(&mut erp), waits_for(&mut files)), (None, None));
    }

    #[test]
    fn a_source_that_claims_twice_goes_first_until_both_claims_have_ended() {
        let [erp, mut crm] = turns(["erp", "crm"]);
        let (old, new) = (erp.claim("it is late"), erp.claim("it is late"));
        drop(old);
        assert!(waits_for(&mut crm).is_some());
        drop(new);
        assert!(waits_for(&mut crm).is_none());
    }

    #[tokio::test]
    async fn who_waits_learns_of_the_end_also_if_it_came_before_it_looked() {
        let [erp, mut crm] = turns(["erp", "crm"]);
        let claim = erp.claim("it is late");
        assert!(crm.waits_for().is_some());
        drop(claim);
        crm.changed().await;
        assert!(crm.waits_for().is_none());
    }
}
