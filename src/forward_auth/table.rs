//! The table of rules: from a request to its rule, and the mistakes that are found when it is built.

use super::host::HostPattern;
use super::invalid::InvalidRules;
use super::reading::{Reading, is_settled};
use super::rules::Rule;
use crate::domain::{Ambiguity, Catalogue, Reason};
use crate::guard::{judge_reported, unknown_names};
use http::Method;

/// The maximum length of a path, in bytes. Each reading of it costs time.
const LONGEST_PATH: usize = 8 * 1024;

/// The rules by host, path and method.
pub(super) struct Table {
    /// The most specific host first.
    hosts: Vec<HostRules>,
}

/// The rules of one host.
struct HostRules {
    host: HostPattern,
    paths: Vec<PathRules>,
}

/// The rules of one path.
struct PathRules {
    exact: bool,
    /// The path in each reading. For the prefix of all paths it is empty, so that the rest of a path begins with `/`.
    readings: Vec<Vec<u8>>,
    rules: Vec<MethodRule>,
}

/// The methods of a rule; `None` for those that no other rule of the path names.
struct MethodRule {
    methods: Option<Vec<Method>>,
    /// The place of the rule among all.
    place: usize,
}

impl Table {
    /// Checks the rules, and sorts them by host.
    pub(super) fn new(rules: &[Rule], catalogue: Option<&Catalogue>) -> Result<Self, InvalidRules> {
        if rules.is_empty() {
            return Err(InvalidRules::None);
        }
        let mut hosts: Vec<HostRules> = Vec::new();
        for (place, rule) in rules.iter().enumerate() {
            check(rule, catalogue)?;
            let host = HostPattern::parse(rule.host.as_deref()).ok_or_else(|| InvalidRules::Host(rule.to_string()))?;
            let at = hosts.iter().position(|known| known.host == host).unwrap_or_else(|| {
                hosts.push(HostRules { host, paths: Vec::new() });
                hosts.len() - 1
            });
            hosts[at].add(rule, place, rules)?;
        }
        hosts.sort_by(|a, b| b.host.cmp(&a.host));
        for host in &hosts {
            host.check_shadows(rules)?;
        }
        Ok(Self { hosts })
    }

    /// Returns the place of the rule for a request, if every reading of its path and each of the methods that it may be
    /// taken for select the same one. The path has been judged.
    pub(super) fn select(&self, host: &str, path: &str, methods: &[Method]) -> Result<usize, Reason> {
        let host = self.hosts.iter().find(|rules| rules.host.covers(host)).filter(|_| path.len() <= LONGEST_PATH);
        let host = host.ok_or(Reason::NoRule)?;
        let sent = host.of_path(Reading::SENT, path.as_bytes());
        let rule = sent.and_then(|rules| rules.select(methods.first()?)).ok_or(Reason::NoRule)?;
        for reading in Reading::all() {
            let read = reading.read(path);
            let rules = host.of_path(reading, &read).filter(|_| is_settled(&read));
            let mut selected = methods.iter().map(|method| rules.and_then(|rules| rules.select(method)));
            if selected.next() != Some(Some(rule)) {
                return Err(Reason::AmbiguousPath(Ambiguity::OtherRule));
            }
            if selected.any(|other| other != Some(rule)) {
                return Err(Reason::NoRule);
            }
        }
        Ok(rule)
    }
}

/// Checks a rule by itself.
fn check(rule: &Rule, catalogue: Option<&Catalogue>) -> Result<(), InvalidRules> {
    let path = rule.path.as_str();
    let rooted = path == "/" || (path.starts_with('/') && !path.ends_with('/'));
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'{' | b'}' | b'*' | b'?' | b'#' | b';');
    let plain = path.bytes().all(is_plain) && judge_reported(path).is_ok() && !path.contains("%25");
    if !rooted || !plain {
        return Err(InvalidRules::Path(rule.to_string()));
    }
    if rule.methods.as_ref().is_some_and(Vec::is_empty) {
        return Err(InvalidRules::NoMethod(rule.to_string()));
    }
    let Some(requirement) = &rule.requirement else { return Ok(()) };
    if requirement.alternatives().is_empty() {
        return Err(InvalidRules::NeverMet(rule.to_string()));
    }
    match unknown_names(path, requirement, catalogue).into_iter().next() {
        Some(name) => Err(InvalidRules::Unknown { rule: rule.to_string(), name }),
        None => Ok(()),
    }
}

impl HostRules {
    fn add(&mut self, rule: &Rule, place: usize, rules: &[Rule]) -> Result<(), InvalidRules> {
        let path = if rule.path == "/" && !rule.exact { "" } else { &rule.path };
        let readings: Vec<Vec<u8>> = Reading::all().map(|reading| reading.read(path)).collect();
        let new = MethodRule { methods: rule.methods.clone(), place };
        let twice = |other: usize| Err(InvalidRules::Twice(rules[other].to_string(), rule.to_string()));
        for known in self.paths.iter_mut().filter(|known| known.exact == rule.exact) {
            let overlaps = known.readings.iter().zip(&readings).any(|(a, b)| a == b);
            if known.readings == readings {
                if let Some(other) = known.rules.iter().find(|other| other.overlaps(&new)) {
                    return twice(other.place);
                }
                known.rules.push(new);
                return Ok(());
            }
            if overlaps {
                return twice(known.rules[0].place);
            }
        }
        self.paths.push(PathRules { exact: rule.exact, readings, rules: vec![new] });
        Ok(())
    }

    /// Finds a public prefix above or below a protected rule.
    fn check_shadows(&self, rules: &[Rule]) -> Result<(), InvalidRules> {
        let each = || self.paths.iter().flat_map(|path| path.rules.iter().map(move |rule| (path, &rules[rule.place])));
        for (path, public) in each().filter(|(path, rule)| rule.is_public() && !path.exact && !rule.shadowing) {
            let shadowed = each()
                .filter(|(other, rule)| !rule.is_public() && !std::ptr::eq(path, *other))
                .find(|(other, _)| path.covers_pattern(other) || (!other.exact && other.covers_pattern(path)));
            if let Some((_, protected)) = shadowed {
                return Err(InvalidRules::Shadowing { public: public.to_string(), protected: protected.to_string() });
            }
        }
        Ok(())
    }

    /// Returns the rules of the longest path that covers this one.
    fn of_path(&self, reading: Reading, path: &[u8]) -> Option<&PathRules> {
        let covering = self.paths.iter().filter(|rules| rules.covers(reading, path));
        covering.max_by_key(|rules| (rules.exact, rules.read(reading).len()))
    }
}

impl PathRules {
    fn read(&self, reading: Reading) -> &[u8] {
        &self.readings[reading.place()]
    }

    fn covers(&self, reading: Reading, path: &[u8]) -> bool {
        match path.strip_prefix(self.read(reading)) {
            Some(rest) => rest.is_empty() || (!self.exact && rest.starts_with(b"/")),
            None => false,
        }
    }

    /// Returns whether this prefix covers the path of other rules in some reading.
    fn covers_pattern(&self, other: &Self) -> bool {
        Reading::all().any(|reading| self.covers(reading, other.read(reading)))
    }

    fn select(&self, method: &Method) -> Option<usize> {
        let named = |method: &Method| self.rules.iter().find(|rule| rule.names(method));
        let head = || (*method == Method::HEAD).then(|| named(&Method::GET)).flatten();
        let others = || self.rules.iter().find(|rule| rule.methods.is_none());
        named(method).or_else(head).or_else(others).map(|rule| rule.place)
    }
}

impl MethodRule {
    fn names(&self, method: &Method) -> bool {
        self.methods.as_ref().is_some_and(|methods| methods.contains(method))
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (&self.methods, &other.methods) {
            (None, None) => true,
            (Some(methods), Some(_)) => methods.iter().any(|method| other.names(method)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
