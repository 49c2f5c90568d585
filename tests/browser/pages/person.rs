//! A person with a browser.

use crate::pages::driver::{Driver, Own};
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

/// The longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(30);
/// The interval between checks.
const OFTEN: Duration = Duration::from_millis(15);

/// Keys in WebDriver's encoding.
pub(crate) const TAB: &str = "\u{E004}";
pub(crate) const ENTER: &str = "\u{E007}";
pub(crate) const ESCAPE: &str = "\u{E00C}";
pub(crate) const RIGHT: &str = "\u{E014}";
pub(crate) const DOWN: &str = "\u{E015}";

pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) origin: String,
    profile: TempDir,
}

impl Person {
    pub(crate) async fn at(driver: &Driver, origin: &str) -> Self {
        let (client, profile) = driver.browser().await;
        Self { client, origin: origin.to_owned(), profile }
    }

    pub(crate) async fn goes(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.unwrap();
    }

    /// Returns path and query of the current page.
    pub(crate) async fn place(&self) -> String {
        let url: url::Url = self.client.current_url().await.unwrap();
        url[url::Position::BeforePath..].to_owned()
    }

    pub(crate) async fn is_at(&self, path: &str) {
        self.until(&format!("{path} is open"), async || Ok(self.place().await == path)).await;
    }

    /// Returns the HTTP status of the page.
    pub(crate) async fn status(&self) -> u64 {
        let status = self.script("return performance.getEntriesByType('navigation')[0].responseStatus").await;
        status.as_u64().unwrap()
    }

    /// Polls until a script returns the expected value.
    pub(crate) async fn until(&self, what: &str, so: impl AsyncFn() -> Result<bool, CmdError>) {
        let mut last = None;
        let wait = async {
            loop {
                match so().await {
                    Ok(true) => return,
                    Ok(false) => {}
                    // The page was replaced during the script.
                    Err(error) => last = Some(error),
                }
                tokio::time::sleep(OFTEN).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("timed out waiting until {what} ({last:?}) at {}:\n{}", self.place().await, self.text().await);
        }
    }

    /// Returns the visible text of the page.
    pub(crate) async fn text(&self) -> String {
        let text = self.script("return document.body.innerText.replace(/\\s+/g, ' ')").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn sees(&self, text: &str) {
        self.until(&format!("“{text}” shows"), async || Ok(self.text().await.contains(text))).await;
    }

    /// Asserts that a text is absent; call it only after other text of the same page was found.
    pub(crate) async fn does_not_see(&self, text: &str) {
        let shown = self.text().await;
        assert!(!shown.contains(text), "“{text}” shows at {}:\n{shown}", self.place().await);
    }

    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Returns the first visible match, in the dialog if one is open.
    pub(crate) async fn find(&self, what: &str, xpath: &str) -> Element {
        let found = std::cell::RefCell::new(None);
        self.until(&format!("{what} shows"), async || {
            let within = if self.client.find_all(Locator::Css("dialog[open]")).await?.is_empty() {
                ""
            } else {
                "//dialog[@open]"
            };
            let all: Vec<String> = xpath.split(" | ").map(|one| format!("{within}{one}")).collect();
            for element in self.client.find_all(Locator::XPath(&all.join(" | "))).await? {
                if element.is_displayed().await? {
                    found.replace(Some(element));
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await;
        found.into_inner().unwrap()
    }

    /// Returns the field with this label or accessible name.
    pub(crate) async fn field(&self, label: &str) -> Element {
        let named = format!("@id=//label[normalize-space(.)={0}]/@for or @aria-label={0}", quoted(label));
        // A disabled box has the reason after its name.
        let named = format!("{named} or starts-with(@aria-label, {})", quoted(&format!("{label} (")));
        let wraps = format!("ancestor::label[normalize-space(.)={}]", quoted(label));
        let kinds = "self::input or self::textarea or self::select";
        self.find(&format!("field “{label}”"), &format!("//*[({kinds}) and ({named} or {wraps})]")).await
    }

    pub(crate) async fn types(&self, label: &str, text: &str) {
        let field = self.field(label).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses a button or follows a link with exactly this text.
    pub(crate) async fn presses(&self, text: &str) {
        let is = format!("normalize-space(.)={}", quoted(text));
        let button =
            self.find(&format!("button “{text}”"), &format!("//button[{is}] | //a[{is}] | //summary[{is}]")).await;
        self.clicks(&button).await;
    }

    async fn clicks(&self, element: &Element) {
        let place = serde_json::to_value(element).unwrap();
        // Scroll as people do, so that no sticky element is hit.
        self.client.execute("arguments[0].scrollIntoView({block: 'center'})", vec![place]).await.unwrap();
        element.click().await.unwrap();
    }

    pub(crate) async fn ticks(&self, label: &str) {
        let field = self.field(label).await;
        self.clicks(&field).await;
    }

    pub(crate) async fn is_ticked(&self, label: &str) -> bool {
        self.field(label).await.is_selected().await.unwrap()
    }

    pub(crate) async fn can_tick(&self, label: &str) -> bool {
        self.field(label).await.is_enabled().await.unwrap()
    }

    pub(crate) async fn has_button(&self, text: &str) -> bool {
        let xpath = format!("//button[normalize-space(.)={0}] | //a[normalize-space(.)={0}]", quoted(text));
        !self.client.find_all(Locator::XPath(&xpath)).await.unwrap().is_empty()
    }

    pub(crate) async fn value(&self, label: &str) -> String {
        self.field(label).await.prop("value").await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn signs_in(&self, email: &str, password: &str) {
        self.goes("/admin/auth/login").await;
        self.types("E-mail", email).await;
        self.types("Password", password).await;
        self.presses("Sign in").await;
        self.sees("Admin Tokens").await;
    }

    /// Presses keys at the focus.
    pub(crate) async fn strikes(&self, keys: &str) {
        let all = keys.chars().fold(KeyActions::new("keys".into()), |all, key| {
            all.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key })
        });
        self.client.perform_actions(all).await.unwrap();
    }

    /// Presses Tab until this element has the focus, and asserts that the focus is visible all the way.
    pub(crate) async fn tabs_to(&self, name: &str) {
        let mut passed = Vec::new();
        while passed.len() < 120 {
            self.strikes(TAB).await;
            let focus = self.focus().await;
            let shows = "const a = document.activeElement; const s = getComputedStyle(a); const r = a.getClientRects()[0];
                const top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
                return a === document.body || s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 && a.contains(top)";
            assert_eq!(self.script(shows).await, true, "the focus is not visible: {focus}");
            if focus == name {
                return;
            }
            passed.push(focus);
        }
        panic!("the Tab key does not reach “{name}” at {}: {passed:?}", self.place().await);
    }

    /// Returns the accessible name of the focused element.
    pub(crate) async fn focus(&self) -> String {
        let element = self.client.active_element().await.unwrap();
        let label = self.client.issue_cmd(Own::label(element.element_id().as_ref())).await.unwrap();
        label.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn devtools(&self, command: &str, parameters: Value) {
        self.client.issue_cmd(Own::devtools(command, parameters)).await.unwrap();
    }

    pub(crate) async fn is_as_wide_as(&self, width: u32) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Sets colour scheme and width, without animations, so that no colour is read during a transition.
    pub(crate) async fn prefers(&self, scheme: &str) {
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Returns the browser's complaints since the last call, without rejected requests and invalid values, which tests send on purpose, and
    /// without its advice.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Own::log()).await.unwrap();
        let entries = log.as_array().unwrap().iter();
        let aside =
            |entry: &&Value| !matches!(entry["source"].as_str(), Some("network" | "rendering" | "recommendation"));
        entries.filter(aside).map(Value::to_string).collect()
    }

    /// Ends the browser and asserts that it had no complaints.
    pub(crate) async fn leaves(self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
        self.client.close().await.unwrap();
    }

    /// Ends the browser and asserts that its profile does not contain this text.
    pub(crate) async fn leaves_without(self, secrets: &[&str]) {
        let Self { client, profile, .. } = self;
        client.close().await.unwrap();
        let mut left = vec![profile.path().to_owned()];
        while let Some(place) = left.pop() {
            for entry in std::fs::read_dir(&place).into_iter().flatten().flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => left.push(path),
                    _ => {
                        let bytes = std::fs::read(&path).unwrap_or_default();
                        for secret in secrets {
                            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                            assert!(!found, "{} has it", path.display());
                        }
                    }
                }
            }
        }
    }
}

/// Quotes a text for XPath.
fn quoted(text: &str) -> String {
    match text.contains('\'') {
        false => format!("'{text}'"),
        true => format!("\"{text}\""),
    }
}
