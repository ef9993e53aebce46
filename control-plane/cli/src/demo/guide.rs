//! What a user can do next: where to drop files, where the results lie, which commands to try.

use std::env;
use std::path::Path;

use super::crm;
use super::place::Place;
use super::resources::ROUTES;

const PROGRAM: &str = "towpath";

/// What a user can do next.
#[derive(Clone, Debug)]
pub(super) struct Guide {
    /// The demo's directory.
    pub(super) root: String,
    /// What lies where below it.
    pub(super) places: [(&'static str, &'static str); 4],
    /// What makes the commands find the demo.
    pub(super) preparation: Vec<String>,
    /// Commands, in the order in which to try them.
    pub(super) commands: [String; 5],
}

impl Guide {
    /// The guide to this place.
    pub(super) fn new(place: &Place) -> Self {
        let [route, _] = ROUTES;
        let context = quoted(&place.context());
        let mut preparation = vec![format!("export TOWPATH_CONTEXT={context}")];
        // From a build directory, this program is not found by its name.
        if let Ok(own) = env::current_exe()
            && !is_in_path()
        {
            preparation.push(format!("alias {PROGRAM}={}", quoted(&own)));
        }
        Self {
            root: place.root().display().to_string(),
            places: [
                ("drop files into", "drop/"),
                ("CRM", "crm/"),
                ("results", "out/erp.sqlite, out/outbox/"),
                ("logs", "logs/"),
            ],
            preparation,
            commands: [
                format!("{PROGRAM} status"),
                format!("{PROGRAM} deadletters list"),
                format!("{PROGRAM} tail {} --follow", crm::STREAM),
                format!("{PROGRAM} describe route {route}"),
                format!("{PROGRAM} compare {}", crm::ROUTE),
            ],
        }
    }
}

fn is_in_path() -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .any(|directory| directory.join(PROGRAM).is_file())
}

/// A path as a POSIX shell takes it.
fn quoted(path: &Path) -> String {
    let word = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_a_shell_takes_it() {
        assert_eq!(quoted(Path::new("/srv/towpath-demo-1")), "/srv/towpath-demo-1");
        assert_eq!(quoted(Path::new("/srv/my demo's")), r"'/srv/my demo'\''s'");
    }
}
