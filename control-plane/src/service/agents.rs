//! Cuts agents off.

use towpath_resource::{Kind, Object, Permission};

use super::{Asker, Refusal, Service, Shown};

impl Service {
    /// Cuts an agent off at once and for good. Doing it twice is doing it once.
    ///
    /// # Errors
    /// It is not there, or not the asker's to cut off.
    pub async fn revoke_agent(&self, asker: &Asker, name: &str) -> Result<Shown, Refusal> {
        let operate = Permission::operate(Object::Resource(Kind::Agent));
        let resource = self.require(asker, &self.catalog(), operate, Kind::Agent, name)?;
        let (revoked, cause) = (name.to_owned(), asker.cause.clone());
        self.command(move |catalog| catalog.revoke_agent(&revoked, &cause)).await?;
        Ok(self.shown(resource))
    }
}
