//! What the control plane answers: its clock, its version, and whether it knows us.

use std::path::Path;

use jiff::Timestamp;
use towpath_resource::api::Finding;

use crate::client::Client;
use crate::context::Context;

pub(super) async fn examine(
    file: Option<&Path>,
    name: Option<&str>,
    context: &Context,
    findings: &mut Vec<Finding>,
) {
    let client = match Client::new(context) {
        Ok(client) => client,
        Err(error) => return findings.push(Finding::failed("API", error.to_string(), "run `towpath login`")),
    };
    match client.clock().await {
        Ok(Some(theirs)) => findings.push(Finding::clock(theirs, Timestamp::now())),
        Ok(None) => {
            findings.push(Finding::warning("clock", "the server tells no time", "compare clocks by hand"));
        }
        Err(error) => {
            let remedy = "look at the control plane's log";
            return findings.push(Finding::failed("API", error.to_string(), remedy));
        }
    }
    // From here on with the session, which is renewed if need be.
    let client = match Client::of(file, name) {
        Ok(client) => client,
        Err(error) => {
            return findings.push(Finding::failed("token", error.to_string(), "run `towpath login`"));
        }
    };
    match client.is_known().await {
        Ok(true) => findings.push(Finding::good("token", "the control plane takes it")),
        Ok(false) => {
            let remedy = "it ended or was taken back: run `towpath login`";
            return findings.push(Finding::failed("token", "the control plane does not take it", remedy));
        }
        Err(error) => {
            return findings.push(Finding::failed("token", error.to_string(), "run `towpath login`"));
        }
    }
    // Who may not see the status may do other things.
    if let Ok(status) = client.status().await {
        findings.push(version(&status.version, env!("CARGO_PKG_VERSION")));
    }
}

fn version(theirs: &str, ours: &str) -> Finding {
    if theirs == ours {
        return Finding::good("version", format!("{ours} here and there"));
    }
    let found = format!("{ours} here, {theirs} at the control plane");
    Finding::warning("version", found, "use the command line of the control plane's version")
}

#[cfg(test)]
mod tests {
    use towpath_resource::api::Verdict;

    use super::*;

    #[test]
    fn another_version_is_worth_a_word() {
        assert_eq!(version("1.0.0", "1.0.0").verdict, Verdict::Good);
        assert_eq!(version("1.1.0", "1.0.0").verdict, Verdict::Warning);
    }
}
