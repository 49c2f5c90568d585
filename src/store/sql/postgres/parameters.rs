//! The parameters of a database address.

use super::error::OpenError;

/// The parameters that the driver knows. It would log all others with their values, which may be secrets
/// (`sslpassword`).
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Rejects unknown parameters by name.
pub(super) fn check(url: &str) -> Result<(), OpenError> {
    let parameters = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, parameters)| parameters);
    let mut names = parameters.split('&').map(|parameter| parameter.split('=').next().unwrap_or_default());
    match names.find(|name| !name.is_empty() && !is_known(name)) {
        None => Ok(()),
        // A password with an unencoded `?` looks like this.
        Some(_) if parameters.contains('@') => Err(OpenError::Parameter(None)),
        Some(name) => Err(OpenError::Parameter(Some(name.to_owned()))),
    }
}

/// Brackets may be encoded.
fn is_known(name: &str) -> bool {
    let begins = ["options[", "options%5B", "options%5b"].iter().find_map(|begin| name.strip_prefix(begin));
    KNOWN.contains(&name) || begins.is_some_and(|rest| ["]", "%5D", "%5d"].iter().any(|end| rest.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(url: &str) -> Option<String> {
        check(url).err().map(|error| error.to_string())
    }

    #[test]
    fn known_parameters_are_accepted() {
        for name in KNOWN {
            assert_eq!(error_of(&format!("postgres://u@h/d?{name}=x")), None, "{name}");
        }
        for url in [
            "postgres://u:p@h/d",
            "postgres://u:p@h/d?",
            "postgres://u:p@h/d?&sslmode=require&",
            "postgres://u@h/d?options[search_path]=a&options%5Bgeqo%5D=off#sslpassword=fragment",
            "postgres://h/d?user=ada@example.test&password=a?b=c",
        ] {
            assert_eq!(error_of(url), None, "{url}");
        }
    }

    #[test]
    fn unknown_parameters_are_rejected_by_name() {
        for name in ["sslpassword", "SSLMODE", "ssl%6Dode", "options[", "options[x", "connect_timeout"] {
            let error = error_of(&format!("postgres://u@h/d?sslmode=require&{name}=hunter2")).unwrap();
            assert!(error.contains(&format!("({name})")) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_part_of_a_password_is_not_shown_as_a_name() {
        for url in ["postgres://u:a?hunter2@h/d", "postgres://u:a?hunter2=b@h/d", "postgres://u:a?b&hunter2@h/d?user=x"]
        {
            let error = error_of(url).unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
