//! What all configurations of adapters have in common.

/// Appends the known key that an unknown one most resembles. `serde` quotes the unknown key first, then the
/// known ones.
pub fn with_nearest_key(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let nearest = message.starts_with("unknown").then(|| {
        let unknown = quoted.next()?;
        quoted.min_by_key(|known| strsim::damerau_levenshtein(unknown, known))
    });
    match nearest.flatten() {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}
