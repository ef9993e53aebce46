//! Rows that are a function of seed, feed and running number.

use crate::data::feed::Feed;

/// One row in its canonical spelling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its running number in the feed, from 1.
    pub seq: u64,
    /// The key whose rows stay in order.
    pub key: String,
    /// Its values, in the order of [`Feed::columns`].
    pub values: Vec<Option<String>>,
}

const NAMES: &[&str] = &[
    "Müller & Söhne GmbH",
    "Käserei \"Alpenglück\"",
    "Bäckerei; Konditorei Groß",
    "O'Neill, Jr.",
    "Zwei\nZeilen AG",
    "Señor Núñez S.L.",
    " führende Leerzeichen",
    "Stahl- und Röhrenwerk Düsseldorf-Süd Aktiengesellschaft",
];
const CITIES: &[&str] = &["Köln", "Zürich", "Saint-Étienne", "Århus", "Wien", "Málaga"];
const ITEMS: &[&str] =
    &["Schraube M8x20", "Mutter, verzinkt", "Blech 2 mm \"roh\"", "東京タイヤ", "Łożysko 6204", "Öl 5W-30 🛢"];
const NOTES: &[&str] = &["eilt", "Teil-Lieferung, Rest folgt", "say \"hello\"", "C:\\temp\\neu"];

impl Row {
    /// Row `seq` of a feed; `line` is the line of its file on which it stands.
    pub fn new(seed: u64, feed: Feed, seq: u64, keys: &KeyRange, line: u64) -> Self {
        let mut rng =
            fastrand::Rng::with_seed(seed ^ (feed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seq);
        let key = keys.pick(feed, &mut rng);
        let some = |text: &str| Some(text.to_owned());
        let quarters = |rng: &mut fastrand::Rng, most: u32| f64::from(rng.u32(0..most * 4)) / 4.0;
        let values = match feed {
            Feed::Customers => vec![
                Some(seq.to_string()),
                Some(key.clone()),
                some(pick(&mut rng, NAMES)),
                maybe(&mut rng, CITIES),
                Some(quarters(&mut rng, 100_000).to_string()),
                Some(day(&mut rng)),
                Some(rng.bool().to_string()),
            ],
            Feed::Orders => vec![
                Some(seq.to_string()),
                Some(key.clone()),
                some(pick(&mut rng, ITEMS)),
                Some(rng.i64(-50..5_000).to_string()),
                Some(quarters(&mut rng, 10_000).to_string()),
                maybe(&mut rng, NOTES),
            ],
            Feed::Movements => vec![
                Some(seq.to_string()),
                Some(key.clone()),
                maybe(&mut rng, &["A-01", "A-02", "Rampe Süd"]),
                maybe(&mut rng, &["B-07", "Versand", "Sperrlager"]),
                Some(rng.i64(-900..900).to_string()),
                Some(quarters(&mut rng, 2_000).to_string()),
                Some(day(&mut rng)),
            ],
            Feed::Journal => {
                let text = format!("{seq} {key} {} prüfte {}", pick(&mut rng, NAMES), pick(&mut rng, ITEMS));
                vec![Some(text.replace('\n', " ")), Some(line.to_string())]
            }
        };
        Self { seq, key, values }
    }
}

/// Which keys a file's rows have. Files that are dropped at one moment get different keys, since a folder is not
/// read in one instant and their order among each other is not promised.
#[derive(Clone, Copy, Debug)]
pub struct KeyRange {
    /// Which of the ranges.
    pub index: u64,
    /// How many keys a range holds.
    pub keys: u64,
}

impl KeyRange {
    fn pick(&self, feed: Feed, rng: &mut fastrand::Rng) -> String {
        let number = self.index * self.keys + rng.u64(0..self.keys);
        match feed {
            Feed::Customers => format!("{number:07}"),
            Feed::Orders => format!("K{number:06}"),
            Feed::Movements => format!("SKU-{number}"),
            Feed::Journal => format!("user{number}"),
        }
    }
}

fn pick<'a>(rng: &mut fastrand::Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(0..from.len())]
}

fn maybe(rng: &mut fastrand::Rng, from: &[&str]) -> Option<String> {
    (rng.u8(0..4) > 0).then(|| pick(rng, from).to_owned())
}

fn day(rng: &mut fastrand::Rng) -> String {
    format!("{}-{:02}-{:02}", rng.u16(1995..2027), rng.u8(1..13), rng.u8(1..29))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: KeyRange = KeyRange { index: 3, keys: 5 };

    #[test]
    fn a_row_is_a_function_of_its_seed_and_number() {
        for feed in Feed::ALL {
            assert_eq!(Row::new(7, feed, 42, &KEYS, 43), Row::new(7, feed, 42, &KEYS, 43));
            assert_ne!(Row::new(7, feed, 42, &KEYS, 43), Row::new(8, feed, 42, &KEYS, 43));
        }
    }

    #[test]
    fn a_row_says_in_its_values_which_it_is() {
        for feed in Feed::ALL {
            let row = Row::new(7, feed, 42, &KEYS, 43);
            assert_eq!(row.values.len(), feed.columns().len());
            assert_eq!(feed.identify(&row.values), Some((42, row.key)));
        }
    }

    #[test]
    fn values_are_in_their_canonical_spelling() {
        for feed in Feed::ALL {
            for seq in 1..200 {
                let row = Row::new(1, feed, seq, &KEYS, seq);
                for ((name, kind), value) in feed.columns().iter().zip(&row.values) {
                    let Some(value) = value else { continue };
                    assert_eq!(&kind.canonical(value), value, "{feed:?}.{name}");
                }
            }
        }
    }
}
