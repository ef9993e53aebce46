//! Lists of resources: filtered, sorted, and in pages that stay right while resources come and go.
//!
//! A page ends at a key (the value that the list is sorted by, then the name), and the next one begins behind it. So a
//! resource that stays is seen exactly once, whatever is written between the pages. In the order of names a page costs
//! what it shows; any other order looks at every resource of the kind, and keeps those of one page.

mod cursor;
mod field;
mod filter;
mod sort;
mod page;

pub(super) use cursor::CursorError;
pub use filter::Filter;
pub use sort::{Sort, SortError};

use towpath_resource::{Kind, Object, Permission};

use super::sight::Sight;
use super::{Asker, Refusal, Service, Shown};

/// Resources on a page when nobody says how many.
pub const DEFAULT_PAGE: usize = 500;
/// Most resources on a page.
pub const MOST_ON_PAGE: usize = 1000;

/// Which resources of a kind are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListOrder {
    /// Most resources on the page. Default: 500; at most 1000.
    pub limit: Option<usize>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// In which order. Default: of the names.
    pub sort: Sort,
    /// Which. Default: all.
    pub filter: Filter,
}

/// A part of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct ListPage {
    /// The resources.
    pub items: Vec<Shown>,
    /// What leads to the next page, if there is one.
    pub next_cursor: Option<String>,
}

impl Service {
    /// A page of the resources of a kind that the asker may see.
    ///
    /// # Errors
    /// The filter names a field that there is not, or the cursor is not of this list.
    pub async fn list(&self, asker: &Asker, kind: Kind, order: ListOrder) -> Result<ListPage, Refusal> {
        let limit = order.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MOST_ON_PAGE).contains(&limit) {
            return Err(Refusal::invalid_argument(
                "limit",
                format!("is {limit}; it may be 1 to {MOST_ON_PAGE}"),
            ));
        }
        order.filter.check(kind)?;
        let after = order.cursor.as_deref().map(|text| cursor::read(text, kind, &order)).transpose()?;
        let (service, asker) = (self.clone(), asker.clone());
        let work = move || {
            let state = service.catalog();
            let seen = Sight::of(&asker, &state, Permission::read(Object::Resource(kind)));
            service.view(&state, |view| page::cut(view, &seen, kind, &order, after.as_ref(), limit))
        };
        // Only the order of names, unfiltered, is quick whatever there is.
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Refusal::Stopping)
    }
}
