//! Server-sent events: the end of each event, and its data.

/// A reader of events from the frames of a body. It searches each byte once, however the stream is split into frames.
#[derive(Default)]
pub(super) struct Events {
    bytes: Vec<u8>,
    /// The start of the incomplete event.
    event: usize,
    /// The start of its last line.
    line: usize,
    /// The number of bytes that were searched for the end of a line.
    searched: usize,
    /// Whether the last event ended at a carriage return. A line feed at the start of the next frame then belongs to it.
    after_return: bool,
    /// Whether an event was returned before. Only the first one may begin with a byte order mark.
    started: bool,
}

impl Events {
    /// Adds the next frame of the stream.
    pub(super) fn push(&mut self, frame: &[u8]) {
        self.bytes.drain(..self.event);
        self.line -= self.event;
        self.searched -= self.event;
        self.event = 0;
        self.bytes.extend_from_slice(frame);
    }

    /// Returns the next complete event, with the empty line after it.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        if self.after_return
            && let Some(next) = self.bytes.get(self.event)
        {
            self.after_return = false;
            if *next == b'\n' {
                self.event += 1;
                (self.line, self.searched) = (self.event, self.event);
            }
        }
        loop {
            let unsearched = &self.bytes[self.searched..];
            let Some(length) = unsearched.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
                self.searched = self.bytes.len();
                return None;
            };
            let end = self.searched + length;
            let next = match (self.bytes[end], self.bytes.get(end + 1)) {
                // A line feed may follow in the next frame. The event is complete without it.
                (b'\r', None) if end == self.line => {
                    self.after_return = true;
                    end + 1
                }
                (b'\r', None) => {
                    self.searched = end;
                    return None;
                }
                (b'\r', Some(b'\n')) => end + 2,
                _ => end + 1,
            };
            let is_empty = end == self.line;
            (self.line, self.searched) = (next, next);
            if is_empty {
                let event = &self.bytes[std::mem::replace(&mut self.event, next)..next];
                let is_first = !std::mem::replace(&mut self.started, true);
                let without_mark = event.strip_prefix("\u{feff}".as_bytes()).filter(|_| is_first);
                return Some(without_mark.unwrap_or(event));
            }
        }
    }

    /// Returns the number of bytes of the incomplete event.
    pub(super) fn incomplete_len(&self) -> usize {
        self.bytes.len() - self.event
    }
}

/// Returns the data of an event.
pub(super) fn data(event: &[u8]) -> Vec<u8> {
    let values: Vec<&[u8]> = lines(event).map(field).filter(|(name, _)| *name == b"data").map(|(_, v)| v).collect();
    values.join(&b'\n')
}

/// Returns the event with this text, which has no line breaks, in place of its data.
pub(super) fn with_data(event: &[u8], data: &str) -> Vec<u8> {
    let mut changed = Vec::new();
    for line in lines(event).filter(|line| !line.is_empty() && field(line).0 != b"data") {
        changed.extend_from_slice(line);
        changed.push(b'\n');
    }
    changed.extend_from_slice(format!("data: {data}\n\n").as_bytes());
    changed
}

fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|b| matches!(b, b'\n' | b'\r'))
}

/// Returns the name and the value of a field.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = line.iter().position(|b| *b == b':') else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &[&[u8]]) -> Vec<String> {
        let (mut events, mut all) = (Events::default(), Vec::new());
        for frame in frames {
            events.push(frame);
            while let Some(event) = events.next() {
                all.push(String::from_utf8(event.to_vec()).unwrap().trim_end_matches(['\r', '\n']).to_owned());
            }
        }
        all
    }

    #[test]
    fn events_are_the_same_however_the_stream_is_cut() {
        let stream =
            "\u{feff}data: 1\r\n\r\n: on\n\nid: 7\rdata: a\rdata\r\r\n\ndata: \u{feff}é\n\ndata: not complete\n";
        let whole = all(&[stream.as_bytes()]);
        assert_eq!(whole, ["data: 1", ": on", "id: 7\rdata: a\rdata", "", "data: \u{feff}é"]);
        assert_eq!(all(&[b"data: 1\r\r"]), ["data: 1"], "no byte of the next event is needed");
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(all(&bytes), whole);
        for cut in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            assert_eq!(all(&[a, b]), whole, "{cut}");
        }
    }

    #[test]
    fn data_is_the_text_of_its_fields() {
        for (event, text) in [
            ("data: a\n\n", "a"),
            ("data:a\ndata:  b\nid: 1\ndata\n\n", "a\n b\n"),
            (": data: a\n\n", ""),
            ("Data: a\n\n", ""),
        ] {
            assert_eq!(data(event.as_bytes()), text.as_bytes(), "{event}");
        }
        assert_eq!(with_data(b"id: 7\r\ndata: a\r\ndata: b\r\n: on\r\n\r\n", "c"), b"id: 7\n: on\ndata: c\n\n");
    }
}
