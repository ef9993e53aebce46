//! Global transaction ids of both dialects, and the sets that a server writes of them.
//!
//! MariaDB: `domain-server-sequence`, and the last one of each domain stands for all before it. MySQL:
//! `uuid:number`, and a set lists ranges of numbers for each uuid, with a tag in between from 8.3 on.

use std::collections::BTreeMap;
use std::fmt;

/// The transactions that were executed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Gtids {
    /// The last transaction of each domain: server and sequence.
    MariaDb(BTreeMap<u32, (u32, u64)>),
    /// Ranges, both ends included, in order, for each `uuid` or `uuid:tag`.
    MySql(BTreeMap<String, Vec<(u64, u64)>>),
}

/// One transaction's id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Gtid {
    MariaDb { domain: u32, server: u32, sequence: u64 },
    MySql { source: String, number: u64 },
}

impl Gtids {
    /// Reads a set as MariaDB writes it; none if it is not one.
    pub(crate) fn read_mariadb(text: &str) -> Option<Self> {
        let one = |gtid: &str| {
            let mut parts = gtid.trim().splitn(3, '-');
            let domain = parts.next()?.parse().ok()?;
            Some((domain, (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)))
        };
        let gtids = text.split(',').filter(|gtid| !gtid.trim().is_empty());
        gtids.map(one).collect::<Option<_>>().map(Self::MariaDb)
    }

    /// Reads a set as MySQL writes it; none if it is not one.
    pub(crate) fn read_mysql(text: &str) -> Option<Self> {
        let mut sets: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        for of_uuid in text.split(',').map(str::trim).filter(|set| !set.is_empty()) {
            let mut parts = of_uuid.split(':').map(str::trim);
            let uuid = parts.next()?.to_lowercase();
            let mut source = uuid.clone();
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_digit()) {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    let range = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                    sets.entry(source.clone()).or_default().push(range);
                } else {
                    source = format!("{uuid}:{part}");
                }
            }
        }
        sets.values_mut().for_each(|ranges| ranges.sort_unstable());
        Some(Self::MySql(sets))
    }

    /// Takes in a transaction.
    pub(crate) fn add(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (Self::MariaDb(last), Gtid::MariaDb { domain, server, sequence }) => {
                last.insert(*domain, (*server, *sequence));
            }
            (Self::MySql(sets), Gtid::MySql { source, number }) => {
                let ranges = sets.entry(source.clone()).or_default();
                add_number(ranges, *number);
            }
            _ => {}
        }
    }
}

fn add_number(ranges: &mut Vec<(u64, u64)>, number: u64) {
    let at = ranges.partition_point(|(_, last)| last.saturating_add(1) < number);
    match ranges.get_mut(at) {
        Some((first, last)) if *first <= number.saturating_add(1) => {
            *first = number.min(*first);
            *last = number.max(*last);
            let last = *last;
            if let Some((next_first, next_last)) = ranges.get(at + 1).copied()
                && next_first <= last.saturating_add(1)
            {
                ranges[at].1 = next_last.max(last);
                ranges.remove(at + 1);
            }
        }
        _ => ranges.insert(at, (number, number)),
    }
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<String> = match self {
            Self::MariaDb(last) => last
                .iter()
                .map(|(domain, (server, sequence))| format!("{domain}-{server}-{sequence}"))
                .collect(),
            Self::MySql(sets) => {
                let range = |(first, last): &(u64, u64)| match first == last {
                    true => format!(":{first}"),
                    false => format!(":{first}-{last}"),
                };
                let set = |(source, ranges): (&String, &Vec<(u64, u64)>)| {
                    format!("{source}{}", ranges.iter().map(range).collect::<String>())
                };
                sets.iter().map(set).collect()
            }
        };
        f.write_str(&text.join(","))
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MariaDb { domain, server, sequence } => write!(f, "{domain}-{server}-{sequence}"),
            Self::MySql { source, number } => write!(f, "{source}:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_mariadb_knows_the_last_of_each_domain() {
        let mut gtids = Gtids::read_mariadb("0-1-7,5-2-9").unwrap();
        gtids.add(&Gtid::MariaDb { domain: 0, server: 3, sequence: 8 });
        assert_eq!(gtids.to_string(), "0-3-8,5-2-9");
        assert_eq!(Gtids::read_mariadb("").unwrap().to_string(), "");
        assert_eq!(Gtids::read_mariadb("0-1"), None);
    }

    #[test]
    fn a_set_of_mysql_joins_its_ranges() {
        let mut gtids = Gtids::read_mysql("AA:1-3:5,\nbb:7").unwrap();
        let add = |gtids: &mut Gtids, number| gtids.add(&Gtid::MySql { source: "aa".to_owned(), number });
        add(&mut gtids, 9);
        assert_eq!(gtids.to_string(), "aa:1-3:5:9,bb:7");
        add(&mut gtids, 4);
        assert_eq!(gtids.to_string(), "aa:1-5:9,bb:7");
        add(&mut gtids, 6);
        add(&mut gtids, 8);
        add(&mut gtids, 7);
        assert_eq!(gtids.to_string(), "aa:1-9,bb:7");
        assert_eq!(Gtids::read_mysql("aa:tag:1-2:4").unwrap().to_string(), "aa:tag:1-2:4");
    }
}
