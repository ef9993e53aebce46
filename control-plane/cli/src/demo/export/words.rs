//! The words that the made-up companies, people and goods are named with.

pub(in crate::demo) const FAMILIES: &[&str] = &[
    "Müller",
    "Schäfer",
    "Größmann",
    "Weiß",
    "Köhler",
    "Jäger",
    "Böhm",
    "Krüger",
    "Schröder",
    "Vögele",
    "Hänsel",
    "Süß",
    "Döring",
    "Kühn",
    "Bäcker",
    "Lindner",
    "Petersen",
    "Fuchs",
    "Oßwald",
    "Löffler",
];

pub(super) const TRADES: &[&str] = &[
    "Maschinenbau",
    "Getränkehandel",
    "Möbelfabrik",
    "Gerätetechnik",
    "Blechwarenwerk",
    "Großhandel",
    "Mühle",
    "Kältetechnik",
    "Bürobedarf",
    "Straßenbau",
    "Gärtnerei",
    "Werkzeuge",
];

/// Legal forms. One has the delimiter in it and one a quote, as registers of commerce do.
pub(super) const FORMS: &[&str] =
    &["GmbH", "AG", "KG", "e. K.", "OHG", "GmbH & Co. KG; Zweigniederlassung", "\"Süd\" GmbH"];

pub(super) const STREETS: &[&str] = &[
    "Bahnhofstraße",
    "Lindenallee",
    "Am Mühlbach",
    "Äußere Ringstraße",
    "Gänsemarkt",
    "Schloßplatz",
    "Werftstraße",
    "Überlinger Weg",
];

/// Towns with their postal codes, of which some begin with a zero that must not be lost.
pub(super) const TOWNS: &[(&str, &str)] = &[
    ("01067", "Dresden"),
    ("04109", "Leipzig"),
    ("06108", "Halle"),
    ("20095", "Hamburg"),
    ("50667", "Köln"),
    ("72070", "Tübingen"),
    ("73728", "Eßlingen"),
    ("80331", "München"),
    ("88662", "Überlingen"),
    ("90403", "Nürnberg"),
    ("97070", "Würzburg"),
    ("99084", "Erfurt"),
];

pub(in crate::demo) const NOTES: &[&str] = &[
    "Bitte vor 10 Uhr anliefern",
    "Rückfrage bei Frau Größmann",
    "Ware stoßempfindlich",
    "\"Eilt\"",
    "Teillieferung möglich",
    "Abholung durch Spedition",
];

pub(super) const UNITS: &[&str] = &["ST", "KG", "M", "L"];

/// One of these.
pub(in crate::demo) fn pick<'a, T>(rng: &mut fastrand::Rng, words: &'a [T]) -> &'a T {
    &words[rng.usize(..words.len())]
}
