//! Lets callers in, and ends long answers when what let them in does not hold any more.

use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::MissedTickBehavior;
use towpath_catalog::{Actor, Cause, Origin};
use zeroize::Zeroizing;

use super::{Asker, Need, Refusal, Service};

/// How long a long answer goes on at most after the right to it was taken away.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(3);

/// Someone who was let in, with what they presented, so that long answers can look at it again. Without [`Debug`],
/// since it holds a secret.
#[derive(Clone)]
pub struct Admission {
    /// Who asks.
    pub asker: Asker,
    bearer: Zeroizing<String>,
    origin: Origin,
    need: Need,
}

impl Service {
    /// Lets someone in who is known by this bearer token and has what is needed.
    ///
    /// # Errors
    /// Nobody is known by it, or the need is not met.
    pub async fn admit(
        &self,
        bearer: Option<&str>,
        origin: Origin,
        need: Need,
    ) -> Result<Admission, Refusal> {
        let asker = match self.authenticate(bearer, origin.clone()).await {
            Ok(asker) => asker,
            Err(refusal) => {
                let stranger = Cause { actor: Actor::Stranger, origin: Some(origin) };
                self.note_refusal(&stranger, &refusal).await;
                return Err(refusal);
            }
        };
        if let Need::Permission(permission) = need
            && let Err(denied) = asker.principal.decide(permission, None)
        {
            let refusal = Refusal::Denied(denied);
            self.note_refusal(&asker.cause, &refusal).await;
            return Err(refusal);
        }
        Ok(Admission { asker, bearer: Zeroizing::new(bearer.unwrap_or_default().to_owned()), origin, need })
    }

    /// Hands a long answer on for as long as whoever asked has the rights with which it began, and the control plane
    /// does not stop.
    pub fn while_admitted<T: Send + 'static>(
        &self,
        admission: Admission,
        items: impl Stream<Item = Result<T, Refusal>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Refusal>> {
        let ended = self.clone().until_ended(admission).boxed();
        let one_by_one = stream::unfold(Some((items.boxed(), ended)), |parts| async move {
            let (mut items, mut ended) = parts?;
            tokio::select! {
                biased;
                refusal = &mut ended => Some((Err(refusal), None)),
                item = items.next() => Some((item?, Some((items, ended)))),
            }
        });
        one_by_one.boxed()
    }

    /// Waits until a long answer must end, and says why.
    pub async fn until_ended(self, admission: Admission) -> Refusal {
        let mut ticks = tokio::time::interval(LOOK_AGAIN_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stopped() => return Refusal::Stopping,
                _ = ticks.tick() => {}
            }
            let Admission { asker, bearer, origin, need } = &admission;
            match self.admit(Some(bearer.as_str()), origin.clone(), *need).await {
                Ok(now) if now.asker.principal == asker.principal => {}
                Ok(_) => return Refusal::Stale("your rights were changed; ask again".to_owned()),
                Err(refusal) => return refusal,
            }
        }
    }
}
