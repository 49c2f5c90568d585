use super::*;
use crate::domain::{ActionEntry, Catalogue, action, all_of, any_of, authenticated};

fn table(rules: &[Rule]) -> Table {
    Table::new(rules, None).unwrap()
}

fn error(rules: &[Rule]) -> String {
    Table::new(rules, None).err().unwrap_or_else(|| panic!("{rules:?} are valid")).to_string()
}

fn admin(path: &str) -> Rule {
    Rule::admin(path, authenticated())
}

/// Selects by one method.
fn select(table: &Table, host: &str, method: &Method, path: &str) -> Result<usize, Reason> {
    judge_reported(path).map_err(Reason::AmbiguousPath)?;
    table.select(host, path, std::slice::from_ref(method))
}

#[test]
fn the_most_specific_host_then_path_then_method_wins() {
    let rules = [
        admin("/orders"),
        admin("/orders").methods([Method::POST, Method::PUT]),
        admin("/orders").exact(),
        admin("/orders/archive"),
        admin("/").host("*.b.test"),
        admin("/").host("*.a.b.test"),
        admin("/").host("x.a.b.test"),
        admin("/orders").host("x.a.b.test").methods([Method::GET]),
        admin("/orders").host("x.a.b.test").methods([Method::HEAD]),
    ];
    let table = table(&rules);
    for (host, method, path, rule) in [
        ("other.test", Method::GET, "/orders/7", Ok(0)),
        ("other.test", Method::PUT, "/orders/7", Ok(1)),
        ("other.test", Method::PUT, "/orders", Ok(2)),
        ("other.test", Method::GET, "/orders/archive", Ok(3)),
        ("other.test", Method::GET, "/orders/archive/1", Ok(3)),
        ("other.test", Method::GET, "/orders/archives", Ok(0)),
        ("other.test", Method::GET, "/orders2", Err(Reason::NoRule)),
        ("other.test", Method::GET, "/", Err(Reason::NoRule)),
        ("b.test", Method::GET, "/x", Err(Reason::NoRule)),
        ("y.b.test", Method::GET, "/orders", Ok(4)),
        ("y.a.b.test", Method::GET, "/", Ok(5)),
        ("x.a.b.test", Method::GET, "/x", Ok(6)),
        ("x.a.b.test", Method::GET, "/orders", Ok(7)),
        ("x.a.b.test", Method::HEAD, "/orders", Ok(8)),
        // No way back to `/` of this host: the rules of the longest path do not name the method.
        ("x.a.b.test", Method::POST, "/orders", Err(Reason::NoRule)),
    ] {
        assert_eq!(select(&table, host, &method, path), rule, "{method} {host}{path}");
    }
}

#[test]
fn head_is_get_unless_it_is_named() {
    let table = table(&[admin("/a").methods([Method::GET]), admin("/b").methods([Method::GET]), admin("/b")]);
    assert_eq!(select(&table, "h", &Method::HEAD, "/a"), Ok(0));
    assert_eq!(select(&table, "h", &Method::HEAD, "/b"), Ok(1));
    assert_eq!(select(&table, "h", &Method::POST, "/a"), Err(Reason::NoRule));
    assert_eq!(select(&table, "h", &Method::POST, "/b"), Ok(2));
}

#[test]
fn a_path_with_readings_of_several_rules_is_refused() {
    let rules = [
        Rule::public("/").shadowing(),
        admin("/admin"),
        Rule::service_keys("/docs", authenticated()).exact(),
        admin("/Caf%C3%A9"),
    ];
    let table = table(&rules);
    for (path, rule) in [
        ("/", 0),
        ("/x", 0),
        ("/X%41;v=1/", 0),
        ("/administrator", 0),
        ("/admin", 1),
        ("/admin/", 1),
        ("/admin/%41;v=1/", 1),
        ("/docs", 2),
        ("/docs/x", 0),
        ("/100%25/.x/..y/z..", 0),
        ("/%E6%97%A5/%EF%BD%81", 0),
        ("/Caf%C3%A9", 3),
    ] {
        assert_eq!(select(&table, "h", &Method::GET, path), Ok(rule), "{path}");
    }
    let refused = Err(Reason::AmbiguousPath(Ambiguity::OtherRule));
    for path in [
        "/Admin",
        "/%61dmin",
        "/%2561dmin",
        "/%25%36%31dmin",
        "/admin;v=1",
        "/admin%3Bv=1/x",
        "/ADMIN%3b/x",
        "/docs/",
        "/DOCS",
        "/caf%C3%A9",
        "/Caf%c3%a9",
        "/CAFE%CC%81",
        "/%EF%BD%81dmin",
        // Full-width dots and slashes, a leader of two dots, overlong dots, Latin-1.
        "/x/%EF%BC%8E%EF%BC%8E/admin",
        "/x/..%EF%BC%8Fadmin",
        "/x/%E2%80%A5",
        "/x/%EF%BC%BCadmin",
        "/x/%C0%AE%C0%AE/admin",
        "/caf%E9",
    ] {
        assert_eq!(select(&table, "h", &Method::GET, path), refused, "{path}");
    }
}

#[test]
fn a_path_that_is_too_long_has_no_rule() {
    let table = table(&[admin("/")]);
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(select(&table, "h", &Method::GET, &path(LONGEST_PATH)), Ok(0));
    assert_eq!(select(&table, "h", &Method::GET, &path(LONGEST_PATH + 1)), Err(Reason::NoRule));
}

#[test]
fn every_method_that_a_request_may_be_taken_for_selects_the_rule() {
    let table = table(&[admin("/a").methods([Method::GET]), admin("/a"), admin("/b")]);
    let methods = |path: &str, methods: &[Method]| table.select("h", path, methods);
    assert_eq!(methods("/a", &[Method::POST, Method::PUT]), Ok(1));
    assert_eq!(methods("/a", &[Method::POST, Method::GET]), Err(Reason::NoRule));
    assert_eq!(methods("/a", &[Method::GET, Method::DELETE]), Err(Reason::NoRule));
    assert_eq!(methods("/b", &[Method::GET, Method::DELETE]), Ok(2));
}

#[test]
fn invalid_rules_are_named() {
    assert_eq!(error(&[]), InvalidRules::None.to_string());
    for path in
        ["", "x", "/x/", "//x", "/x?y", "/x#y", "/{id}", "/x/*", "/a%2fb", "/a;b", "/a%25b", "/ä", "/a b", "/a/../b"]
    {
        assert_eq!(error(&[admin(path)]), InvalidRules::Path(path.into()).to_string(), "{path}");
    }
    assert_eq!(error(&[admin("/x").host("a.test:80")]), InvalidRules::Host("a.test:80/x".into()).to_string());
    assert_eq!(error(&[admin("/x").methods([])]), InvalidRules::NoMethod(" /x".into()).to_string());
    for never in [any_of([]), all_of([]), all_of([action("a"), any_of([])])] {
        assert_eq!(error(&[Rule::admin("/x", never)]), InvalidRules::NeverMet("/x".into()).to_string());
    }
    let param = error(&[Rule::admin("/x", action("read").on_param("uid"))]);
    assert_eq!(param, "the rule `/x` requires what does not exist: there is no parameter {uid} in the path");
    let catalogue = Catalogue::default().action(ActionEntry::settings("read", "Orders", "Read"));
    let unknown = |asked: &str| Table::new(&[Rule::admin("/x", asked)], Some(&catalogue)).err().map(|e| e.to_string());
    assert_eq!(unknown("read"), None);
    assert!(unknown("raed").unwrap().contains("no action raed in the catalogue"));
}

#[test]
fn rules_that_cover_the_same_requests_are_named() {
    let twice = |a: &str, b: &str| InvalidRules::Twice(a.into(), b.into()).to_string();
    let (get, post) = ([Method::GET], [Method::GET, Method::POST]);
    assert_eq!(error(&[admin("/x"), Rule::public("/y"), Rule::content("/x", "a")]), twice("/x", "/x"));
    assert_eq!(error(&[admin("/x").methods(get.clone()), admin("/x").methods(post)]), twice("GET /x", "GET,POST /x"));
    assert_eq!(error(&[admin("/x").exact(), admin("/x").exact()]), twice("/x (exact)", "/x (exact)"));
    assert_eq!(error(&[admin("/x").host("A.test"), admin("/x").host("a.test")]), twice("A.test/x", "a.test/x"));
    // A program behind the proxy may not tell these apart.
    assert_eq!(error(&[admin("/API"), admin("/api").methods(get.clone())]), twice("/API", "GET /api"));
    assert_eq!(error(&[admin("/api"), admin("/%61pi")]), twice("/api", "/%61pi"));
    table(&[admin("/x"), admin("/x").exact(), admin("/x").methods(get), admin("/x").host("a.test")]);
}

#[test]
fn a_public_prefix_that_shadows_is_named() {
    let shadowing = |public: &str, protected: &str| {
        InvalidRules::Shadowing { public: public.into(), protected: protected.into() }.to_string()
    };
    assert_eq!(error(&[Rule::public("/"), admin("/admin")]), shadowing("/", "/admin"));
    assert_eq!(error(&[admin("/admin"), Rule::public("/admin/assets")]), shadowing("/admin/assets", "/admin"));
    assert_eq!(error(&[admin("/Admin"), Rule::public("/admin/assets")]), shadowing("/admin/assets", "/Admin"));
    assert_eq!(error(&[admin("/x").exact(), Rule::public("/x")]), shadowing("/x", "/x (exact)"));
    for rules in [
        &[Rule::public("/").shadowing(), admin("/admin")][..],
        &[Rule::public("/healthz").exact(), admin("/")],
        &[Rule::public("/x").methods([Method::OPTIONS]), admin("/x")],
        &[Rule::public("/x"), admin("/x2"), admin("/").exact()],
        &[Rule::public("/").host("www.test"), admin("/")],
    ] {
        table(rules);
    }
}

/// However a path is spelled, it never gets the rule of another path.
#[test]
fn another_spelling_of_a_path_selects_no_other_rule() {
    let mut random = fastrand::Rng::with_seed(21);
    let names = ["a", "b", "ab", "keys", "caf%C3%A9"];
    let path = |random: &mut fastrand::Rng| -> String {
        (0..random.usize(1..4)).map(|_| format!("/{}", names[random.usize(..names.len())])).collect()
    };
    let (mut selected, mut refused) = (0, 0);
    for _ in 0..400 {
        let mut rules = vec![Rule::public("/").shadowing()];
        for _ in 0..random.usize(1..6) {
            let rule = admin(&path(&mut random));
            rules.push(if random.bool() { rule.exact() } else { rule });
        }
        let Ok(table) = Table::new(&rules, None) else { continue };
        for _ in 0..20 {
            let path = path(&mut random);
            let rule = oracle(&rules, &path);
            assert_eq!(select(&table, "h", &Method::GET, &path), Ok(rule), "{path} {rules:?}");
            let spelled = respell(&path, &mut random);
            match select(&table, "h", &Method::GET, &spelled) {
                Ok(other) => {
                    assert_eq!(other, rule, "{spelled} for {path}: {rules:?}");
                    selected += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(selected > 500 && refused > 500, "{selected} {refused}");
}

/// Selects by whole segments, without any reading.
fn oracle(rules: &[Rule], path: &str) -> usize {
    let segments = |path: &str| path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let asked = segments(path);
    let covers = |rule: &Rule| {
        let own = segments(&rule.path);
        if rule.exact { own == asked } else { asked.starts_with(&own) }
    };
    let covering = rules.iter().enumerate().filter(|(_, rule)| covers(rule));
    covering.max_by_key(|(_, rule)| (rule.exact, segments(&rule.path).len())).unwrap().0
}

/// Spells a path as a program may read it like the original.
fn respell(path: &str, random: &mut fastrand::Rng) -> String {
    let mut spelled = String::new();
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        match c {
            '/' if !spelled.is_empty() && random.u8(..8) == 0 => {
                spelled.push_str([";v=1/", ";/", "%3Bx/"][random.usize(..3)])
            }
            '/' => spelled.push('/'),
            '%' => {
                let pair: String = rest.by_ref().take(2).collect();
                spelled.push('%');
                spelled += &if random.bool() { pair.to_lowercase() } else { pair };
            }
            letter => match random.u8(..8) {
                0 => spelled += &format!("%{:02X}", u32::from(letter)),
                1 => spelled += &format!("%25{:02x}", u32::from(letter)),
                2 => spelled.push(letter.to_ascii_uppercase()),
                _ => spelled.push(letter),
            },
        }
    }
    if random.u8(..8) == 0 {
        spelled.push('/');
    }
    spelled
}
