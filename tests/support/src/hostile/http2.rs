//! An HTTP/2 client that sends single frames, also invalid ones that no client library sends.

use super::wire::Wire;
use std::net::SocketAddr;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// The outcome of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Answered(u16),
    Reset,
    /// The connection was closed.
    Gone,
}

pub struct Http2 {
    wire: Wire,
    next: u32,
    /// Outcomes of streams that were read ahead.
    known: Vec<(u32, Fate)>,
}

impl Http2 {
    /// Connects with prior knowledge and an empty header table, so that responses can be decoded without one.
    pub fn to(address: SocketAddr) -> Self {
        let mut wire = Wire::to(address);
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut http2 = Self { wire, next: 1, known: Vec::new() };
        http2.frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        http2.frame(SETTINGS, 1, 0, &[]);
        http2
    }

    /// Opens a stream with these fields in this order and returns its id.
    pub fn open(&mut self, fields: &[(&str, &str)], flags: u8) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.open_as(stream, fields, flags)
    }

    /// Opens a stream with this id, even if it is out of order.
    pub fn open_as(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) -> u32 {
        self.frame(HEADERS, flags, stream, &block(fields));
        stream
    }

    /// Sends a request without a body and returns its outcome.
    pub fn ask(&mut self, fields: &[(&str, &str)]) -> Fate {
        let stream = self.open(fields, END_HEADERS | END_STREAM);
        self.fate(stream)
    }

    pub fn trailers(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields));
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8], flags: u8) {
        self.frame(DATA, flags, stream, bytes);
    }

    /// Sends more fields of a header block that is not complete.
    pub fn continuation(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.frame(CONTINUATION, 0, stream, &block(fields));
    }

    /// Sends the last fields of a header block.
    pub fn last_continuation(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.frame(CONTINUATION, END_HEADERS, stream, &block(fields));
    }

    pub fn reset(&mut self, stream: u32) {
        self.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.wire.send(&[head.as_slice(), payload].concat());
    }

    /// Reads until the outcome of a stream is known.
    pub fn fate(&mut self, stream: u32) -> Fate {
        loop {
            if let Some(at) = self.known.iter().position(|(s, _)| *s == stream) {
                return self.known.swap_remove(at).1;
            }
            let Some(head) = self.wire.exactly(9) else { return Fate::Gone };
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let about = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
            let Some(payload) = self.wire.exactly(length) else { return Fate::Gone };
            match head[3] {
                HEADERS => self.known.push((about, Fate::Answered(status(&payload)))),
                RST_STREAM => self.known.push((about, Fate::Reset)),
                GOAWAY => return Fate::Gone,
                _ => {}
            }
        }
    }
}

/// Encodes fields as literals without indexing (RFC 7541 section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// Encodes an integer with a prefix of 7 bits (RFC 7541 section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut left = length - 127;
    while left >= 128 {
        block.push(u8::try_from(left % 128).unwrap() | 128);
        left /= 128;
    }
    block.push(u8::try_from(left).unwrap());
}

/// Decodes the status, which is the first field of a response.
fn status(block: &[u8]) -> u16 {
    let field: Vec<u8> = block.iter().copied().skip_while(|b| b & 0xe0 == 0x20).collect();
    match field[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        0x08 | 0x18 | 0x48 => {
            let text = &field[2..2 + usize::from(field[1] & 0x7f)];
            let text = if field[1] & 0x80 == 0 { String::from_utf8(text.to_vec()).unwrap() } else { digits(text) };
            text.parse().unwrap()
        }
        other => panic!("a first field of an unknown form: {other:#x}"),
    }
}

/// Decodes digits of the Huffman code (RFC 7541 appendix B): `0` to `2` have five bits, the others six.
fn digits(coded: &[u8]) -> String {
    let bits: Vec<u8> = coded.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |n, bit| n << 1 | bit);
    let (mut at, mut text) = (0, String::new());
    while let Some(five) = bits.get(at..at + 5).map(number) {
        match five {
            0..=2 => {
                text.push(char::from(b'0' + five));
                at += 5;
            }
            _ => {
                let Some(six) = bits.get(at..at + 6).map(number).filter(|six| (25..=31).contains(six)) else { break };
                text.push(char::from(b'3' + six - 25));
                at += 6;
            }
        }
    }
    text
}
