use super::*;
use http::{HeaderValue, Request};

/// Makes a question with these lines. The first may be a method and a URI.
fn question(line: &str, headers: &[(&str, &str)]) -> Parts {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    request.into_parts().0
}

fn read(form: &Form, line: &str, headers: &[(&str, &str)]) -> Result<String, Unreadable> {
    form.read(&question(line, headers)).map(|Reported { method, host, uri }| format!("{method} {host} {uri}"))
}

const NGINX: [(&str, &str); 3] =
    [("host", "A.test:8080"), ("x-original-method", "POST"), ("x-original-uri", "/x/y?z=%2e%2e/")];
const INGRESS: [(&str, &str); 2] =
    [("x-original-method", "POST"), ("x-original-url", "https://A.test:8080/x/y?z=%2e%2e/")];
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-method", "POST"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "A.test:8080"),
    ("x-forwarded-uri", "/x/y?z=%2e%2e/"),
];

/// Returns each form with the headers that it reads.
fn forms() -> Vec<(Form, Vec<(&'static str, &'static str)>)> {
    let haproxy = FORWARDED.into_iter().filter(|(name, _)| *name != "x-forwarded-proto");
    vec![
        (Form::Nginx, NGINX.to_vec()),
        (Form::IngressNginx, INGRESS.to_vec()),
        (Form::Traefik, FORWARDED.to_vec()),
        (Form::Caddy, FORWARDED.to_vec()),
        (Form::Haproxy, haproxy.collect()),
    ]
}

#[test]
fn each_form_reads_the_original_request() {
    for (form, headers) in forms() {
        assert_eq!(read(&form, "GET /auth", &headers).unwrap(), "POST a.test /x/y?z=%2e%2e/", "{form:?}");
    }
    let envoy = Form::Envoy("/envoy".into());
    let host = [("host", "A.test:8080")];
    assert_eq!(read(&envoy, "POST /envoy/x/y?z=%2e%2e/", &host).unwrap(), "POST a.test /x/y?z=%2e%2e/");
    assert_eq!(read(&Form::Envoy(String::new()), "GET /x", &host).unwrap(), "GET a.test /x");
    assert_eq!(read(&envoy, "GET http://a.test/envoy/", &[]).unwrap(), "GET a.test /", "HTTP/2");
}

#[test]
fn a_missing_or_repeated_part_is_refused() {
    for (form, headers) in forms() {
        for (at, (name, value)) in headers.iter().enumerate() {
            let mut missing = headers.clone();
            missing.remove(at);
            assert!(matches!(read(&form, "GET /auth", &missing), Err(Unreadable::Part(_))), "{form:?} {name}");
            let repeated = [&headers[..], &[(name, value)]].concat();
            assert!(matches!(read(&form, "GET /auth", &repeated), Err(Unreadable::Part(_))), "{form:?} {name}");
        }
    }
    let envoy = Form::Envoy("/envoy".into());
    let host = ("host", "a.test");
    for (line, headers) in [
        ("GET /envoy/x", &[][..]),
        ("GET /envoy/x", &[host, host]),
        ("GET /x", &[host]),
        ("GET /envoy", &[host]),
        ("GET /envoyx", &[host]),
        ("GET http://b.test/envoy/x", &[host]),
    ] {
        assert!(matches!(read(&envoy, line, headers), Err(Unreadable::Part(_))), "{line}");
    }
}

/// The headers of another form are a client's.
#[test]
fn headers_of_other_forms_are_ignored() {
    let others = [
        ("x-original-url", "http://b.test/other"),
        ("x-original-uri", "/other"),
        ("x-original-method", "DELETE"),
        ("x-forwarded-uri", "/other"),
        ("x-forwarded-host", "b.test"),
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-proto", "https"),
        ("x-rewrite-url", "/other"),
    ];
    for (form, headers) in forms() {
        let more = others.into_iter().filter(|(name, _)| !headers.iter().any(|(own, _)| own == name));
        let all: Vec<_> = headers.iter().copied().chain(more).collect();
        assert_eq!(read(&form, "GET /auth", &all).unwrap(), "POST a.test /x/y?z=%2e%2e/", "{form:?}");
        assert!(read(&form, "GET /x/y", &others[..1]).is_err() || matches!(form, Form::IngressNginx));
    }
    let all = [&[("host", "a.test")][..], &others].concat();
    assert_eq!(read(&Form::Envoy(String::new()), "GET /x", &all).unwrap(), "GET a.test /x");
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let with = |uri: &str| {
        let headers = [("host", "a.test"), ("x-original-method", "GET"), ("x-original-uri", uri)];
        read(&Form::Nginx, "GET /auth", &headers)
    };
    for (uri, why) in [
        ("/public/..%2fadmin", Ambiguity::DotSegment),
        ("/public/../admin", Ambiguity::DotSegment),
        ("/public/%2e%2e/admin", Ambiguity::DotSegment),
        ("/public/%252e%252e/admin", Ambiguity::EncodedTwice),
        ("//admin", Ambiguity::EmptySegment),
        ("/a\\b", Ambiguity::Backslash),
        ("/a%2fb", Ambiguity::EncodedSeparator),
        ("/a%00", Ambiguity::Control),
        ("/a%", Ambiguity::BrokenEncoding),
        ("/public#/../admin", Ambiguity::Unprintable),
        ("/a?b#c", Ambiguity::Unprintable),
        ("/a b", Ambiguity::Unprintable),
        ("/caf\u{e9}", Ambiguity::Unprintable),
        ("http://a.test/admin", Ambiguity::Unprintable),
        ("admin", Ambiguity::Unprintable),
        ("*", Ambiguity::Unprintable),
        ("", Ambiguity::Unprintable),
    ] {
        assert_eq!(with(uri), Err(Unreadable::Path(why)), "{uri}");
    }
    assert_eq!(with("/?a=//..%2f").unwrap(), "GET a.test /?a=//..%2f");
}

#[test]
fn invalid_parts_are_refused() {
    for (name, value) in [
        ("x-forwarded-method", "GET POST"),
        ("x-forwarded-method", "GET, POST"),
        ("x-forwarded-method", ""),
        ("x-forwarded-proto", "ftp"),
        ("x-forwarded-proto", "https, http"),
        ("x-forwarded-host", ""),
        ("x-forwarded-host", "a.test, b.test"),
        ("x-forwarded-host", "a.test."),
        ("x-forwarded-host", "b.test@a.test"),
    ] {
        let headers = FORWARDED.map(|(known, other)| (known, if known == name { value } else { other }));
        assert!(matches!(read(&Form::Traefik, "GET /", &headers), Err(Unreadable::Part(_))), "{name}: {value}");
    }
    for url in ["", "/x", "ftp://a.test/x", "http://a.test", "http://b.test@a.test/x", "https:///x", "http://a.test?/x"]
    {
        let headers = [("x-original-method", "GET"), ("x-original-url", url)];
        assert!(matches!(read(&Form::IngressNginx, "GET /", &headers), Err(Unreadable::Part(_))), "{url}");
    }
    for prefix in ["envoy", "/", "/envoy/", "//envoy", "/a?b", "/a%20b", "/a/../b"] {
        assert!(Form::Envoy(prefix.into()).check().is_err(), "{prefix}");
    }
    assert!(Form::Envoy("/a/b".into()).check().is_ok() && Form::Envoy(String::new()).check().is_ok());
}

#[test]
fn overridden_methods_are_read() {
    let of = |own: &str, headers: &[(&str, &str)]| {
        let methods = methods(own.parse().unwrap(), &question("GET /", headers).headers);
        methods.map(|all| all.iter().map(Method::as_str).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(of("GET", &[]).unwrap(), "GET");
    assert_eq!(of("get", &[]).unwrap(), "get GET");
    assert_eq!(of("POST", &[("x-http-method-override", "delete")]).unwrap(), "POST DELETE POST");
    let several = [("x-http-method", "PUT"), ("x-method-override", "PATCH"), ("x-method-override", " GET ")];
    assert_eq!(of("POST", &several).unwrap(), "POST PUT PATCH GET POST");
    for odd in ["", "DELETE, GET", "\u{e9}"] {
        assert_eq!(of("POST", &[("x-http-method-override", odd)]), Err(Unreadable::Part("method override")), "{odd}");
    }
}

#[test]
fn nginx_gets_statuses_that_it_understands() {
    let of = |form: &Form| {
        [200, 400, 401, 403, 404, 429, 503].map(|code| form.status(StatusCode::from_u16(code).unwrap()).as_u16())
    };
    for form in [Form::Nginx, Form::IngressNginx] {
        assert_eq!(of(&form), [200, 403, 401, 403, 403, 403, 503]);
    }
    for form in [Form::Traefik, Form::Caddy, Form::Haproxy, Form::Envoy(String::new())] {
        assert_eq!(of(&form), [200, 400, 401, 403, 404, 429, 503]);
    }
}
