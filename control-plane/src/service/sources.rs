//! Checks the systems behind sources.

use towpath_resource::api::SourceCheck;
use towpath_resource::{Kind, Object, Permission, SourceSpec};

use super::{Asker, Refusal, Service};

impl Service {
    /// Looks whether the system behind a source is ready to be read.
    ///
    /// # Errors
    /// It is not there, its agent cannot be asked, or it is not the asker's to check.
    pub async fn check_source(&self, asker: &Asker, name: &str) -> Result<SourceCheck, Refusal> {
        let state = self.catalog();
        self.require(asker, &state, Permission::operate(Object::Resource(Kind::Source)), Kind::Source, name)?;
        let source = state.require::<SourceSpec>(name)?;
        let findings = self.plane().check_source(source.id).await?;
        Ok(SourceCheck { source: source.name().clone(), findings })
    }
}
