//! The name of a session's device, by its `User-Agent`.

/// The maximum length of a name: the client chooses the header.
const LONGEST: usize = 60;

/// Browsers by a word in their header, the most specific first: Edge and Opera also name Chrome, and Chrome also names
/// Safari.
const BROWSERS: [(&str, &str); 5] =
    [("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Version/", "Safari")];
/// Operating systems, the most specific first: phones also name the system that theirs is based on.
const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// Returns a short name for this `User-Agent` (RFC 9110 section 10.1.5): "Firefox on Linux" for a browser, else the
/// first product, "curl/8.5.0". The client chooses it, so it proves nothing.
pub(super) fn device_name(user_agent: &str) -> String {
    let find = |words: &[(&str, &'static str)]| words.iter().find(|(word, _)| user_agent.contains(word)).map(|w| w.1);
    match (user_agent.starts_with("Mozilla/").then(|| find(&BROWSERS)).flatten(), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ => {
            let first = user_agent.split_ascii_whitespace().next().unwrap_or_default();
            first.chars().filter(char::is_ascii_graphic).take(LONGEST).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::device_name;

    #[test]
    fn a_user_agent_becomes_a_short_name() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1";
        assert_eq!(device_name(firefox), "Firefox on Linux");
        assert_eq!(device_name(edge), "Edge on Windows");
        assert_eq!(device_name(phone), "Safari on iPhone");
        assert_eq!(device_name("curl/8.5.0"), "curl/8.5.0");
        assert_eq!(device_name("python-requests/2.32 x"), "python-requests/2.32");
        assert_eq!(device_name(""), "");
        assert_eq!(device_name("\u{202e}<b>\u{200b}").len(), 3);
        assert_eq!(device_name(&"x".repeat(5_000)).len(), 60);
    }
}
