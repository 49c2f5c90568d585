//! Names and e-mail addresses as typed text.
//!
//! Two texts that look alike must not be two names. So invisible characters and characters that change the text
//! direction are rejected, and names are compared by [`comparable`].

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, Emoji, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The joiners used in Persian, Indic scripts and emoji sequences.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
/// Variation selectors, which choose the text or emoji form of the preceding character.
const EMOJI_VARIATIONS: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];

/// Returns the form by which names and e-mail addresses are compared: texts with equal forms are the same name.
///
/// It folds case in every script, expands compatibility characters (NFKC), drops invisible characters, and collapses
/// white space. A store keeps it beside the text with a unique index; it is never displayed.
///
/// ```
/// use keyward::store::comparable;
/// assert_eq!(comparable("Straße"), comparable("STRASSE"));
/// assert_eq!(comparable("Cafe\u{301}"), comparable("CAFÉ"));
/// assert_eq!(comparable("ｄｅｐｌｏｙ"), "deploy");
/// assert_ne!(comparable("deploy"), comparable("deploy 2"));
/// ```
pub fn comparable(text: &str) -> String {
    if text.is_ascii() {
        return collapse_spaces(&text.to_ascii_lowercase());
    }
    // Twice, as the expansion of a character can contain a capital letter (Unicode 3.13, D146).
    let once = fold(text);
    collapse_spaces(&fold(&once))
}

fn fold(text: &str) -> String {
    const IGNORED: icu_properties::CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let folded = CaseMapper::new().fold_string(text);
    let mut composed = ComposingNormalizerBorrowed::new_nfkc().normalize(&folded).into_owned();
    composed.retain(|c| !IGNORED.contains(c));
    composed
}

fn collapse_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the text as it is stored: the same characters, composed (NFC).
pub(crate) fn compose(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// The invisible characters that a text may contain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AllowedHidden {
    /// None, for e-mail addresses.
    None,
    /// Variation selectors directly after an emoji, for names.
    Emoji,
    /// Also line breaks, tabs and joiners, for free texts.
    Lines,
}

/// Returns the first character that such a text must not contain: it is invisible, breaks the line, or changes the
/// direction.
pub(crate) fn find_hidden(text: &str, extra: AllowedHidden) -> Option<char> {
    let mut before = None;
    text.chars().find(|&c| {
        let allowed = match extra {
            AllowedHidden::None => false,
            AllowedHidden::Emoji => is_variation(before, c),
            AllowedHidden::Lines => is_variation(before, c) || JOINERS.contains(&c) || matches!(c, '\n' | '\r' | '\t'),
        };
        before = Some(c);
        !allowed && is_hidden(c)
    })
}

/// Returns the text without the characters that [`find_hidden`] finds.
#[cfg(feature = "strapi")]
pub(crate) fn without_hidden(text: &str, extra: AllowedHidden) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        let before = kept.len();
        kept.push(c);
        let from = kept[..before].char_indices().next_back().map_or(before, |(at, _)| at);
        if find_hidden(&kept[from..], extra) == Some(c) {
            kept.truncate(before);
        }
    }
    kept
}

fn is_variation(before: Option<char>, c: char) -> bool {
    const EMOJI: icu_properties::CodePointSetDataBorrowed<'static> = CodePointSetData::new::<Emoji>();
    EMOJI_VARIATIONS.contains(&c) && before.is_some_and(|before| EMOJI.contains(before))
}

/// Returns true for a control character, an invisible character, or one that changes the text direction.
pub(crate) fn is_hidden(c: char) -> bool {
    const IGNORED: icu_properties::CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    const BIDI: icu_properties::CodePointSetDataBorrowed<'static> = CodePointSetData::new::<BidiControl>();
    const CATEGORIES: icu_properties::CodePointMapDataBorrowed<'static, GeneralCategory> =
        CodePointMapData::<GeneralCategory>::new();
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // The blank Braille pattern looks like a space, but is none.
    c == '\u{2800}'
        || IGNORED.contains(c)
        || BIDI.contains(c)
        || matches!(
            CATEGORIES.get(c),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters that a security review got through, and others with the same properties.
    const INVISIBLE: [char; 29] = [
        '\0',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180e}',
        '\u{200b}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2064}',
        '\u{2066}',
        '\u{2069}',
        '\u{2800}',
        '\u{3164}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e0041}',
        '\u{e0100}',
    ];

    #[test]
    fn invisible_characters_are_found_in_every_text() {
        for c in INVISIBLE {
            for extra in [AllowedHidden::None, AllowedHidden::Emoji, AllowedHidden::Lines] {
                assert_eq!(find_hidden(&format!("a{c}b"), extra), Some(c), "{c:?}");
                assert_eq!(find_hidden(&format!("{c}a"), extra), Some(c), "{c:?}");
            }
        }
        for text in ["Ada", "עדה", "آدا", "क्षत्रिय", "🦀", "日本語", "a\u{301}", "a\u{a0}b", "ﷺ", "½"]
        {
            assert_eq!(find_hidden(text, AllowedHidden::None), None, "{text}");
        }
    }

    #[test]
    fn joiners_are_allowed_in_free_texts_and_variations_after_emoji() {
        for joined in ["👩\u{200d}💻", "می\u{200c}روم"] {
            assert!(find_hidden(joined, AllowedHidden::Lines).is_none());
            assert!(
                find_hidden(joined, AllowedHidden::Emoji).is_some()
                    && find_hidden(joined, AllowedHidden::None).is_some()
            );
        }
        let heart = "❤\u{fe0f}";
        assert!(
            find_hidden(heart, AllowedHidden::Emoji).is_none() && find_hidden(heart, AllowedHidden::Lines).is_none()
        );
        assert_eq!(find_hidden(heart, AllowedHidden::None), Some('\u{fe0f}'));
        for bare in ["a\u{fe0f}", "\u{fe0f}", "❤\u{fe0f}\u{fe0f}"] {
            assert_eq!(find_hidden(bare, AllowedHidden::Lines), Some('\u{fe0f}'), "{bare:?}");
        }
        assert!(
            find_hidden("a\r\n\tb", AllowedHidden::Lines).is_none()
                && find_hidden("a\nb", AllowedHidden::Emoji).is_some()
        );
    }

    #[test]
    fn texts_that_look_alike_compare_equal() {
        for (one, other) in [
            ("Deploy", "dEPLOY"),
            ("Änne", "a\u{308}NNE"),
            ("Straße", "STRASSE"),
            ("ΣΟΦΟΣ", "σοφος"),
            ("ﬁle", "FILE"),
            ("ｄｅｐｌｏｙ", "deploy"),
            ("℡", "tel"),
            ("a\u{a0}b", "a  b"),
            ("❤", "❤\u{fe0f}"),
            ("a\u{200b}b", "ab"),
            ("\u{3a3}\u{345}", "\u{3c3}\u{3b9}"),
        ] {
            assert_eq!(comparable(one), comparable(other), "{one:?} and {other:?}");
            assert_eq!(comparable(&comparable(one)), comparable(one), "{one:?}: the form is idempotent");
        }
        for (one, other) in [("a", "ä"), ("a b", "ab"), ("deploy", "deploys"), ("", "a")] {
            assert_ne!(comparable(one), comparable(other));
        }
    }

    /// For every character except ideographs and Hangul, which have no case: the form is idempotent, and case makes no
    /// difference.
    #[test]
    fn comparable_is_idempotent_and_ignores_case() {
        let others = (0..0x1_fbff).filter_map(char::from_u32).filter(|c| {
            !matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{e000}'..='\u{f8ff}' | '\u{17000}'..='\u{18cff}')
        });
        for c in others {
            let text = format!("x{c}y");
            let form = comparable(&text);
            assert_eq!(comparable(&form), form, "U+{:04X}", u32::from(c));
            let upper: String = text.chars().flat_map(char::to_uppercase).collect();
            let lower: String = text.chars().flat_map(char::to_lowercase).collect();
            // The two Turkish letters become other letters.
            for cased in [upper, lower].iter().filter(|cased| **cased != text && !matches!(c, 'ı' | 'İ')) {
                assert_eq!(comparable(cased), form, "U+{:04X}", u32::from(c));
            }
        }
    }
}
