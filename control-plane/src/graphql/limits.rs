//! What a request may ask for at most. It is measured before anything of it is done, and before it is checked against the
//! types, since that too costs what the request makes it cost.
//!
//! A fragment is measured once, however often it is spread, so that measuring is quick whatever the text. It counts as what
//! comes of spreading it: one that spreads another twice, which spreads a third twice, and so on, is all those fields.

use std::collections::HashMap;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{Value as Given, Variables, parser};

use super::nesting;
use super::operation::{Items, Root};
use crate::api::GraphqlSettings;

/// Longest text of a request. What is large, such as manifests, goes into the variables.
const MOST_TEXT_BYTES: usize = 64 << 10;
/// How deep brackets, and fragments within fragments, may be nested.
pub(super) const MOST_NESTING: usize = 64;
/// Fields that a text may select, each as often as its fragments are spread: the work of checking it.
const MOST_FIELDS: u64 = 10_000;
/// How often what is told of each type or field of the schema counts, since there are many of them.
const OF_SCHEMA: u64 = 10;
/// How often a request for the schema may go from types to their fields. Each time multiplies the answer.
const MOST_SCHEMA_LISTS: u8 = 1;

/// Why a request is more than is allowed, or no GraphQL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuch {
    /// The text is too long.
    #[error(
        "the text of the request has {0} bytes; at most {MOST_TEXT_BYTES} are taken: put values into `variables`"
    )]
    Long(usize),
    /// The text is nested too deep to be read, or fragments are within fragments.
    #[error("the request is nested deeper than {MOST_NESTING} brackets or fragments; flatten it")]
    Nested,
    /// The selection is too deep.
    #[error("the request selects {depth} levels deep; at most {most} are allowed (`api.graphql.depth`)")]
    Deep {
        /// How deep.
        depth: usize,
        /// How deep it may be.
        most: usize,
    },
    /// Too many operations at once.
    #[error(
        "the request has {operations} operations; at most {most} are allowed at once (`api.graphql.operations`): send several requests"
    )]
    Many {
        /// How many.
        operations: u64,
        /// How many there may be.
        most: u64,
    },
    /// The answer would be too large.
    #[error(
        "the request costs {cost}, one for each field of each item that may come; at most {most} is allowed (`api.graphql.cost`): select less, or ask for shorter pages with `limit`"
    )]
    Costly {
        /// What it costs.
        cost: u64,
        /// What it may cost.
        most: u64,
    },
    /// The text selects more fields than are checked.
    #[error(
        "the request selects {0} fields, each as often as its fragments are spread; at most {MOST_FIELDS} are taken: select less"
    )]
    Large(u64),
    /// A fragment is part of itself.
    #[error("the fragment `{0}` spreads itself; take it out of itself")]
    Circular(String),
    /// The schema is asked for in circles.
    #[error(
        "the schema is asked for in circles, types within types; ask for each type by itself, or GET /graphql/schema"
    )]
    SchemaInCircles,
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Measure {
    /// Levels of fields.
    depth: usize,
    /// Fields, each as often as it is selected.
    fields: u64,
    /// Fields of all items that may come.
    pub(super) cost: u64,
    /// Operations.
    pub(super) operations: u64,
}

impl Measure {
    fn and(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            fields: self.fields.saturating_add(other.fields),
            cost: self.cost.saturating_add(other.cost),
            operations: self.operations.saturating_add(other.operations),
        }
    }

    fn within(self, settings: &GraphqlSettings) -> Result<Self, TooMuch> {
        let (operations, cost) = (u64::from(settings.operations), u64::from(settings.cost));
        if self.depth > settings.depth {
            return Err(TooMuch::Deep { depth: self.depth, most: settings.depth });
        }
        if self.operations > operations {
            return Err(TooMuch::Many { operations: self.operations, most: operations });
        }
        if self.cost > cost {
            return Err(TooMuch::Costly { cost: self.cost, most: cost });
        }
        Ok(self)
    }
}

/// Reads the text of a request.
///
/// # Errors
/// It is too long or too deep, or no GraphQL.
pub(super) fn read(text: &str) -> Result<ExecutableDocument, Unread> {
    if text.len() > MOST_TEXT_BYTES {
        return Err(TooMuch::Long(text.len()).into());
    }
    if nesting::depth(text) > MOST_NESTING {
        return Err(TooMuch::Nested.into());
    }
    Ok(parser::parse_query(text)?)
}

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// It is more than is allowed.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// It is no GraphQL.
    #[error(transparent)]
    Text(#[from] parser::Error),
}

/// How much is asked for beneath each operation.
pub(super) type Prices = HashMap<(Root, String), Items>;

/// What a request asks for, if it is within the limits.
///
/// # Errors
/// It is more.
pub(super) fn measure(
    document: &ExecutableDocument,
    operation: Option<&str>,
    variables: &Variables,
    prices: &Prices,
    settings: &GraphqlSettings,
) -> Result<Measure, TooMuch> {
    let mut measuring =
        Measuring { document, variables, prices, known: HashMap::new(), open: Vec::new(), nesting: 0 };
    // Whatever stands there is checked, even what is not asked for.
    let mut work = 0_u64;
    for name in document.fragments.keys() {
        work = work.saturating_add(measuring.fragment(name, Place::Data)?.fields);
    }
    let mut asked = Measure::default();
    for (name, definition) in document.operations.iter() {
        let whole = measuring.operation(&definition.node)?;
        work = work.saturating_add(whole.fields);
        if operation.is_none() || name.is_some_and(|name| Some(name.as_str()) == operation) {
            asked = asked.and(whole);
        }
    }
    if work > MOST_FIELDS {
        return Err(TooMuch::Large(work));
    }
    asked.within(settings)
}

/// The operation that is asked for, if it can be told.
pub(super) fn asked_for<'a>(
    document: &'a ExecutableDocument,
    operation: Option<&str>,
) -> Option<&'a OperationDefinition> {
    match (&document.operations, operation) {
        (DocumentOperations::Single(only), None) => Some(&only.node),
        (DocumentOperations::Multiple(all), None) if all.len() == 1 => {
            all.values().next().map(|only| &only.node)
        }
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name).map(|named| &named.node),
        _ => None,
    }
}

/// Where a selection stands, and so what its fields count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Place {
    /// Its fields are operations.
    Root(Root),
    /// Within what an operation answers.
    Data,
    /// Within the schema, after so many lists of fields.
    Schema(u8),
}

struct Measuring<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    prices: &'a Prices,
    /// The fragments that were measured.
    known: HashMap<(&'a str, Place), Measure>,
    /// The fragments that are being measured.
    open: Vec<&'a str>,
    nesting: usize,
}

impl<'a> Measuring<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Measure, TooMuch> {
        let root = match operation.ty {
            OperationType::Query => Root::Query,
            OperationType::Mutation => Root::Mutation,
            OperationType::Subscription => Root::Subscription,
        };
        self.selection(&operation.selection_set.node, Place::Root(root))
    }

    fn selection(&mut self, selected: &'a SelectionSet, place: Place) -> Result<Measure, TooMuch> {
        if self.nesting >= MOST_NESTING {
            return Err(TooMuch::Nested);
        }
        self.nesting += 1;
        let mut whole = Measure::default();
        for item in &selected.items {
            let part = match &item.node {
                Selection::Field(field) => self.field(&field.node, place)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, place)?,
                Selection::InlineFragment(inline) => {
                    self.selection(&inline.node.selection_set.node, place)?
                }
            };
            whole = whole.and(part);
        }
        self.nesting -= 1;
        Ok(whole)
    }

    /// What comes of spreading a fragment here. One that is not there is told of when the request is checked.
    fn fragment(&mut self, name: &str, place: Place) -> Result<Measure, TooMuch> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Measure::default());
        };
        if let Some(known) = self.known.get(&(name.as_str(), place)) {
            return Ok(*known);
        }
        if self.open.contains(&name.as_str()) {
            return Err(TooMuch::Circular(name.to_string()));
        }
        self.open.push(name.as_str());
        let whole = self.selection(&fragment.node.selection_set.node, place)?;
        self.open.pop();
        self.known.insert((name.as_str(), place), whole);
        Ok(whole)
    }

    fn field(&mut self, field: &'a Field, place: Place) -> Result<Measure, TooMuch> {
        let name = field.name.node.as_str();
        let (times, within) = match place {
            Place::Root(_) if name == "__schema" || name == "__type" => (1, Place::Schema(0)),
            Place::Root(root) => (self.items(field, root), Place::Data),
            Place::Data => (1, Place::Data),
            Place::Schema(lists) => of_schema(name, lists)?,
        };
        let inner = self.selection(&field.selection_set.node, within)?;
        Ok(Measure {
            depth: inner.depth + 1,
            fields: inner.fields.saturating_add(1),
            cost: inner.cost.saturating_mul(times).saturating_add(1),
            operations: u64::from(matches!(place, Place::Root(_))),
        })
    }

    /// How many items an operation may answer.
    fn items(&self, field: &Field, root: Root) -> u64 {
        match self.prices.get(&(root, field.name.node.to_string())) {
            None => 1,
            Some(Items::Some(items)) => *items,
            Some(Items::Asked { argument, usually, most }) => {
                let Some(given) = field.get_argument(argument) else { return *usually };
                let value = |name| self.variables.get(&name).cloned().ok_or(());
                match given.node.clone().into_const_with(value) {
                    Ok(Given::Number(number)) => number.as_u64().unwrap_or(*usually).min(*most),
                    Ok(_) => *usually,
                    // A variable that was not sent may have a default.
                    Err(()) => *most,
                }
            }
        }
    }
}

/// What a field of the schema counts.
fn of_schema(name: &str, lists: u8) -> Result<(u64, Place), TooMuch> {
    let goes_down = matches!(name, "fields" | "inputFields" | "interfaces" | "possibleTypes");
    if goes_down && lists >= MOST_SCHEMA_LISTS {
        return Err(TooMuch::SchemaInCircles);
    }
    let times = if goes_down || name == "types" { OF_SCHEMA } else { 1 };
    Ok((times, Place::Schema(lists + u8::from(goes_down))))
}
