//! Salts and encryption keys, from the environment or from files. Where no other machine can connect, public ones stand in for missing ones.

use keyward::token::{EncryptionKeys, HashKeyRing, InvalidEncryptionKey, InvalidHashKey};

/// Known to everybody who can read: for trying things out on one's own machine.
const DEVELOPMENT_SALT: &str = "development-only-salt-that-everybody-knows-0123456789";
const DEVELOPMENT_KEY: &str = "development-only-encryption-key-that-everybody-knows-0123456789";

/// Returns the value of one of these variables, or the text of the file that a flag or a variable with `_FILE` at its end names. An empty
/// variable counts as given, and the parser of the secret refuses it.
pub(crate) fn given(
    variables: &[&str],
    file: Option<(&str, &str)>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    found.extend(file.map(|(flag, file)| (flag.to_owned(), Some(file.to_owned()))));
    for name in variables {
        let of_file = format!("{name}_FILE");
        if let Some(file) = variable(&of_file) {
            found.push((of_file, Some(file)));
        }
        if variable(name).is_some() {
            found.push(((*name).to_owned(), None));
        }
    }
    match &found[..] {
        [] => Ok(None),
        [(name, None)] => Ok(variable(name)),
        // Editors and `echo` end a file with a line break. What it holds is a secret, and is not said.
        [(name, Some(file))] => match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => Err(format!("{name} names the file {file:?}, which cannot be read: {error}")),
        },
        [(one, _), (other, _), ..] => Err(format!("it is given twice, by {one} and by {other}: keep one of them")),
    }
}

/// The salts that were given; `None` if there is none and others can connect.
pub(crate) fn hash_keys(given: Option<String>, alone: bool) -> Result<Option<HashKeyRing>, InvalidHashKey> {
    match given {
        Some(text) => HashKeyRing::parse(&text).map(Some),
        None if alone => {
            eprintln!("WARNING: KEYWARD_SALT is not set. Using the development salt, which everybody knows:");
            eprintln!("WARNING: whoever can write to the database can make tokens of their own with it.");
            HashKeyRing::parse(DEVELOPMENT_SALT).map(Some)
        }
        None => Ok(None),
    }
}

/// The encryption keys that were given; `None` if there is none and others can connect.
pub(crate) fn encryption(given: Option<String>, alone: bool) -> Result<Option<EncryptionKeys>, InvalidEncryptionKey> {
    match given {
        Some(text) => EncryptionKeys::parse(&text).map(Some),
        None if alone => {
            eprintln!("WARNING: KEYWARD_ENCRYPTION_KEY is not set. Using the development key, which everybody knows:");
            eprintln!("WARNING: whoever can read the database can read the keys of its tokens.");
            EncryptionKeys::parse(DEVELOPMENT_KEY).map(Some)
        }
        None => Ok(None),
    }
}
