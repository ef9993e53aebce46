//! Bad lines among good ones.

/// Puts the bad lines at random places among the good ones, none before the first `clean` good ones.
pub(super) fn mix(rng: &mut fastrand::Rng, good: Vec<String>, bad: Vec<String>, clean: usize) -> String {
    let mut places: Vec<_> = bad.iter().map(|_| rng.usize(clean.min(good.len())..=good.len())).collect();
    places.sort_unstable();
    let mut text = String::with_capacity(good.iter().chain(&bad).map(String::len).sum());
    let mut bad = places.into_iter().zip(bad).peekable();
    for (at, line) in good.into_iter().enumerate() {
        while let Some((_, line)) = bad.next_if(|(place, _)| *place <= at) {
            text += &line;
        }
        text += &line;
    }
    bad.for_each(|(_, line)| text += &line);
    text
}
