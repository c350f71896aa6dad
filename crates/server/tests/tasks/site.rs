//! What a server of these tests is started with.

use std::path::Path;

use quintet_testkit::modal::Fake;
use serde_json::{Value, json};

use super::{House, TOKEN};

/// Which backends there are, and what the server is told.
#[derive(Default)]
pub struct Site {
    environment: Vec<(String, String)>,
    /// Sections of the settings file.
    settings: serde_json::Map<String, Value>,
    has_ray: bool,
    modal_is_absent: bool,
}

impl Site {
    /// With a variable in the server's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a section of the settings file.
    pub fn section(mut self, name: &str, section: Value) -> Self {
        self.settings.insert(name.to_owned(), section);
        self
    }

    /// With a section `tasks` in the settings file.
    pub fn tasks(self, section: Value) -> Self {
        self.section("tasks", section)
    }

    /// With a Ray backend beside the other.
    pub fn with_ray(mut self) -> Self {
        self.has_ray = true;
        self
    }

    /// Without a Modal backend.
    pub fn without_modal(mut self) -> Self {
        self.modal_is_absent = true;
        self
    }

    /// Starts the backends and the server.
    pub fn open(self) -> House {
        self.prepared(|_, _| {})
    }

    /// Like [`Site::open`], with something done to the backends before the server asks them anything.
    pub fn prepared(self, prepare: impl FnOnce(&Fake, Option<&Fake>)) -> House {
        let modal = Fake::start().expect("backend");
        let ray = self.has_ray.then(|| Fake::start().expect("backend"));
        prepare(&modal, ray.as_ref());
        let mut house = House {
            server: None,
            modal,
            ray,
            database: None,
            folder: tempfile::tempdir().expect("folder"),
            site: self,
        };
        house.open();
        house
    }

    pub(super) fn environment(&self, modal: &Fake, ray: Option<&Fake>) -> Vec<(String, String)> {
        let own = |name: &str, value: String| (name.to_owned(), value);
        let mut all = Vec::new();
        if !self.modal_is_absent {
            all.extend([own("MODAL_URL", modal.url()), own("MODAL_TOKEN", TOKEN.to_owned())]);
        }
        all.extend(ray.map(|ray| own("RAY_URL", ray.url())));
        all.extend(self.environment.iter().cloned());
        all
    }

    /// Writes the settings file, if there is something in it.
    pub(super) fn arguments(&self, folder: &Path) -> Vec<String> {
        if self.settings.is_empty() {
            return Vec::new();
        }
        // JSON is YAML too.
        let file = folder.join("settings.yaml");
        std::fs::write(&file, json!(self.settings).to_string()).expect("settings");
        vec!["--config".to_owned(), file.display().to_string()]
    }
}
