//! The check of a path as sent: a path that two programs may read differently is rejected before anything else.

use crate::domain::Ambiguity;

/// The position of the first encoded slash. The group decides whether it is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Judged {
    pub(super) encoded_slash: Option<usize>,
}

/// Rejects `//`, dot segments and their encodings, encoded backslashes, double encodings, raw backslashes, broken
/// encodings and control bytes.
pub(super) fn judge(path: &str) -> Result<Judged, Ambiguity> {
    if is_plain(path.as_bytes()) { Ok(Judged::default()) } else { read(path.as_bytes()) }
}

/// Judges a path for which no group decides about encoded slashes.
#[cfg(feature = "forward-auth")]
pub(crate) fn judge_reported(path: &str) -> Result<(), Ambiguity> {
    match judge(path)?.encoded_slash {
        Some(_) => Err(Ambiguity::EncodedSeparator),
        None => Ok(()),
    }
}

/// Returns whether no byte needs a closer check, as in most paths. There are no early exits, so that the processor
/// compares many bytes at once.
fn is_plain(path: &[u8]) -> bool {
    let odd = match path.len() {
        17.. => lanes::<16>(path),
        9..=16 => lanes::<8>(path),
        _ => path.windows(2).fold(0, |odd, pair| odd | pair_is_odd(pair[0], pair[1])),
    };
    odd | path.last().map_or(0, |last| is_odd(*last)) == 0
}

/// Returns whether a byte but the last, or a pair of bytes, needs a closer check. The path has more than `N` bytes; the
/// last lanes may overlap.
fn lanes<const N: usize>(path: &[u8]) -> u8 {
    let (bytes, nexts) = (&path[..path.len() - 1], &path[1..]);
    let lane = |bytes: &[u8; N], nexts: &[u8; N]| (0..N).fold(0, |odd, i| odd | pair_is_odd(bytes[i], nexts[i]));
    let last = bytes.last_chunk().zip(nexts.last_chunk()).map_or(1, |(bytes, nexts)| lane(bytes, nexts));
    let lanes = bytes.as_chunks().0.iter().zip(nexts.as_chunks().0);
    lanes.fold(last, |odd, (bytes, nexts)| odd | lane(bytes, nexts))
}

fn pair_is_odd(byte: u8, next: u8) -> u8 {
    is_odd(byte) | (u8::from(byte == b'/') & (u8::from(next == b'/') | u8::from(next == b'.') | u8::from(next == b';')))
}

fn is_odd(byte: u8) -> u8 {
    u8::from(byte < 0x20) | u8::from(byte == 0x7f) | u8::from(byte == b'%') | u8::from(byte == b'\\')
}

/// The decoded segment so far.
#[derive(Clone, Copy, PartialEq)]
enum Segment {
    Empty,
    Dot,
    DotDot,
    Name,
}

#[cold]
fn read(path: &[u8]) -> Result<Judged, Ambiguity> {
    let mut judged = Judged::default();
    // The text before the first slash is not a segment.
    let mut segment = Segment::Name;
    let mut at = 0;
    while at < path.len() {
        let (byte, length) = match path[at] {
            b'%' => (decode(&path[at..])?, 3),
            raw => (raw, 1),
        };
        match byte {
            0..0x20 | 0x7f => return Err(Ambiguity::Control),
            b'\\' if length == 1 => return Err(Ambiguity::Backslash),
            b'\\' => return Err(Ambiguity::EncodedSeparator),
            b'/' => {
                end(segment)?;
                if segment == Segment::Empty {
                    return Err(Ambiguity::EmptySegment);
                }
                if length == 3 {
                    judged.encoded_slash = judged.encoded_slash.or(Some(at));
                }
                segment = Segment::Empty;
            }
            // Some programs cut `;` and the rest off a segment.
            b';' if segment == Segment::Empty => return Err(Ambiguity::EmptySegment),
            b';' => {
                end(segment)?;
                segment = Segment::Name;
            }
            b'.' => {
                segment = match segment {
                    Segment::Empty => Segment::Dot,
                    Segment::Dot => Segment::DotDot,
                    _ => Segment::Name,
                }
            }
            _ => segment = Segment::Name,
        }
        at += length;
    }
    end(segment)?;
    if hides_more(path) { Err(Ambiguity::EncodedTwice) } else { Ok(judged) }
}

fn end(segment: Segment) -> Result<(), Ambiguity> {
    if matches!(segment, Segment::Dot | Segment::DotDot) { Err(Ambiguity::DotSegment) } else { Ok(()) }
}

/// Decodes the `%xx` at the start of `rest`.
fn decode(rest: &[u8]) -> Result<u8, Ambiguity> {
    hex_pair(rest.get(1..3)).ok_or(Ambiguity::BrokenEncoding)
}

/// The maximum number of layers of encoding. Each costs a pass, and no real path has more.
const LAYERS: usize = 4;

/// Returns whether decoding more than once yields a separator or a dot, or does not end.
fn hides_more(path: &[u8]) -> bool {
    let mut layer = path.to_vec();
    for _ in 0..LAYERS {
        if !escapes(&layer).any(|b| b == b'%') {
            return false;
        }
        layer = decode_once(&layer);
        if escapes(&layer).any(|b| matches!(b, b'.' | b'/' | b'\\')) {
            return true;
        }
    }
    escapes(&layer).any(|b| b == b'%')
}

/// Returns the bytes that the encodings in a path stand for.
fn escapes(path: &[u8]) -> impl Iterator<Item = u8> {
    path.windows(3).filter(|w| w[0] == b'%').filter_map(|w| hex_pair(Some(&w[1..])))
}

/// Removes one layer of encoding.
pub(crate) fn decode_once(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        match hex_pair(rest.get(1..3)).filter(|_| byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                rest = &rest[3..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

fn hex_pair(pair: Option<&[u8]>) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let &[high, low] = pair? else { return None };
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Returns the path to classify: the one before nesting, if nesting explains the difference to the present one.
///
/// `nested` is the number of segments of the nested prefix, if the router provides it. Otherwise a difference means
/// that the path was rewritten, and the routes behind see another path than the client sent.
#[cfg(any(feature = "axum", test))]
pub(super) fn original<'a>(original: &'a str, present: &str, nested: Option<usize>) -> Result<&'a str, Ambiguity> {
    if original == present {
        return Ok(original);
    }
    let removed = match present {
        // Nesting leaves `/` for an empty rest.
        "/" if !original.ends_with('/') => Some(original),
        _ => original.strip_suffix(present),
    };
    let explains = |segments: usize| {
        present.starts_with('/')
            && removed.is_some_and(|r| r.starts_with('/') && r.split('/').skip(1).count() == segments)
    };
    if nested.is_some_and(explains) { Ok(original) } else { Err(Ambiguity::Rewritten) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ambiguity::*;

    #[test]
    fn plain_paths_pass() {
        for path in [
            "/",
            "/admin",
            "/admin/",
            "/a.b/c..d/.e",
            "/x;y",
            "/api::article.article",
            "/%41",
            "/caf%C3%A9",
            "/a%20b",
            "/...",
            "/a/..b",
            "/%25",
            "/100%2525",
            "",
            "*",
        ] {
            assert_eq!(judge(path), Ok(Judged::default()), "{path}");
        }
        assert_eq!(judge("/a/b%2Fc%2fd"), Ok(Judged { encoded_slash: Some(4) }));
    }

    #[test]
    fn ambiguous_paths_are_rejected() {
        for (path, why) in [
            ("//admin", EmptySegment),
            ("/admin//x", EmptySegment),
            ("/admin//", EmptySegment),
            ("/;/admin", EmptySegment),
            ("/public/;x=1/admin", EmptySegment),
            ("/public/%3b/admin", EmptySegment),
            ("/./admin", DotSegment),
            ("/admin/.", DotSegment),
            ("/admin/..", DotSegment),
            ("/a/../admin", DotSegment),
            ("/a/%2e%2E/admin", DotSegment),
            ("/a/.%2e/admin", DotSegment),
            ("/a/%2e", DotSegment),
            ("/a/..;/admin", DotSegment),
            ("/a/..;x=1/admin", DotSegment),
            ("/a/%2e%2e%3b/admin", DotSegment),
            ("/a/..%2fadmin", DotSegment),
            ("/a%2f../admin", DotSegment),
            ("/a%2f%2fadmin", EmptySegment),
            ("/a/%2fadmin", EmptySegment),
            ("/a%5cb", EncodedSeparator),
            ("/a%5Cb", EncodedSeparator),
            ("/a\\b", Backslash),
            ("/%252e%252e/admin", EncodedTwice),
            ("/a%252fb", EncodedTwice),
            ("/a%255Cb", EncodedTwice),
            ("/a%2525252fb", EncodedTwice),
            ("/%25%32%65%25%32%65/admin", EncodedTwice),
            ("/%252%65/admin", EncodedTwice),
            ("/a%25%32fb", EncodedTwice),
            ("/a%2525%32%66b", EncodedTwice),
            ("/a%", BrokenEncoding),
            ("/a%2", BrokenEncoding),
            ("/a%zz", BrokenEncoding),
            ("/a%+1", BrokenEncoding),
            ("/a%00b", Control),
            ("/a%0d%0ab", Control),
            ("/a\x01b", Control),
            ("/a%7f", Control),
        ] {
            assert_eq!(judge(path), Err(why), "{path}");
        }
    }

    /// At every position, for every length.
    #[test]
    fn every_odd_byte_is_noticed() {
        for length in 1..70 {
            let plain = format!("/{}", "a".repeat(length));
            assert!(is_plain(plain.as_bytes()));
            for at in 0..plain.len() {
                for odd in ["%41", "\\", "\x1f", "\x7f", "//", "/.", "/;"] {
                    let path = format!("{}{odd}{}", &plain[..at], &plain[at..]);
                    assert!(!is_plain(path.as_bytes()), "{path:?}");
                    // Two odd bytes do not cancel out.
                    for end in ["%", "\\", "\x1f", "//"] {
                        assert!(!is_plain(format!("{path}{end}").as_bytes()), "{path:?} and {end:?}");
                    }
                }
            }
        }
    }

    /// Decoded to its end, such a path would take a pass for every two bytes.
    #[test]
    fn a_path_with_many_layers_of_encoding_is_rejected_early() {
        assert_eq!(judge(&format!("/a%{}41", "25".repeat(30_000))), Err(EncodedTwice));
        assert_eq!(judge(&format!("/a%{}41", "25".repeat(LAYERS))), Ok(Judged::default()));
        assert_eq!(judge(&format!("/a%{}41", "25".repeat(LAYERS + 1))), Err(EncodedTwice));
    }

    #[test]
    fn an_original_path_counts_only_if_nesting_explains_the_difference() {
        assert_eq!(original("/admin/x", "/admin/x", None), Ok("/admin/x"));
        assert_eq!(original("/admin/x", "/x", Some(1)), Ok("/admin/x"));
        assert_eq!(original("/admin/v1/x", "/x", Some(2)), Ok("/admin/v1/x"));
        assert_eq!(original("/admin/", "/", Some(1)), Ok("/admin/"));
        assert_eq!(original("/admin", "/", Some(1)), Ok("/admin"));
        assert_eq!(original("*", "*", None), Ok("*"));
        for (sent, present, nested) in [
            ("/admin/x", "/x", None),
            ("/public/admin/x", "/admin/x", None),
            ("/public/admin/x", "/x", Some(1)),
            ("/public/admin/x", "/admin/x", Some(2)),
            ("/admin/x", "/", Some(1)),
            ("/admin", "/", None),
            ("/admin/x", "/y", Some(1)),
            ("/adminx", "x", Some(1)),
            ("/x", "", Some(1)),
        ] {
            assert_eq!(original(sent, present, nested), Err(Rewritten), "{sent} {present} {nested:?}");
        }
    }
}
