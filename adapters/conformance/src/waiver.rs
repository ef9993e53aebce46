//! Laws that an adapter is excused from.

use anyhow::{Context, bail};

/// A law that an adapter cannot keep, and why. The reason is for the adapter's users and stands in its docs.
#[derive(Clone, Copy, Debug)]
pub struct Waiver {
    /// The name of the law.
    pub law: &'static str,
    /// Why it cannot be kept.
    pub reason: &'static str,
}

/// Judges the outcome of a law.
pub(crate) fn judge(
    law: &'static str,
    outcome: anyhow::Result<()>,
    waivers: &[Waiver],
) -> anyhow::Result<()> {
    match (outcome, waivers.iter().find(|waiver| waiver.law == law)) {
        (outcome, None) => outcome.with_context(|| format!("the law `{law}` is broken")),
        (Ok(()), Some(waiver)) => bail!("the law `{law}` holds, yet it is waived because {}", waiver.reason),
        (Err(broken), Some(waiver)) => {
            tracing::info!(law, reason = waiver.reason, %broken, "waived");
            Ok(())
        }
    }
}

/// Refuses waivers of laws that are not in the suite.
pub(crate) fn check_names(laws: &[&str], waivers: &[Waiver]) -> anyhow::Result<()> {
    match waivers.iter().find(|waiver| !laws.contains(&waiver.law)) {
        Some(waiver) => bail!("there is no law `{}` to waive; there are: {}", waiver.law, laws.join(", ")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCUSED: &[Waiver] = &[Waiver { law: "flies", reason: "it has no wings" }];

    #[test]
    fn a_broken_law_is_excused_only_by_its_waiver() {
        assert!(judge("flies", Err(anyhow::anyhow!("it fell")), EXCUSED).is_ok());
        assert!(judge("swims", Err(anyhow::anyhow!("it sank")), EXCUSED).is_err());
    }

    #[test]
    fn a_waiver_does_not_outlive_its_cause() {
        assert!(judge("flies", Ok(()), EXCUSED).unwrap_err().to_string().contains("it has no wings"));
        assert!(check_names(&["swims"], EXCUSED).is_err());
    }
}
