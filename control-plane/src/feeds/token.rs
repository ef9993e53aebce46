//! The tokens with which a feed is taken up again.

use std::fmt;
use std::str::FromStr;

use towpath_record::LogOffset;

use crate::service::Refusal;

/// Behind what a feed goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// An event of the catalog: resources and events.
    Event(u64),
    /// A record: the frame and the row in it.
    Record(LogOffset, u32),
    /// A moment, in milliseconds since 1970-01-01 UTC: the status.
    Moment(i64),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(seq) => write!(f, "e.{seq}"),
            Self::Record(offset, row) => write!(f, "r.{}.{row}", offset.0),
            Self::Moment(at) => write!(f, "m.{at}"),
        }
    }
}

impl FromStr for Token {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let parse = || -> Option<Self> {
            let (kind, rest) = text.split_once('.')?;
            match kind {
                "e" => Some(Self::Event(rest.parse().ok()?)),
                "r" => {
                    let (offset, row) = rest.split_once('.')?;
                    Some(Self::Record(LogOffset(offset.parse().ok()?), row.parse().ok()?))
                }
                "m" => Some(Self::Moment(rest.parse().ok()?)),
                _ => None,
            }
        };
        parse().ok_or_else(|| foreign(text))
    }
}

/// A token that is none, or of another feed.
pub(super) fn foreign(text: &str) -> Refusal {
    Refusal::invalid(format!("after: `{text}` is no token of this feed; send one that it gave, or none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_given() {
        for token in
            [Token::Event(7), Token::Record(LogOffset(u64::MAX), 3), Token::Moment(1_700_000_000_000)]
        {
            assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        }
    }

    #[test]
    fn what_was_never_given_is_refused() {
        for text in ["", "e", "e.", "e.-1", "e.1.2", "r.1", "x.1", "7", "r.1.2.3"] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}
