//! A platform on a new file, and people with their browsers.

use crate::pages::driver::Driver;
use crate::pages::person::Person;
use keyward_test_support::platform::{Answer, Server, platform};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The password of every person.
pub(crate) const PASSWORD: &str = "Passw0rd!";
/// The super admin and the editor of the demo data.
pub(crate) const ROOT: &str = "root@example.test";
pub(crate) const EDDA: &str = "edda@example.test";

/// The encryption key that seals secrets.
pub(crate) const KEYS: &str = "Yd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";

pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) driver: Driver,
    _dir: TempDir,
}

impl Scene {
    /// Starts with the demo data: people, roles and tokens.
    pub(crate) fn with_demo_data() -> Option<Self> {
        Self::of(&[], |_| {})
    }

    /// Starts without any account.
    pub(crate) fn empty() -> Option<Self> {
        Self::of(&["--empty"], |_| {})
    }

    /// Starts after `before` has prepared the file.
    pub(crate) fn of(arguments: &[&str], before: impl FnOnce(&std::path::Path)) -> Option<Self> {
        let driver = Driver::start()?;
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("platform.db");
        before(&file);
        let mut command = platform(&file);
        command.args(arguments).env("KEYWARD_ENCRYPTION_KEY", KEYS);
        Some(Self { server: Server::start(command), driver, _dir: dir })
    }

    /// Opens a browser with a new profile.
    pub(crate) async fn open_browser(&self) -> Person {
        Person::at(&self.driver, &self.server.url()).await
    }

    /// Opens a browser and signs in a person of the demo data.
    pub(crate) async fn signed_in(&self, email: &str) -> Person {
        let person = self.open_browser().await;
        person.signs_in(email, PASSWORD).await;
        person
    }

    /// Opens a session for the API.
    pub(crate) fn session(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD}).to_string();
        let answer = self.server.send("POST", "/admin/login", &["Content-Type: application/json"], &body);
        answer.assert(200).at("/data/token").as_str().unwrap().to_owned()
    }

    /// Returns the path to accept an invitation at.
    pub(crate) fn invitation(&self, session: &str) -> String {
        let new =
            json!({"email": "new@example.test", "firstname": "New", "lastname": "Comer", "roles": []}).to_string();
        let answer = self.server.json("POST", "/admin/users", session, &new).assert(201);
        let secret = answer.at("/data/registrationToken");
        format!("/admin/auth/register?registrationToken={}", secret.as_str().unwrap())
    }

    /// Sends a request with this secret.
    pub(crate) fn ask(&self, key: &str) -> Answer {
        self.server.get("/admin/ping", key)
    }

    /// Returns the admin token of this name from the API.
    pub(crate) fn token(&self, session: &str, name: &str) -> Option<Value> {
        let all = self.server.get("/admin/admin-tokens", session).assert(200).at("/data");
        all.as_array().unwrap().iter().find(|token| token["name"] == name).cloned()
    }
}
