//! Who this agent is, and whether only it knows its key.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use towpath_resource::api::Finding;

use crate::control::identity::Identity;
use crate::control::identity_store::{IdentityStore, StoreError};

const ABOUT: &str = "identity";

/// A running agent renews its certificate when a third of its life is left; one with less than this was not renewed.
const LEAST_SHARE_LEFT: f64 = 0.2;

/// The agent's identity, if it is usable.
pub(super) fn examine(state_dir: &Path, findings: &mut Vec<Finding>) -> Option<Identity> {
    let store = IdentityStore::new(state_dir);
    let identity = match store.load() {
        Ok(identity) => identity,
        Err(error @ StoreError::NotEnrolled { .. }) => {
            let remedy =
                "make a token with `towpath token create --site SITE`, then run `towpath-agent enroll`";
            findings.push(Finding::failed(ABOUT, error.to_string(), remedy));
            return None;
        }
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let remedy = "run this as the agent's user; if the files are damaged, enrol anew with `--force`";
            findings.push(Finding::failed(ABOUT, format!("{error}{cause}"), remedy));
            return None;
        }
    };
    let enrolment = identity.enrolment();
    let who = format!(
        "agent {} ({}), of the control plane at {}",
        enrolment.name,
        identity.uri(),
        enrolment.server
    );
    findings.push(Finding::good(ABOUT, who));
    findings.extend(private(store.dir()));
    findings.push(certificate(&identity, SystemTime::now()));
    Some(identity)
}

/// Whether others can read the key.
#[cfg(unix)]
fn private(dir: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(dir).ok()?.permissions().mode() & 0o777;
    Some(if mode & 0o077 == 0 {
        Finding::good("key", format!("in {}, its owner's only", dir.display()))
    } else {
        let found = format!("{} has mode {mode:o}: others on this machine can reach the key", dir.display());
        let remedy =
            format!("chmod 700 {}; then enrol anew with `--force`, for the key may be known", dir.display());
        Finding::failed("key", found, remedy)
    })
}

#[cfg(not(unix))]
fn private(_: &Path) -> Option<Finding> {
    None
}

fn certificate(identity: &Identity, now: SystemTime) -> Finding {
    let about = "certificate";
    let end = Timestamp::try_from(identity.not_after()).unwrap_or(Timestamp::MAX);
    if identity.not_after() <= now {
        let remedy = "enrol anew with `towpath-agent enroll --force` and a new token";
        return Finding::failed(about, format!("it ended at {end}"), remedy);
    }
    if let Err(error) = identity.verify(now) {
        let remedy = "if this machine's clock is right, enrol anew with `--force`";
        return Finding::failed(about, error.to_string(), remedy);
    }
    let life = identity.not_after().duration_since(identity.not_before()).unwrap_or(Duration::MAX);
    let left = identity.not_after().duration_since(now).unwrap_or_default();
    if left.as_secs_f64() < life.as_secs_f64() * LEAST_SHARE_LEFT {
        let remedy = "start the agent and see that it reaches the control plane: then it renews by itself";
        return Finding::warning(about, format!("it ends at {end} and was not renewed in time"), remedy);
    }
    Finding::good(about, format!("ends at {end}; it is renewed before"))
}

#[cfg(test)]
mod tests {
    use towpath_resource::api::Verdict;

    use super::*;
    use crate::control::test_authority::TestAuthority;

    #[test]
    fn an_enrolled_agent_is_well_and_one_that_is_not_is_told_how_to_become_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut findings = Vec::new();
        assert!(examine(dir.path(), &mut findings).is_none());
        assert!(findings[0].remedy.as_deref().unwrap().contains("towpath token create"));
        IdentityStore::new(dir.path()).save(&TestAuthority::new().identity(1)).unwrap();
        let mut findings = Vec::new();
        assert!(examine(dir.path(), &mut findings).is_some());
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_reach_is_a_fault() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(dir.path());
        store.save(&TestAuthority::new().identity(1)).unwrap();
        std::fs::set_permissions(store.dir(), std::fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(private(store.dir()).unwrap().verdict, Verdict::Failed);
    }

    #[test]
    fn a_certificate_is_judged_by_what_is_left_of_it() {
        let identity = TestAuthority::new().identity(1);
        let life = identity.not_after().duration_since(identity.not_before()).unwrap();
        let at = |share: f64| certificate(&identity, identity.not_before() + life.mul_f64(share)).verdict;
        assert_eq!([at(0.5), at(0.9), at(1.1)], [Verdict::Good, Verdict::Warning, Verdict::Failed]);
    }
}
