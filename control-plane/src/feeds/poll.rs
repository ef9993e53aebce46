//! Long polling: one feed, from one token to the next.

use std::time::Duration;

use futures_util::StreamExt;
use towpath_resource::api::FeedPage;

use super::topic::Topic;
use crate::service::{Admission, Refusal, Service};

/// Longest wait for something to happen. It leaves time to answer within what a request may take.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(50);
/// Items of one answer. What there is, with which a feed of resources begins, is told as a whole.
const MOST_ITEMS: usize = 1_000;
/// How long it is waited for more behind an item: what happens together comes together.
const GATHER: Duration = Duration::from_millis(20);

/// What happened since a token; waits for it if nothing has.
///
/// # Errors
/// It cannot be followed, or the right to it ended.
pub(crate) async fn poll(
    service: &Service,
    admission: Admission,
    topic: &Topic,
    after: Option<String>,
    wait: Duration,
) -> Result<FeedPage, Refusal> {
    let before = after.clone().or_else(|| topic.now(service));
    let items = topic.follow(service, &admission.asker, after.as_deref()).await?;
    let mut items = service.while_admitted(admission, items);
    let mut page = FeedPage { items: Vec::new(), after: before };
    let mut patience = wait.min(LONGEST_WAIT);
    // A page ends where it can be gone on from.
    let mut can_end = true;
    while page.items.len() < MOST_ITEMS || !can_end {
        let next = if can_end {
            match tokio::time::timeout(patience, items.next()).await {
                Ok(next) => next,
                Err(_) => break,
            }
        } else {
            items.next().await
        };
        let Some(item) = next else { break };
        let item = match item {
            Ok(item) => item,
            // What came before is not lost: the next request is told why there is no more.
            Err(_) if can_end && !page.items.is_empty() => break,
            Err(refusal) => return Err(refusal),
        };
        can_end = item.after.is_some();
        if can_end {
            page.after.clone_from(&item.after);
        }
        page.items.push(item);
        patience = GATHER;
    }
    Ok(page)
}
