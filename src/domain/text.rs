//! Texts that people type and compare: names and e-mail addresses.
//!
//! Two texts that look alike must not be two names. So a character that shows nothing, or that turns the text around it, is
//! refused, and names are compared by [`comparable`], not as they are written.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, Emoji, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The joiners that Persian, the Indic scripts and emoji sequences are written with.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
/// Choose between the text and the emoji form of the character before.
const EMOJI_VARIATIONS: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];

/// The form by which names and e-mail addresses are compared: two texts with the same one are the same name.
///
/// It folds case in every script, writes compatibility characters out (NFKC), leaves out what shows nothing, and takes a run of
/// white space for one space. A store keeps it beside the text and makes it unique; it is never shown.
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
        return one_spaced(&text.to_ascii_lowercase());
    }
    // Twice, as writing a character out can bring a capital letter (Unicode 3.13, D146).
    let once = fold(text);
    one_spaced(&fold(&once))
}

fn fold(text: &str) -> String {
    const IGNORED: icu_properties::CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let folded = CaseMapper::new().fold_string(text);
    let mut composed = ComposingNormalizerBorrowed::new_nfkc().normalize(&folded).into_owned();
    composed.retain(|c| !IGNORED.contains(c));
    composed
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text as it is kept: the same characters, composed (NFC).
pub(crate) fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// What a text may contain besides what shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Nothing: an e-mail address.
    Nothing,
    /// The variation selectors of emoji, directly after one: a name.
    Emoji,
    /// These, line breaks, tabs and the joiners: a free text.
    Lines,
}

/// The first character that may not be in such a text: it shows nothing, breaks the line, or turns the text around it.
pub(crate) fn hidden(text: &str, extra: Extra) -> Option<char> {
    let mut before = None;
    text.chars().find(|&c| {
        let allowed = match extra {
            Extra::Nothing => false,
            Extra::Emoji => is_variation(before, c),
            Extra::Lines => is_variation(before, c) || JOINERS.contains(&c) || matches!(c, '\n' | '\r' | '\t'),
        };
        before = Some(c);
        !allowed && is_hidden(c)
    })
}

/// The text without what [`hidden`] finds.
#[cfg(feature = "strapi")]
pub(crate) fn without_hidden(text: &str, extra: Extra) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        let before = kept.len();
        kept.push(c);
        let from = kept[..before].char_indices().next_back().map_or(before, |(at, _)| at);
        if hidden(&kept[from..], extra) == Some(c) {
            kept.truncate(before);
        }
    }
    kept
}

fn is_variation(before: Option<char>, c: char) -> bool {
    const EMOJI: icu_properties::CodePointSetDataBorrowed<'static> = CodePointSetData::new::<Emoji>();
    EMOJI_VARIATIONS.contains(&c) && before.is_some_and(|before| EMOJI.contains(before))
}

/// Whether this is a control character, shows nothing, or changes the direction of the text around it.
pub(crate) fn is_hidden(c: char) -> bool {
    const IGNORED: icu_properties::CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    const TURNS: icu_properties::CodePointSetDataBorrowed<'static> = CodePointSetData::new::<BidiControl>();
    const CATEGORIES: icu_properties::CodePointMapDataBorrowed<'static, GeneralCategory> =
        CodePointMapData::<GeneralCategory>::new();
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // The blank Braille pattern shows as little as a space, and is none.
    c == '\u{2800}'
        || IGNORED.contains(c)
        || TURNS.contains(c)
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

    /// What the hostile review got through, and what else the properties name.
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
    fn what_shows_nothing_is_hidden_everywhere() {
        for c in INVISIBLE {
            for extra in [Extra::Nothing, Extra::Emoji, Extra::Lines] {
                assert_eq!(hidden(&format!("a{c}b"), extra), Some(c), "{c:?}");
                assert_eq!(hidden(&format!("{c}a"), extra), Some(c), "{c:?}");
            }
        }
        for text in ["Ada", "עדה", "آدا", "क्षत्रिय", "🦀", "日本語", "a\u{301}", "a\u{a0}b", "ﷺ", "½"]
        {
            assert_eq!(hidden(text, Extra::Nothing), None, "{text}");
        }
    }

    #[test]
    fn joiners_are_for_free_texts_and_variations_for_emoji() {
        for joined in ["👩\u{200d}💻", "می\u{200c}روم"] {
            assert!(hidden(joined, Extra::Lines).is_none());
            assert!(hidden(joined, Extra::Emoji).is_some() && hidden(joined, Extra::Nothing).is_some());
        }
        let heart = "❤\u{fe0f}";
        assert!(hidden(heart, Extra::Emoji).is_none() && hidden(heart, Extra::Lines).is_none());
        assert_eq!(hidden(heart, Extra::Nothing), Some('\u{fe0f}'));
        for bare in ["a\u{fe0f}", "\u{fe0f}", "❤\u{fe0f}\u{fe0f}"] {
            assert_eq!(hidden(bare, Extra::Lines), Some('\u{fe0f}'), "{bare:?}");
        }
        assert!(hidden("a\r\n\tb", Extra::Lines).is_none() && hidden("a\nb", Extra::Emoji).is_some());
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
            assert_eq!(comparable(&comparable(one)), comparable(one), "{one:?}: the form of a form is itself");
        }
        for (one, other) in [("a", "ä"), ("a b", "ab"), ("deploy", "deploys"), ("", "a")] {
            assert_ne!(comparable(one), comparable(other));
        }
    }

    /// Of every character but ideographs and Hangul, which have no case: a form stays as it is, and case makes no difference.
    #[test]
    fn a_form_is_of_itself() {
        let others = (0..0x1_fbff).filter_map(char::from_u32).filter(|c| {
            !matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{e000}'..='\u{f8ff}' | '\u{17000}'..='\u{18cff}')
        });
        for c in others {
            let text = format!("x{c}y");
            let form = comparable(&text);
            assert_eq!(comparable(&form), form, "U+{:04X}", u32::from(c));
            let upper: String = text.chars().flat_map(char::to_uppercase).collect();
            let lower: String = text.chars().flat_map(char::to_lowercase).collect();
            // Of the two Turkish letters, case is another letter.
            for cased in [upper, lower].iter().filter(|cased| **cased != text && !matches!(c, 'ı' | 'İ')) {
                assert_eq!(comparable(cased), form, "U+{:04X}", u32::from(c));
            }
        }
    }
}
