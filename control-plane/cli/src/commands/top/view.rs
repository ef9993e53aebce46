//! What is shown, and what keys do to it.

use std::cmp::Ordering;

use towpath_resource::api::FleetStatus;

use super::super::stages::{self, Cell, Stages};
use crate::output;

/// What a key means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Quit,
    /// Stops looking, until it is pressed again.
    Hold,
    SortByNext,
    Reverse,
    NextTable,
    PreviousTable,
    Up,
    Down,
}

/// What is shown.
pub(super) struct View {
    status: FleetStatus,
    missed: Option<String>,
    is_held: bool,
    table: usize,
    orders: Vec<Order>,
}

/// How a table is sorted, and from which row on it is shown.
#[derive(Clone, Copy, Default)]
struct Order {
    column: usize,
    is_reversed: bool,
    first: usize,
}

impl View {
    pub(super) fn new(status: FleetStatus) -> Self {
        let orders = vec![Order::default(); stages::of(&status).len()];
        Self { status, missed: None, is_held: false, table: 0, orders }
    }

    /// The fleet as it is now.
    pub(super) fn see(&mut self, status: FleetStatus) {
        self.status = status;
        self.missed = None;
    }

    /// The fleet could not be seen.
    pub(super) fn miss(&mut self, why: String) {
        self.missed = Some(why);
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    pub(super) fn press(&mut self, key: Key) {
        let tables = self.orders.len();
        let (columns, rows) = {
            let table = &stages::of(&self.status)[self.table];
            (table.columns.len(), table.rows.len())
        };
        let order = &mut self.orders[self.table];
        match key {
            Key::Quit => {}
            Key::Hold => self.is_held = !self.is_held,
            Key::SortByNext => order.column = (order.column + 1) % columns,
            Key::Reverse => order.is_reversed = !order.is_reversed,
            Key::NextTable => self.table = (self.table + 1) % tables,
            Key::PreviousTable => self.table = (self.table + tables - 1) % tables,
            Key::Down => order.first = (order.first + 1).min(rows.saturating_sub(1)),
            Key::Up => order.first = order.first.saturating_sub(1),
        }
    }

    pub(super) fn status(&self) -> &FleetStatus {
        &self.status
    }

    /// The tables' titles with the numbers of their rows, and which one is shown.
    pub(super) fn tabs(&self) -> (Vec<String>, usize) {
        let titled = |table: &Stages| format!("{} {}", table.title, table.rows.len());
        (stages::of(&self.status).iter().map(titled).collect(), self.table)
    }

    /// The table that is shown, sorted, from the first row that is shown.
    pub(super) fn table(&self) -> Stages {
        let mut all = stages::of(&self.status).into_iter();
        let mut table = all.nth(self.table).expect("the table that is shown is one of them");
        let order = self.orders[self.table];
        table.rows.sort_by(|a, b| compare(a.get(order.column), b.get(order.column)));
        if order.is_reversed {
            table.rows.reverse();
        }
        table.rows.drain(..order.first.min(table.rows.len()));
        table
    }

    /// By which column the table is sorted, and whether the largest comes last.
    pub(super) fn sorted_by(&self) -> (usize, bool) {
        let order = self.orders[self.table];
        (order.column, order.is_reversed)
    }

    /// What is wrong, in lines.
    pub(super) fn troubles(&self) -> Vec<String> {
        let of_fleet =
            stages::troubles(&self.status).into_iter().map(|trouble| output::trouble(Some(trouble)));
        self.missed.iter().cloned().chain(of_fleet).collect()
    }
}

/// Names from a on; figures from the largest on, for that is what one looks for.
fn compare(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    match (a, b) {
        (Some(Cell { figure: Some(a), .. }), Some(Cell { figure: Some(b), .. })) => b.total_cmp(a),
        (Some(a), Some(b)) => a.text.cmp(&b.text),
        _ => Ordering::Equal,
    }
}
