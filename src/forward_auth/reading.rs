//! Readings of a path: how different programs behind the proxy may understand it.

use crate::domain::comparable;
use crate::guard::decode_once;

/// One reading of a path. Each bit is a step that a program may apply to the path before it routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reading(usize);

/// Decodes percent-encodings such as `%61`, repeatedly.
const DECODE: usize = 1;
/// Drops path parameters: `/admin;v=1/x` is `/admin/x`.
const DROP_PARAMETERS: usize = 2;
/// Ignores case, in every script.
const FOLD: usize = 4;
/// Drops a slash at the end.
const DROP_SLASH: usize = 8;

impl Reading {
    /// The path as sent.
    pub(super) const SENT: Self = Self(0);
    /// The number of readings.
    pub(super) const COUNT: usize = 16;

    /// Returns all readings, the path as sent first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Returns the place of this reading among all.
    pub(super) fn place(self) -> usize {
        self.0
    }

    /// Reads a path that has been judged, so that decoding it yields neither another separator nor a dot segment.
    pub(super) fn read(self, path: &str) -> Vec<u8> {
        let mut bytes = path.as_bytes().to_vec();
        if self.has(DECODE) {
            bytes = decode(bytes);
        }
        if self.has(DROP_PARAMETERS) {
            let names = bytes.split(|b| *b == b'/').map(|segment| segment.split(|b| *b == b';').next());
            bytes = names.map(Option::unwrap_or_default).collect::<Vec<_>>().join(&b'/');
        }
        if self.has(FOLD) {
            bytes = fold(bytes);
        }
        if self.has(DROP_SLASH) && bytes.len() > 1 && bytes.ends_with(b"/") {
            bytes.pop();
        }
        bytes
    }

    fn has(self, bit: usize) -> bool {
        self.0 & bit != 0
    }
}

/// Returns whether a reading is UTF-8, and has no empty segment, dot segment or backslash.
///
/// A judged path as sent has none. A reading gets them from full-width forms of `.` and `/`, and from overlong encodings, which
/// some programs accept.
pub(super) fn is_settled(read: &[u8]) -> bool {
    let Ok(read) = std::str::from_utf8(read) else { return false };
    let (folder, last) = read.rsplit_once('/').unwrap_or_default();
    let has_odd_folder = folder.split('/').skip(1).any(|name| matches!(name, "" | "." | ".."));
    !has_odd_folder && !matches!(last, "." | "..") && !read.contains('\\')
}

/// Decodes until nothing is encoded. A judged path has few layers of encoding.
fn decode(mut bytes: Vec<u8>) -> Vec<u8> {
    loop {
        let decoded = decode_once(&bytes);
        if decoded == bytes {
            return bytes;
        }
        bytes = decoded;
    }
}

fn fold(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.is_ascii() {
        return bytes.to_ascii_lowercase();
    }
    comparable(&String::from_utf8_lossy(&bytes)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(path: &str) -> Vec<String> {
        let mut all: Vec<String> = Reading::all().map(|r| String::from_utf8(r.read(path)).unwrap()).collect();
        assert_eq!(all[0], path, "the path as sent is first");
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        for path in ["/", "/a", "/orders/7.json", "/a-b_c~d/e"] {
            assert_eq!(readings(path), [path]);
        }
    }

    #[test]
    fn each_reading_does_what_a_program_may_do() {
        assert_eq!(readings("/%61dmin"), ["/%61dmin", "/admin"]);
        assert_eq!(readings("/%2561dmin"), ["/%2561dmin", "/admin"]);
        assert_eq!(readings("/Admin"), ["/Admin", "/admin"]);
        assert_eq!(readings("/admin;v=1/x"), ["/admin/x", "/admin;v=1/x"]);
        assert_eq!(readings("/admin/"), ["/admin", "/admin/"]);
        let all = readings("/%41dmin%3bx/");
        for path in ["/%41dmin%3bx", "/%41dmin%3bx/", "/Admin", "/Admin;x", "/admin", "/admin/", "/admin;x/"] {
            assert!(all.iter().any(|reading| reading == path), "{path} of {all:?}");
        }
        // The Kelvin sign is a K to a program that ignores case.
        assert!(readings("/%E2%84%AAeys").iter().any(|reading| reading == "/keys"));
    }
}
