//! What a session's device is called, as far as its `User-Agent` tells.

/// Longer names are cut: the client chooses what the header says.
const LONGEST: usize = 60;

/// Browsers by the word that tells them from others, the most telling first: Edge and Opera also say Chrome, and Chrome also Safari.
const BROWSERS: [(&str, &str); 5] =
    [("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Version/", "Safari")];
/// Phones also name the system that theirs is made of.
const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// A short name for the device that sends this `User-Agent` (RFC 9110 section 10.1.5): "Firefox on Linux" for a browser, else its first product,
/// "curl/8.5.0". Empty where there is none. It is what a client says of itself, and proves nothing.
pub(super) fn device_name(user_agent: &str) -> String {
    let named = |words: &[(&str, &'static str)]| words.iter().find(|(word, _)| user_agent.contains(word)).map(|w| w.1);
    match (user_agent.starts_with("Mozilla/").then(|| named(&BROWSERS)).flatten(), named(&SYSTEMS)) {
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
    fn a_device_has_a_short_name() {
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
