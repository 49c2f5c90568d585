//! A lenient reader of JSON. It keeps every member in order, repairs what it can, and says what is wrong with a text.

/// A value, with all members of its objects.
#[derive(Clone, PartialEq, Debug)]
pub enum Json {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A text as it was read.
#[derive(Default, Debug)]
pub struct Document {
    /// The values, one after the other.
    pub values: Vec<Json>,
    /// Whether the text is not one value by the grammar of RFC 8259.
    pub invalid: bool,
    /// Whether two members of an object have one name.
    pub duplicated: bool,
    /// Whether readers of RFC 8259 may read different values: escaped halves of a character, numbers beyond 64 bits.
    pub odd: bool,
    pub depth: usize,
}

/// The deepest nesting that is read.
const DEPTH: usize = 200;

/// Reads a text.
pub fn read(text: &str) -> Document {
    let mut reader = Reader { text: text.chars().collect(), at: 0, document: Document::default() };
    loop {
        reader.skip_space();
        if reader.at == reader.text.len() {
            break;
        }
        reader.document.invalid |= !reader.document.values.is_empty();
        let before = reader.at;
        let value = reader.value(1);
        reader.document.values.push(value);
        if reader.at == before {
            reader.document.invalid = true;
            reader.at += 1;
        }
    }
    reader.document.invalid |= reader.document.values.is_empty();
    reader.document
}

struct Reader {
    text: Vec<char>,
    at: usize,
    document: Document,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        self.at += usize::from(found);
        found
    }

    /// Skips white space, and what lenient readers take for it: other spaces and comments.
    fn skip_space(&mut self) {
        while let Some(c) = self.peek() {
            match (c, self.text.get(self.at + 1)) {
                (' ' | '\t' | '\n' | '\r', _) => self.at += 1,
                ('/', Some('/')) => {
                    self.document.invalid = true;
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                ('/', Some('*')) => {
                    self.document.invalid = true;
                    let rest = &self.text[self.at + 2..];
                    self.at += 2 + rest.windows(2).position(|two| two == ['*', '/']).map_or(rest.len(), |at| at + 2);
                }
                ('\u{feff}' | '\0', _) => {
                    self.document.invalid = true;
                    self.at += 1;
                }
                _ if c.is_whitespace() => {
                    self.document.invalid = true;
                    self.at += 1;
                }
                _ => return,
            }
        }
    }

    fn value(&mut self, depth: usize) -> Json {
        self.document.depth = self.document.depth.max(depth);
        if depth > DEPTH {
            self.document.invalid = true;
            self.at = self.text.len();
            return Json::Null;
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some(quote @ ('"' | '\'')) => Json::Text(self.quoted(quote)),
            _ => self.word(),
        }
    }

    fn array(&mut self, depth: usize) -> Json {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.take(']') {
                return Json::Array(items);
            }
            let before = self.at;
            if !items.is_empty() && !self.take(',') {
                self.document.invalid = true;
            }
            self.skip_space();
            if matches!(self.peek(), None | Some(']' | ',' | '}')) {
                self.document.invalid = true;
                if self.peek().is_none() {
                    return Json::Array(items);
                }
                self.at += usize::from(self.at == before && self.peek() != Some(']'));
                continue;
            }
            items.push(self.value(depth + 1));
            if self.at == before {
                self.at += 1;
            }
        }
    }

    fn object(&mut self, depth: usize) -> Json {
        self.at += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        loop {
            self.skip_space();
            if self.take('}') {
                return Json::Object(members);
            }
            let before = self.at;
            if !members.is_empty() && !self.take(',') {
                self.document.invalid = true;
            }
            self.skip_space();
            let name = match self.peek() {
                None => {
                    self.document.invalid = true;
                    return Json::Object(members);
                }
                Some(quote @ ('"' | '\'')) => self.quoted(quote),
                Some('}') => {
                    self.document.invalid = true;
                    continue;
                }
                Some(_) => {
                    self.document.invalid = true;
                    self.bare()
                }
            };
            self.skip_space();
            if !self.take(':') {
                self.document.invalid = true;
            }
            self.skip_space();
            let value = self.value(depth + 1);
            self.document.duplicated |= members.iter().any(|(other, _)| *other == name);
            members.push((name, value));
            if self.at == before {
                self.at += 1;
            }
        }
    }

    /// Reads a text in quotes.
    fn quoted(&mut self, quote: char) -> String {
        self.document.invalid |= quote != '"';
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                _ if c == quote => return text,
                '\\' => self.escape(&mut text),
                _ => {
                    self.document.invalid |= c < ' ';
                    text.push(c);
                }
            }
        }
        self.document.invalid = true;
        text
    }

    fn escape(&mut self, text: &mut String) {
        let Some(c) = self.peek() else { return self.document.invalid = true };
        self.at += 1;
        text.push(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => match self.hex() {
                Some(unit) => match char::from_u32(unit) {
                    Some(c) => c,
                    None => self.pair(unit),
                },
                None => c,
            },
            _ => {
                self.document.invalid = true;
                c
            }
        });
    }

    /// Reads the four digits of an escaped unit of UTF-16.
    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        let unit = digits.iter().try_fold(0, |unit, c| Some(unit << 4 | c.to_digit(16)?)).filter(|_| digits.len() == 4);
        match unit {
            Some(_) => self.at += 4,
            None => self.document.invalid = true,
        }
        unit
    }

    /// Reads the second half of a character, whose first half was read.
    fn pair(&mut self, high: u32) -> char {
        let before = self.at;
        if high < 0xdc00 && self.take('\\') && self.take('u') && self.text.get(self.at..self.at + 4).is_some() {
            let low = self.hex().filter(|low| (0xdc00..0xe000).contains(low));
            if let Some(c) = low.and_then(|low| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))) {
                return c;
            }
        }
        self.at = before;
        self.document.odd = true;
        '\u{fffd}'
    }

    /// Reads what has no quotes.
    fn bare(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|c| !c.is_whitespace() && !"{}[],:\"'/\0\u{feff}".contains(c)) {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect()
    }

    fn word(&mut self) -> Json {
        let word = self.bare();
        match word.as_str() {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ if is_number(&word) => {
                let integer = word.parse::<i64>().is_ok() || word.parse::<u64>().is_ok();
                self.document.odd |= !integer && !word.contains(['.', 'e', 'E']);
                self.document.odd |= word.parse::<f64>().is_ok_and(f64::is_infinite);
                Json::Number(word)
            }
            _ => {
                self.document.invalid = true;
                Json::Text(word)
            }
        }
    }
}

/// Returns whether a word is a number by the grammar.
fn is_number(word: &str) -> bool {
    let rest = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
