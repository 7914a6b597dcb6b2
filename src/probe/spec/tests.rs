use super::*;

fn one(fields: &str) -> Result<Spec, String> {
    let text = format!(r#"{{"version":1,"probes":[{{"name":"p",{fields}}}]}}"#);
    parse(&text).map(|specs| specs[0].clone())
}

#[test]
fn every_kind_is_read_with_its_defaults() {
    let http = one(r#""kind":"http","url":"http://127.0.0.1/h""#).unwrap();
    assert_eq!((http.mode, http.interval.as_secs(), http.timeout.as_secs()), (ProbeMode::Enforce, 10, 5));
    let kinds = [
        r#""kind":"tcp","address":"[::1]:22","mode":"observe","intervalMs":100,"timeoutMs":50"#,
        r#""kind":"unit","unit":"nginx.service","mode":"disabled""#,
        r#""kind":"exec","program":"/bin/true","args":["a"]"#,
        r#""kind":"reach","addresses":["a:1","b:2"]"#,
    ];
    for fields in kinds {
        one(fields).unwrap();
    }
    assert_eq!(parse(" \n"), Ok(Vec::new()));
}

#[test]
fn every_mistake_is_named_at_once() {
    let text = r#"{"version":1,"probes":[
        {"name":"-","kind":"http","url":"ftp://x","intervalMs":0},
        {"name":"a","kind":"tcp","address":"nowhere"},
        {"name":"b","kind":"exec","program":"true"},
        {"name":"c","kind":"unit","unit":"nginx","extra":1},
        {"name":"d","kind":"guess"},
        {"name":"e","kind":"reach","addresses":[]},
        {"name":"f","kind":"unit","unit":"a.service"},
        {"name":"f","kind":"unit","unit":"a.service"},
        {"name":"g","kind":"unit","unit":"a.service","mode":"maybe"},
        7
    ]}"#;
    let mistakes = parse(text).unwrap_err();
    for (at, word) in [
        (0, "ftp://x"),
        (0, "intervalMs"),
        (0, "probe name"),
        (1, "HOST:PORT"),
        (2, "absolute"),
        (3, "extra"),
        (4, "guess"),
        (5, "addresses"),
        (7, "twice"),
        (8, "maybe"),
        (9, "object"),
    ] {
        let found = mistakes.lines().any(|line| line.starts_with(&format!("probes[{at}]")) && line.contains(word));
        assert!(found, "{at} {word} is not in\n{mistakes}");
    }
}

#[test]
fn unknown_versions_and_fields_are_refused() {
    for (text, word) in [
        (r#"{"probes":[]}"#, "version"),
        (r#"{"version":2,"probes":[]}"#, "version 2"),
        (r#"{"version":1}"#, "probes"),
        (r#"{"version":1,"probes":[],"more":1}"#, "more"),
        ("[]", "expected a map"),
        ("{", "EOF"),
    ] {
        assert!(parse(text).unwrap_err().contains(word), "{text}");
    }
    let many = vec![r#"{"name":"a","kind":"unit","unit":"a.b"}"#; MAX_PROBES + 1].join(",");
    assert!(parse(&format!(r#"{{"version":1,"probes":[{many}]}}"#)).unwrap_err().contains("65 probes"));
    assert!(parse(&" {".repeat(MAX_TEXT)).unwrap_err().contains("bytes long"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_failing_enforce_probe() {
    let specs = parse_or_failing("{");
    assert_eq!(specs.len(), 1);
    assert_eq!((specs[0].name.as_str(), specs[0].mode), (UNREADABLE, ProbeMode::Enforce));
    assert!(matches!(specs[0].kind, Kind::Unreadable(_)));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = one(&text);
    }
}
