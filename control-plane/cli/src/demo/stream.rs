//! The streams of the sample, and the two columns of each by which its rows are told apart and counted.

/// A stream of the sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stream {
    /// Customers: changed rows come again, so sinks that can hold the latest of each.
    Customers,
    /// Orders: those that were shipped come again.
    Orders,
    /// Stock movements: each row stands for itself.
    Stock,
}

impl Stream {
    /// All of them, in the order of their names.
    pub(super) const ALL: [Self; 3] = [Self::Customers, Self::Orders, Self::Stock];

    /// Its name in Towpath.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Customers => "erp.customers",
            Self::Orders => "erp.orders",
            Self::Stock => "erp.stock",
        }
    }

    /// The table that the SQLite sink writes it to.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Customers => "erp_customers",
            Self::Orders => "erp_orders",
            Self::Stock => "erp_stock",
        }
    }

    /// The column that numbers its rows.
    pub(super) const fn number(self) -> &'static str {
        match self {
            Self::Customers => "customer_no",
            Self::Orders => "order_no",
            Self::Stock => "movement_no",
        }
    }

    /// The column whose sums an accountant would check.
    pub(super) const fn amount(self) -> &'static str {
        match self {
            Self::Customers => "credit_limit",
            Self::Orders => "total",
            Self::Stock => "quantity",
        }
    }

    /// Whether its number is a key: a later row then replaces an earlier one where the sink can.
    pub(super) const fn is_keyed(self) -> bool {
        matches!(self, Self::Customers | Self::Orders)
    }
}
