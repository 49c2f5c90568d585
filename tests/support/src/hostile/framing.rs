//! Request smuggling: requests whose end two parsers could find in two places. Each is followed by a request that would be served,
//! which shows whether it was read as one.

/// The framing of a request: its headers, and the bytes before the next request.
pub struct Framing {
    pub name: &'static str,
    pub headers: String,
    pub body: String,
    pub end: End,
}

/// Where the request ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Before the next request, which is judged as one.
    BeforeTheNext,
    /// After the next request, which is its body.
    AfterTheNext,
    /// Undefined: nothing after it is answered.
    Nowhere,
}

/// Returns all framings. `next` is the length of the next request, `secret` a credential for trailers.
pub fn all(next: usize, secret: &str) -> Vec<Framing> {
    use End::{AfterTheNext, BeforeTheNext, Nowhere};
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    const NO_CHUNK: &str = "0\r\n\r\n";
    let mut framings = Vec::new();
    let mut case = |name, headers: &str, body: &str, end| {
        framings.push(Framing { name, headers: headers.to_owned(), body: body.to_owned(), end });
    };

    case("no body", "", "", BeforeTheNext);
    case("a length", "Content-Length: 0\r\n", "", BeforeTheNext);
    case("a length with zeros before it", "Content-Length: 00\r\n", "", BeforeTheNext);
    case("the same length twice", &"Content-Length: 0\r\n".repeat(2), "", BeforeTheNext);
    case("a length of another name", "Content_Length: 1\r\nTransfer_Encoding: chunked\r\n", "", BeforeTheNext);
    case("a body that looks like a request", &format!("Content-Length: {next}\r\n"), "", AfterTheNext);
    let waited_for = format!("Expect: 100-continue\r\nContent-Length: {next}\r\n");
    case("a body that is not asked for", &waited_for, "", AfterTheNext);
    for (name, length) in [
        ("a length with a sign", "+0"),
        ("a length below zero", "-1"),
        ("a length without end", "99999999999999999999999999"),
        ("a length in another base", "0x0"),
        ("a length with a space in it", "0 0"),
        ("a length with a point", "0.0"),
        ("no length", ""),
        ("a vertical tab before the length", "\x0b0"),
        ("two lengths in one", "0, 5"),
        ("the same length twice in one", "0, 0"),
    ] {
        case(name, &format!("Content-Length: {length}\r\n"), "", Nowhere);
    }
    case("two lengths", &format!("Content-Length: 0\r\nContent-Length: {next}\r\n"), "", Nowhere);
    case("two lengths, the longer first", &format!("Content-Length: {next}\r\nContent-Length: 0\r\n"), "", Nowhere);

    // Both headers are an error or, as here, end the connection after the request (RFC 9112 section 6.3).
    let whole = next + NO_CHUNK.len();
    case("length and chunks that agree", &format!("Content-Length: 5\r\n{CHUNKED}"), NO_CHUNK, Nowhere);
    case("length and chunks", &format!("Content-Length: {whole}\r\n{CHUNKED}"), NO_CHUNK, Nowhere);
    case("chunks and length", &format!("{CHUNKED}Content-Length: {whole}\r\n"), NO_CHUNK, Nowhere);

    case("chunks", CHUNKED, NO_CHUNK, BeforeTheNext);
    for (name, coding, end) in [
        ("chunks in capitals", " CHUNKED", BeforeTheNext),
        ("chunks after a tab", "\tchunked", BeforeTheNext),
        ("chunks after nothing", " ,chunked", BeforeTheNext),
        // If chunked is the last coding, the chunks decide the end.
        ("chunks after another coding", " gzip, chunked", BeforeTheNext),
        ("chunks after no coding", " identity, chunked", BeforeTheNext),
        ("chunks of chunks", " chunked, chunked", BeforeTheNext),
        ("chunks not last", " chunked, identity", Nowhere),
        ("chunks before nothing", " chunked,", Nowhere),
        ("chunks after a vertical tab", " \x0bchunked", Nowhere),
        ("chunks before a vertical tab", " chunked\x0b", Nowhere),
        ("chunks before a NUL", " chunked\0", Nowhere),
        ("chunks with a parameter", " chunked;q=1", Nowhere),
        ("chunks in quotes", " \"chunked\"", Nowhere),
        ("chunks of another name", " xchunked", Nowhere),
        ("no chunks", " identity", Nowhere),
        ("chunks on the next line", "\r\n chunked", Nowhere),
    ] {
        case(name, &format!("Transfer-Encoding:{coding}\r\n"), NO_CHUNK, end);
    }
    case("chunks said twice", &CHUNKED.repeat(2), NO_CHUNK, BeforeTheNext);
    case("chunks and then none", &format!("{CHUNKED}Transfer-Encoding: identity\r\n"), NO_CHUNK, Nowhere);
    case("chunks of another name and a length", "Transfer-Encoding: x\r\nContent-Length: 0\r\n", "", Nowhere);
    case("a space before the colon", "Transfer-Encoding : chunked\r\n", NO_CHUNK, Nowhere);
    case("chunks in a folded line", "Content-Length: 0\r\nX: y\r\n Transfer-Encoding: chunked\r\n", NO_CHUNK, Nowhere);
    case("chunks after a bare CR", "X: y\rTransfer-Encoding: chunked\r\n", NO_CHUNK, Nowhere);
    // A line may end with LF only (RFC 9112 section 2.2).
    case("chunks after a bare line feed", "X: y\nTransfer-Encoding: chunked\r\n", NO_CHUNK, BeforeTheNext);

    for (name, chunks, end) in [
        ("a chunk's extension", "0;x=y\r\n\r\n", BeforeTheNext),
        // Quoted text does not continue on the next line.
        ("an extension whose quotes stay open", "0;x=\"a\r\n\r\n", BeforeTheNext),
        ("a space after a chunk's size", "0 \r\n\r\n", BeforeTheNext),
        ("a size of many zeros", "00000000000000000000000\r\n\r\n", BeforeTheNext),
        ("a line feed in an extension", "0;x\n\r\n", Nowhere),
        ("a line feed in an extension, a chunk behind it", "2;\nxx\r\n0\r\n\r\n", Nowhere),
        ("a size that ends with a line feed", "0\n\r\n", Nowhere),
        ("line feeds only", "0\n\n", Nowhere),
        ("a size that ends with a CR", "0\r\r\n\r\n", Nowhere),
        ("a space before a size", " 0\r\n\r\n", Nowhere),
        ("no size", "\r\n\r\n", Nowhere),
        ("an extension alone", ";\r\n\r\n", Nowhere),
        ("a size below zero", "-0\r\n\r\n", Nowhere),
        ("a size with a sign", "+0\r\n\r\n", Nowhere),
        ("a size in another base", "0x0\r\n\r\n", Nowhere),
        ("a size without end", "ffffffffffffffffffff\r\n", Nowhere),
        ("a size one too large", "10000000000000000\r\n0\r\n\r\n", Nowhere),
        ("more in a chunk than its size says", "1\r\nab0\r\n\r\n", Nowhere),
        ("a chunk that ends with a line feed", "1\r\na\n0\r\n\r\n", Nowhere),
        ("a trailer that is a request", "0\r\nGET /admin/ping HTTP/1.1\r\n\r\n", Nowhere),
        ("a length in a trailer", "0\r\nContent-Length: 500\r\n\r\n", BeforeTheNext),
    ] {
        case(name, CHUNKED, chunks, end);
    }
    case("an extension without end", CHUNKED, &format!("0;{}\r\n\r\n", "x".repeat(70_000)), Nowhere);
    case("trailers without end", CHUNKED, &format!("0\r\n{}\r\n", "X: y\r\n".repeat(20_000)), Nowhere);
    // A trailer is not a credential.
    case("a credential in a trailer", CHUNKED, &format!("0\r\n{}\r\n", authorization(secret)), BeforeTheNext);
    framings
}

pub fn authorization(secret: &str) -> String {
    format!("Authorization: Bearer {secret}\r\n")
}
