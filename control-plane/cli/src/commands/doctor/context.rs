//! The context file, and what the environment says.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;
use towpath_resource::api::Finding;

use crate::context::{Context, ContextFile};

/// How soon the end of a login is worth a word.
const SOON_HOURS: i64 = 24;

/// The context in use, if it is usable.
pub(super) fn examine(
    file: Option<&Path>,
    name: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Option<Context> {
    let about = "context";
    let contexts = match ContextFile::open(file) {
        Ok(contexts) => contexts,
        Err(error) => {
            findings.push(Finding::failed(about, error.to_string(), "have the file mended or made anew"));
            return None;
        }
    };
    let (name, context) = match contexts.chosen(name) {
        Ok((name, context)) => (name.to_owned(), context.clone()),
        Err(error) => {
            findings.push(Finding::failed(about, error.to_string(), "run `towpath login`"));
            return None;
        }
    };
    let found = format!("`{name}` in {}: {}, {}", contexts.path().display(), context.server, context.login());
    findings.push(Finding::good(about, found));
    findings.extend(permissions(contexts.path()));
    findings.push(login(&context));
    Some(context)
}

/// Whether others can read the token.
fn permissions(path: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let about = "context file";
    Some(if mode & 0o077 == 0 {
        Finding::good(about, format!("mode {mode:o}: its owner's only"))
    } else {
        let found = format!("mode {mode:o}: others on this machine can read the token");
        Finding::failed(
            about,
            found,
            format!("chmod 600 {}; then log in anew, for the token may be known", path.display()),
        )
    })
}

fn login(context: &Context) -> Finding {
    let about = "login";
    if context.token.is_empty() {
        return Finding::failed(about, "it was logged out", "run `towpath login`");
    }
    let Some(session) = &context.session else { return Finding::good(about, "by a token that does not end") };
    let left = session.expires_at.duration_since(Timestamp::now());
    match (session.refresh_token.is_some(), left.as_hours()) {
        (true, _) => Finding::good(about, "by a session that is renewed by itself"),
        (false, _) if left.is_negative() => Finding::failed(
            about,
            format!("the session ended at {}", session.expires_at),
            "run `towpath login`",
        ),
        (false, hours) if hours < SOON_HOURS => Finding::warning(
            about,
            format!("the session ends at {} and cannot be renewed", session.expires_at),
            "run `towpath login` before then",
        ),
        (false, _) => Finding::good(about, format!("by a session until {}", session.expires_at)),
    }
}

/// What is set to go through a proxy does not concern the control plane, but may explain what does not work.
pub(super) fn proxies(variable: impl Fn(&str) -> Option<String>) -> Finding {
    const NAMES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];
    let set = NAMES.iter().filter(|name| variable(name).is_some_and(|value| !value.is_empty()));
    let set: Vec<_> = set.copied().collect();
    let about = "proxy settings";
    if set.iter().all(|name| name.eq_ignore_ascii_case("no_proxy")) {
        return Finding::good(about, "none are set");
    }
    Finding::warning(
        about,
        format!("{} set; the control plane is reached directly, whatever they say", set.join(", ")),
        "only `towpath login --device` uses them, to reach the identity provider",
    )
}

#[cfg(test)]
mod tests {
    use towpath_resource::api::Verdict;

    use super::*;
    use crate::context::Session;

    #[test]
    fn a_file_that_others_can_read_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.yaml");
        let context = Context::with_token("https://x", "tpa1.secret", "pem");
        ContextFile::change(Some(&path), |contexts| contexts.keep("default", context)).unwrap();
        let look = || {
            let mut findings = Vec::new();
            assert!(examine(Some(&path), None, &mut findings).is_some());
            assert!(findings.iter().all(|finding| !finding.to_string().contains("tpa1.secret")));
            findings.iter().map(|finding| finding.verdict).max()
        };
        assert_eq!(look(), Some(Verdict::Good));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(look(), Some(Verdict::Failed));
    }

    #[test]
    fn a_session_that_is_over_is_a_fault_unless_it_renews_itself() {
        let session = |hours: i64, refresh_token: Option<&str>| {
            let expires_at = Timestamp::now() + jiff::SignedDuration::from_hours(hours);
            let session =
                Session { expires_at, refresh_token: refresh_token.map(Into::into), provider: None };
            login(&Context { session: Some(session), ..Context::with_token("https://x", "t", "pem") }).verdict
        };
        assert_eq!(session(-1, None), Verdict::Failed);
        assert_eq!(session(2, None), Verdict::Warning);
        assert_eq!([session(99, None), session(-1, Some("r"))], [Verdict::Good; 2]);
    }

    #[test]
    fn proxies_are_named_without_their_passwords() {
        let set = proxies(|name| (name == "HTTPS_PROXY").then(|| "http://u:secret@proxy:3128".to_owned()));
        assert_eq!(set.verdict, Verdict::Warning);
        assert!(set.found.contains("HTTPS_PROXY") && !set.to_string().contains("secret"));
        assert_eq!(proxies(|_| None).verdict, Verdict::Good);
    }
}
