//! Rules for tokens: their lifespans, networks, number and names, set for the installation or for a role.

use super::ServiceError;
use super::error::FieldErrors;
use super::unit_of_work::UnitOfWork;
use crate::domain::{FieldName, OwnerId, Timestamp, Token, TokenLimits, comparable};
use crate::store::View;
use std::fmt;
use std::time::Duration;

/// Rules that new and changed tokens have to follow. By default there are none.
///
/// Set them for the installation with [`Policy::token_rules`](crate::admin::Policy::token_rules), and more of them for owners with a
/// role with [`Policy::role_rules`](crate::admin::Policy::role_rules): a token has to follow them all. Tokens that exist stay as they
/// are; [`Tokens::violations`](crate::admin::Tokens::violations) lists those that violate a rule.
///
/// ```
/// use keyward::admin::{Policy, TokenRules};
/// use std::time::Duration;
/// let mut policy = Policy::default();
/// policy.token_rules = TokenRules::none().must_expire().name_pattern("*-prod")?;
/// policy.role_rules = vec![("Deployer".to_owned(), TokenRules::none().must_have_network())];
/// # Ok::<_, keyward::admin::InvalidNamePattern>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenRules {
    longest_lifespan: Option<Duration>,
    must_expire: bool,
    must_have_network: bool,
    most_tokens: Option<u64>,
    name_pattern: Option<NamePattern>,
}

impl TokenRules {
    /// Returns no rules.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sets the longest lifespan, from the issue to the expiry. A token without an expiry violates it.
    #[must_use]
    pub fn longest_lifespan(mut self, longest: Duration) -> Self {
        self.longest_lifespan = Some(longest);
        self
    }

    /// Requires an expiry.
    #[must_use]
    pub fn must_expire(mut self) -> Self {
        self.must_expire = true;
        self
    }

    /// Requires at least one [network](crate::token::Network), and none with all addresses, such as `0.0.0.0/0`.
    #[must_use]
    pub fn must_have_network(mut self) -> Self {
        self.must_have_network = true;
        self
    }

    /// Sets the most admin tokens of an owner.
    #[must_use]
    pub fn most_tokens(mut self, most: u64) -> Self {
        self.most_tokens = Some(most);
        self
    }

    /// Sets a pattern for names: `*` stands for any text, `?` for any character.
    ///
    /// # Errors
    /// [`InvalidNamePattern`] if the pattern is empty or longer than 200 characters.
    pub fn name_pattern(mut self, pattern: &str) -> Result<Self, InvalidNamePattern> {
        if pattern.is_empty() || pattern.chars().count() > 200 {
            return Err(InvalidNamePattern);
        }
        self.name_pattern = Some(NamePattern(pattern.to_owned()));
        Ok(self)
    }

    /// Returns the rules that a token violates.
    fn violations(&self, token: &CheckedToken<'_>) -> Vec<Violation> {
        let lifespan = token.lifespan;
        let mut found = Vec::new();
        if lifespan.is_none() && (self.must_expire || self.longest_lifespan.is_some()) {
            found.push(Violation::NoExpiry);
        }
        if let Some(longest) = self.longest_lifespan.filter(|longest| lifespan.is_some_and(|span| span > *longest)) {
            found.push(Violation::LifespanTooLong(longest));
        }
        let networks = &token.limits.networks;
        if self.must_have_network && (networks.is_empty() || networks.iter().any(|network| network.is_everything())) {
            found.push(Violation::NoNetwork);
        }
        if let Some(most) = self.most_tokens.filter(|most| token.of_owner.is_some_and(|count| count > *most)) {
            found.push(Violation::TooManyTokens(most));
        }
        if let Some(pattern) = self.name_pattern.as_ref().filter(|pattern| !pattern.matches(token.name)) {
            found.push(Violation::Name(pattern.0.clone()));
        }
        found
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The error for a pattern for names that is empty or too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a pattern for names has 1 to 200 characters")]
pub struct InvalidNamePattern;

#[derive(Clone, PartialEq, Eq, Debug)]
struct NamePattern(String);

impl NamePattern {
    /// Returns whether the pattern matches the whole name.
    ///
    /// Where the rest does not match, it goes back to the last `*`. So the time is at most proportional to the product of both
    /// lengths.
    fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.0.chars().collect(), name.chars().collect());
        let (mut p, mut n, mut star) = (0, 0, None);
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
                _ => match star {
                    Some((at, from)) => {
                        star = Some((at, from + 1));
                        (p, n) = (at + 1, from + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

/// A rule that a token violates.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Violation {
    /// It has no expiry.
    NoExpiry,
    /// It lives longer than this.
    LifespanTooLong(Duration),
    /// It has no networks.
    NoNetwork,
    /// Its owner has more tokens than this.
    TooManyTokens(u64),
    /// Its name does not match this pattern.
    Name(String),
}

impl Violation {
    /// Returns the word for the rule, as in the management API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoExpiry => "no-expiry",
            Self::LifespanTooLong(_) => "lifespan-too-long",
            Self::NoNetwork => "no-network",
            Self::TooManyTokens(_) => "too-many-tokens",
            Self::Name(_) => "name",
        }
    }

    fn field(&self) -> FieldName {
        match self {
            Self::NoExpiry | Self::LifespanTooLong(_) => FieldName::Lifespan,
            Self::NoNetwork => FieldName::Networks,
            Self::TooManyTokens(_) => FieldName::Owner,
            Self::Name(_) => FieldName::Name,
        }
    }
}

/// The requirement that the token does not meet, as a message for its field.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoExpiry => f.write_str("must not be unlimited here"),
            Self::LifespanTooLong(longest) => write!(f, "must be at most {} ms", longest.as_millis()),
            Self::NoNetwork => f.write_str("must name the networks from which the token is used"),
            Self::TooManyTokens(most) => write!(f, "must have at most {most} admin tokens: delete one first"),
            Self::Name(pattern) => write!(f, "must match {pattern}"),
        }
    }
}

/// The properties of a token that the rules check.
struct CheckedToken<'t> {
    name: &'t str,
    lifespan: Option<Duration>,
    limits: &'t TokenLimits,
    /// The number of admin tokens of its owner, with this one. `None` if it is not checked.
    of_owner: Option<u64>,
}

/// The rules for the tokens of an owner, or for content tokens.
pub(super) struct RulesOf(Vec<TokenRules>);

impl RulesOf {
    /// Collects the rules for tokens of this owner.
    pub(super) async fn load(
        view: &mut dyn View,
        policy: &super::Policy,
        owner: Option<OwnerId>,
    ) -> Result<Self, ServiceError> {
        let mut rules = vec![policy.token_rules.clone()];
        if let (false, Some(owner)) = (policy.role_rules.is_empty(), owner) {
            let held = view.owner(owner).await?.map(|owner| owner.roles).unwrap_or_default();
            let names: Vec<String> = view
                .roles()
                .await?
                .into_iter()
                .filter(|(role, _)| held.contains(&role.id))
                .map(|(role, _)| comparable(&role.name))
                .collect();
            let of_roles = policy.role_rules.iter().filter(|(name, _)| names.contains(&comparable(name)));
            rules.extend(of_roles.map(|(_, rules)| rules.clone()));
        }
        rules.retain(|rules| !rules.is_none());
        Ok(Self(rules))
    }

    /// Returns the most admin tokens of the owner.
    pub(super) fn most_tokens(&self) -> u64 {
        self.0.iter().filter_map(|rules| rules.most_tokens).min().unwrap_or(u64::MAX)
    }

    /// Reports the rules that a new token, the `of_owner`th of its owner, violates.
    pub(super) fn check_new(
        &self,
        (name, lifespan, limits): (&str, Option<Duration>, &TokenLimits),
        of_owner: Option<u64>,
        errors: &mut FieldErrors,
    ) {
        self.report(&CheckedToken { name, lifespan, limits, of_owner }, &[], errors);
    }

    /// Reports the rules that a token violates after a change, and not before it.
    pub(super) fn check_change(&self, before: &Token, after: &Token, errors: &mut FieldErrors) {
        let already = self.of_token(before, None);
        self.report(&CheckedToken::of(after, None), &already, errors);
    }

    /// Returns the rules that a token violates.
    pub(super) fn of_token(&self, token: &Token, of_owner: Option<u64>) -> Vec<Violation> {
        self.violations(&CheckedToken::of(token, of_owner))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn report(&self, token: &CheckedToken<'_>, already: &[Violation], errors: &mut FieldErrors) {
        for violation in self.violations(token).into_iter().filter(|violation| !already.contains(violation)) {
            errors.add(violation.field(), violation.to_string());
        }
    }

    fn violations(&self, token: &CheckedToken<'_>) -> Vec<Violation> {
        let mut found: Vec<Violation> = Vec::new();
        for violation in self.0.iter().flat_map(|rules| rules.violations(token)) {
            if !found.contains(&violation) {
                found.push(violation);
            }
        }
        found
    }
}

impl<'t> CheckedToken<'t> {
    fn of(token: &'t Token, of_owner: Option<u64>) -> Self {
        let lifespan = token.expires_at.map(|expires| expires.since(token.created_at));
        Self { name: &token.name, lifespan, limits: &token.limits, of_owner }
    }
}

impl UnitOfWork<'_> {
    /// Collects the rules for tokens of this owner.
    pub(super) async fn rules_of(&mut self, owner: Option<OwnerId>) -> Result<RulesOf, ServiceError> {
        let state = self.state.clone();
        RulesOf::load(self.view(), &state.settings.policy, owner).await
    }

    /// Returns the time that is left until this one. Zero if it has passed.
    pub(super) fn until(&self, at: Timestamp) -> Duration {
        at.since(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_like_a_shell() {
        for (pattern, name, matches) in [
            ("ci-*", "ci-deploy", true),
            ("ci-*", "cd-deploy", false),
            ("*-prod", "a-prod-prod", true),
            ("*-prod", "a-prod-", false),
            ("??", "äb", true),
            ("??", "a", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("[a]", "[a]", true),
        ] {
            assert_eq!(NamePattern(pattern.to_owned()).matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_is_cheap() {
        let pattern = NamePattern("*a".repeat(100));
        assert!(!pattern.matches(&"a".repeat(99)) && pattern.matches(&"a".repeat(100)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(10_000))));
    }
}
