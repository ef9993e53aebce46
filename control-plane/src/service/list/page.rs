//! Cuts a page out of all the resources of a kind.

use std::collections::BinaryHeap;

use serde_json::Value as Json;
use towpath_catalog::{Resources, Table};
use towpath_record::ResourceName;
use towpath_resource::{AnyManifest, AnyResource, Kind, Manifest, Resource, kind_of};

use super::cursor::{self, Key};
use super::{ListOrder, ListPage};
use crate::service::overview::View;
use crate::service::resources::shown;
use crate::service::sight::Sight;

/// The page behind `after`, or the first.
pub(super) fn cut(
    view: &View<'_>,
    seen: &Sight<'_>,
    kind: Kind,
    order: &ListOrder,
    after: Option<&Key>,
    limit: usize,
) -> ListPage {
    kind_of!(kind, S => {
        let all = S::of(view.state);
        let found = if order.sort.is_by_name() {
            by_name(all, view, seen, order, after, limit)
        } else {
            by_value(all, view, seen, order, after, limit)
        };
        finish(view, kind, order, found, limit)
    })
}

/// The resources behind the key in the order of names, one more than the page holds.
fn by_name<'a, S: Table>(
    all: &'a Resources<S>,
    view: &View<'_>,
    seen: &Sight<'_>,
    order: &ListOrder,
    after: Option<&'a Key>,
    limit: usize,
) -> Vec<&'a Resource<S>>
where
    AnyManifest: From<Manifest<S>>,
    AnyResource: From<Resource<S>>,
{
    let rest: Box<dyn Iterator<Item = &'a Resource<S>>> = match (after, order.sort.descending) {
        (None, false) => Box::new(all.values()),
        (None, true) => Box::new(all.values_from_last()),
        (Some(key), false) => Box::new(all.after(&key.name)),
        (Some(key), true) => Box::new(all.before(&key.name)),
    };
    rest.filter(|one| wanted(one, view, seen, order)).take(limit + 1).collect()
}

/// The same in the order of another value: of all that come behind the key, the first are kept.
fn by_value<'a, S: Table>(
    all: &'a Resources<S>,
    view: &View<'_>,
    seen: &Sight<'_>,
    order: &ListOrder,
    after: Option<&Key>,
    limit: usize,
) -> Vec<&'a Resource<S>>
where
    AnyManifest: From<Manifest<S>>,
    AnyResource: From<Resource<S>>,
{
    let descending = order.sort.descending;
    let rank = |value, name: &ResourceName| Rank { value, name: name.clone(), descending };
    let start = after.map(|key| rank(key.value.clone(), &key.name));
    // The largest of those kept is on top, and goes when a smaller one comes.
    let mut kept: BinaryHeap<Rank> = BinaryHeap::with_capacity(limit + 2);
    for one in all.values() {
        let rank = rank(order.sort.value(one), one.name());
        let is_behind = start.as_ref().is_none_or(|start| rank > *start);
        let has_place = kept.len() <= limit || kept.peek().is_some_and(|last| rank < *last);
        if is_behind && has_place && wanted(one, view, seen, order) {
            kept.push(rank);
            if kept.len() > limit + 1 {
                kept.pop();
            }
        }
    }
    kept.into_sorted_vec().iter().filter_map(|rank| all.get(&rank.name)).collect()
}

/// Where a resource stands in the list: by its value, and among equals by its name.
#[derive(PartialEq, Eq)]
struct Rank {
    value: super::sort::Value,
    name: ResourceName,
    descending: bool,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let forwards = self.value.cmp(&other.value).then_with(|| self.name.cmp(&other.name));
        if self.descending { forwards.reverse() } else { forwards }
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn wanted<S: Table>(one: &Resource<S>, view: &View<'_>, seen: &Sight<'_>, order: &ListOrder) -> bool
where
    AnyManifest: From<Manifest<S>>,
    AnyResource: From<Resource<S>>,
{
    let status = || -> Option<Json> { shown(view, one.clone().into()).status };
    order.filter.shows(one, status) && seen.shows(one)
}

fn finish<S: Table>(
    view: &View<'_>,
    kind: Kind,
    order: &ListOrder,
    mut found: Vec<&Resource<S>>,
    limit: usize,
) -> ListPage
where
    AnyResource: From<Resource<S>>,
{
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    let next_cursor = last.map(|last| {
        let key = Key { value: order.sort.value(last), name: last.name().clone() };
        cursor::write(&key, kind, order)
    });
    let items = found.into_iter().map(|one| shown(view, one.clone().into())).collect();
    ListPage { items, next_cursor }
}
