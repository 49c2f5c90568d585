//! Hash keys and encryption keys, from the environment or from files. Where no other machine can connect, public
//! development keys replace missing ones.

use keyward::token::{EncryptionKeys, HashKeyRing, InvalidEncryptionKey, InvalidHashKey};

/// Public keys, for trials on one machine. Do not change them: existing trial databases use them.
const DEVELOPMENT_HASH_KEY: &str = "development-only-salt-that-everybody-knows-0123456789";
const DEVELOPMENT_ENCRYPTION_KEY: &str = "development-only-encryption-key-that-everybody-knows-0123456789";

/// Reads a secret from one of these variables, or from the file that a flag or a variable ending in `_FILE` names. An
/// empty variable counts as set, and the parser of the secret rejects it.
pub(crate) fn read(
    variables: &[&str],
    file: Option<(&str, &str)>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    let mut sources: Vec<(String, Option<String>)> = Vec::new();
    sources.extend(file.map(|(flag, file)| (flag.to_owned(), Some(file.to_owned()))));
    for name in variables {
        let file_variable = format!("{name}_FILE");
        if let Some(file) = variable(&file_variable) {
            sources.push((file_variable, Some(file)));
        }
        if variable(name).is_some() {
            sources.push(((*name).to_owned(), None));
        }
    }
    match &sources[..] {
        [] => Ok(None),
        [(name, None)] => Ok(variable(name)),
        // Editors and `echo` end a file with a line break. Errors never show the content, which is a secret.
        [(name, Some(file))] => match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => Err(format!("{name} names the file {file:?}, which cannot be read: {error}")),
        },
        [(one, _), (other, _), ..] => Err(format!("it is set twice, by {one} and by {other}: keep one of them")),
    }
}

/// Parses the hash keys; `None` if none is set and other machines can connect (`alone` is false).
pub(crate) fn hash_keys(text: Option<String>, alone: bool) -> Result<Option<HashKeyRing>, InvalidHashKey> {
    match text {
        Some(text) => HashKeyRing::parse(&text).map(Some),
        None if alone => {
            eprintln!("WARNING: KEYWARD_HASH_KEY is not set. Using the development hash key, which is public:");
            eprintln!("WARNING: a program that can write to the database can make valid tokens with it.");
            HashKeyRing::parse(DEVELOPMENT_HASH_KEY).map(Some)
        }
        None => Ok(None),
    }
}

/// Parses the encryption keys; `None` if none is set and other machines can connect.
pub(crate) fn encryption(text: Option<String>, alone: bool) -> Result<Option<EncryptionKeys>, InvalidEncryptionKey> {
    match text {
        Some(text) => EncryptionKeys::parse(&text).map(Some),
        None if alone => {
            eprintln!("WARNING: KEYWARD_ENCRYPTION_KEY is not set. Using the development key, which is public:");
            eprintln!("WARNING: a program that can read the database can read the secrets of its tokens.");
            EncryptionKeys::parse(DEVELOPMENT_ENCRYPTION_KEY).map(Some)
        }
        None => Ok(None),
    }
}
