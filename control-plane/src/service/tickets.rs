//! Tickets: with one, a browser can open a socket, for which it cannot send the header with its token.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use towpath_catalog::SecretHash;
use towpath_resource::api::FeedTicket;

use super::{Admission, Refusal, Service};
use crate::control::bearer::Bearer;

/// How long a ticket can be used.
const LIFE: Duration = Duration::from_secs(30);
/// Tickets that wait to be used at most.
const MOST: usize = 4_096;

/// Tickets that were not used yet, by the hashes of their secrets. They are kept in memory only: whoever lost one in a
/// restart asks for another.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<[u8; 32], Waiting>>);

struct Waiting {
    until: Instant,
    admission: Admission,
}

impl Service {
    /// Makes a ticket that lets in whoever presents it within half a minute, once, as this admission did.
    ///
    /// # Errors
    /// Too many tickets wait, or there is no randomness.
    pub fn issue_ticket(&self, admission: &Admission) -> Result<FeedTicket, Refusal> {
        let ticket = Bearer::ticket()?;
        let now = Instant::now();
        let mut waiting = self.0.tickets.0.lock();
        waiting.retain(|_, ticket| ticket.until > now);
        if waiting.len() >= MOST {
            return Err(Refusal::TooMany(
                "too many tickets wait to be used; ask for one just before it is used".to_owned(),
            ));
        }
        let admitted = Waiting { until: now + LIFE, admission: admission.clone() };
        waiting.insert(ticket.hash().0, admitted);
        Ok(FeedTicket { ticket: ticket.reveal().to_owned(), expires_at: Timestamp::now() + LIFE })
    }

    /// Lets in whoever presents a ticket, and voids it.
    ///
    /// # Errors
    /// It is not known, was used, or its time is over.
    pub fn redeem_ticket(&self, ticket: &str) -> Result<Admission, Refusal> {
        let found = self.0.tickets.0.lock().remove(&SecretHash::of(ticket).0);
        found.filter(|ticket| ticket.until > Instant::now()).map(|ticket| ticket.admission).ok_or_else(|| {
            Refusal::Unknown(
                "the ticket is not known, was used or is older than 30 s; ask for another with POST /v1/feed/ticket"
                    .to_owned(),
            )
        })
    }
}
