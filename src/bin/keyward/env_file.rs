//! Files of `NAME=VALUE` lines, as systemd, Docker and shells read them.

use crate::failure::Failure;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Reads the variables of a file. Errors show no value, which may be a secret.
pub(crate) fn read(path: &Path) -> Result<HashMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--env-file {}: {error}", path.display())))?;
    let mut variables = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            let place = format!("--env-file {}: line {}", path.display(), number + 1);
            return Err(Failure::usage(format!("{place} is not NAME=VALUE")));
        };
        variables.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(variables)
}

/// Creates a file that only its owner may read. An existing file is left alone.
pub(crate) fn create(path: &Path, variables: &[(&str, &str)]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        for (name, value) in variables {
            writeln!(file, "{name}={value}")?;
        }
        // The keys must not be lost while the database already needs them.
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::failed(format!(
            "--env-file {0}: it exists already: if it has the keys of this database, pass it (--env-file {0}), else name another file",
            path.display()
        )),
        _ => Failure::failed(format!("--env-file {}: {error}", path.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_variables_are_read_and_files_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.env");
        create(&path, &[("A", "1:x=y"), ("B", "")]).unwrap();
        let read_back = read(&path).unwrap();
        assert_eq!((read_back["A"].as_str(), read_back["B"].as_str()), ("1:x=y", ""));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(create(&path, &[("A", "2")]).is_err());
        assert_eq!(read(&path).unwrap()["A"], "1:x=y");
        std::fs::write(&path, "# comment\n\nexport A=3\nsecret\n").unwrap();
        let Err(Failure::Usage(sentence)) = read(&path) else { panic!() };
        assert!(sentence.contains("line 4") && !sentence.contains("secret"), "{sentence}");
    }
}
