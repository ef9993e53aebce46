//! The demo's way to its control plane: the same client that every other command uses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use towpath_record::{ResourceName, TimeSpan};
use towpath_resource::api::{Applied, ApplyOutcome, FleetStatus, TokenOrder};

use crate::client::{Client, ClientError, LetterArgs};
use crate::context::{ContextError, ContextFile};

use super::observe::{Files, Observation};
use super::place::Place;

/// How long an enrolment token can be used, which the demo does at once.
const TOKEN_TTL: TimeSpan = TimeSpan(Duration::from_secs(600));
/// So many of the newest dead letters are shown.
const LETTERS: usize = 10;

/// The way to the control plane.
#[derive(Debug)]
pub(super) struct Control {
    client: Client,
    address: String,
}

/// The control plane did not do what the demo asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The admin's context that it wrote is not usable.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// It did not answer as wished.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It refused a resource.
    #[error("the control plane refuses {subject} of {}: {why}", file.display())]
    Refused {
        /// The file of resources.
        file: PathBuf,
        /// The resource.
        subject: String,
        /// Why.
        why: String,
    },
}

impl Control {
    /// The way that the context file describes.
    pub(super) fn from_context(file: &Path) -> Result<Self, ControlError> {
        let contexts = ContextFile::open(Some(file))?;
        let (_, context) = contexts.chosen(None)?;
        let address = context.server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        Ok(Self { client: Client::new(context)?, address })
    }

    /// Host and port, for agents to enrol at.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it answers.
    pub(super) async fn is_ready(&self) -> bool {
        self.client.status().await.is_ok()
    }

    /// Applies the resources of a file.
    pub(super) async fn apply(&self, file: &Path, text: &str) -> Result<(), ControlError> {
        let report = self.client.apply(text, false).await?;
        match report.results.into_iter().find(|result| result.outcome == ApplyOutcome::Refused) {
            None => Ok(()),
            Some(Applied { subject, error, faults, .. }) => {
                let faults = faults.iter().map(ToString::to_string);
                let why = error.into_iter().chain(faults).collect::<Vec<_>>().join("; ");
                Err(ControlError::Refused { file: file.to_owned(), subject, why })
            }
        }
    }

    /// Makes a token with which one agent may enrol at the site.
    pub(super) async fn token(&self, site: &str) -> Result<String, ControlError> {
        let site = ResourceName::new(site).expect("the demo's sites have valid names");
        Ok(self.client.create_token(&TokenOrder { site, ttl: TOKEN_TTL }).await?.token)
    }

    /// How the fleet goes.
    pub(super) async fn fleet(&self) -> Result<FleetStatus, ControlError> {
        Ok(self.client.status().await?)
    }

    /// Looks at everything.
    pub(super) async fn observe(&self, place: &Place) -> Result<Observation, ControlError> {
        let letters = LetterArgs { limit: Some(LETTERS), ..LetterArgs::default() };
        // Files first: what is put away by now is in the log that is looked at afterwards.
        let files = Files::count(place);
        let streams = self.client.streams().await?;
        let letters = self.client.dead_letters(&letters).await?;
        let fleet = self.client.status().await?;
        Ok(Observation { fleet, streams, letters, files })
    }
}
