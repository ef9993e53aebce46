//! Keys and users.

use reqwest::Method;
use towpath_resource::api::{
    CreatedKey, KeyOrder, KeyStatus, Listed, PasswordOrder, RotateOrder, UserOrder, UserStatus,
};

use super::{Answer, Client};

impl Client {
    /// Makes a key.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn create_key(&self, order: &KeyOrder) -> Answer<CreatedKey> {
        self.json(self.request(Method::POST, &["keys"]).json(order)).await
    }

    /// The keys.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn keys(&self) -> Answer<Vec<KeyStatus>> {
        Ok(self.get::<Listed<KeyStatus>>(&["keys"]).await?.items)
    }

    /// Gives a key, by name or id, a new secret.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn rotate_key(&self, key: &str, order: &RotateOrder) -> Answer<CreatedKey> {
        self.json(self.request(Method::POST, &["keys", key, "rotate"]).json(order)).await
    }

    /// Takes a key back, by name or id.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn revoke_key(&self, key: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["keys", key])).await
    }

    /// Takes the first admin's token back.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn revoke_admin_token(&self) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["admin-token"])).await
    }

    /// Makes a user.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn create_user(&self, order: &UserOrder) -> Answer<UserStatus> {
        self.json(self.request(Method::POST, &["users"]).json(order)).await
    }

    /// The users.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn users(&self) -> Answer<Vec<UserStatus>> {
        Ok(self.get::<Listed<UserStatus>>(&["users"]).await?.items)
    }

    /// Sets a user's password.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn set_password(&self, name: &str, password: String) -> Answer<()> {
        let request = self.request(Method::PUT, &["users", name, "password"]);
        self.done(request.json(&PasswordOrder { password })).await
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn delete_user(&self, name: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["users", name])).await
    }
}
