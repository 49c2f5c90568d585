//! The requirements of declared routes, for OpenAPI documents.

use super::declared::{DeclaredRoute, has_method};
use super::gate::Gate;
use super::groups::Group;
use super::style::RejectionFormat;
use crate::domain::{Requirement, Verdict};
use http::Method;

/// The requirement of a documented operation.
#[derive(Debug)]
pub(crate) struct DocumentedRequirement {
    /// The sets of scopes that meet it, each by itself. Without any, nothing meets it.
    pub(crate) alternatives: Vec<Vec<String>>,
    /// Whether requests without a credential meet it.
    pub(crate) is_public: bool,
    /// Whether tokens meet it, and not only sessions.
    pub(crate) admits_tokens: bool,
    /// Whether people whom the host has signed in meet it.
    pub(crate) admits_signed_in: bool,
    /// The format of rejections.
    pub(crate) format: RejectionFormat,
}

/// Several routes of one path have different requirements, and their methods are unknown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownMethods;

impl Gate {
    /// Returns the requirement of the route that requests of this method and path reach. The path may have parameters.
    /// `None` if there is no such route, or if it is public.
    pub(crate) fn documented_requirement(
        &self,
        routes: &[DeclaredRoute],
        method: &Method,
        path: &str,
    ) -> Result<Option<DocumentedRequirement>, UnknownMethods> {
        let Some(requirement) = find(routes, method, path)? else { return Ok(None) };
        let group = self.groups.find(method, path);
        let public = group.and_then(|group| group.public_entry());
        let scopes = |set: Vec<_>| set.into_iter().map(ToString::to_string).collect();
        Ok(Some(DocumentedRequirement {
            alternatives: requirement.alternatives().into_iter().map(scopes).collect(),
            is_public: public.is_some_and(|entry| entry.principal.verdict(requirement) != Verdict::Denied),
            admits_tokens: group.is_none_or(Group::admits_tokens),
            admits_signed_in: self.signed_in.is_some() && group.is_some_and(Group::admits_signed_in),
            format: group.map_or(&self.style, |group| &group.style).format,
        }))
    }
}

/// Finds the requirement of a route as a router does: first by the path, the most specific one, then by the method.
fn find<'r>(
    routes: &'r [DeclaredRoute],
    method: &Method,
    path: &str,
) -> Result<Option<&'r Requirement>, UnknownMethods> {
    let ranked: Vec<_> = routes.iter().filter_map(|route| Some((ranks(route, path)?, route))).collect();
    let Some(best) = ranked.iter().map(|(ranks, _)| ranks).min() else { return Ok(None) };
    let of_path = || ranked.iter().filter(|(ranks, _)| ranks == best).map(|(_, route)| *route);
    let serves = |route: &&DeclaredRoute| route.methods.is_some_and(|methods| has_method(methods, method));
    if let Some(route) = of_path().find(serves) {
        return Ok(route.requirement.as_ref());
    }
    let mut unknown = of_path().filter(|route| route.methods.is_none()).map(|route| route.requirement.as_ref());
    let Some(first) = unknown.next() else { return Ok(None) };
    if unknown.all(|other| other == first) { Ok(first) } else { Err(UnknownMethods) }
}

/// Compares a documented path with that of a route: a rank for each segment, the more specific the lower. `None` if the
/// route does not have the path.
fn ranks(route: &DeclaredRoute, path: &str) -> Option<Vec<u8>> {
    const REST: u8 = 3;
    let mut documented = path.split('/');
    let mut ranks = Vec::new();
    for declared in route.path.split('/') {
        if declared.starts_with("{*") {
            ranks.push(REST);
            return documented.next().map(|_| ranks);
        }
        ranks.push(rank(declared, documented.next()?)?);
    }
    match (documented.next(), route.is_prefix) {
        (None, _) => Some(ranks),
        (Some(_), true) => {
            ranks.push(REST);
            Some(ranks)
        }
        (Some(_), false) => None,
    }
}

/// Compares a documented segment with that of a route. Names of parameters do not matter.
fn rank(declared: &str, documented: &str) -> Option<u8> {
    let Some((before, rest)) = declared.split_once('{') else { return (declared == documented).then_some(0) };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let parameter = documented.strip_prefix(before)?.strip_suffix(after)?;
    let is_whole = before.is_empty() && after.is_empty();
    (!parameter.is_empty()).then_some(if is_whole { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action;
    use axum::routing::MethodFilter;

    fn route(path: &str, name: Option<&str>, methods: Option<MethodFilter>) -> DeclaredRoute {
        DeclaredRoute { methods, ..DeclaredRoute::new(path, name.map(action).as_ref()) }
    }

    #[test]
    fn an_operation_has_the_requirement_of_its_route() {
        let (get, post) = (Some(MethodFilter::GET), Some(MethodFilter::POST));
        let routes = [
            route("/a", Some("list"), get),
            route("/a", Some("create"), post),
            route("/a/{id}", Some("read"), None),
            route("/a/self", Some("self"), get),
            route("/a/login", None, None),
            route("/a/{id}/v{n}.json", Some("version"), get),
            route("/a/{id}/{part}", Some("part"), get),
            route("/a/{id}/{*rest}", Some("rest"), get),
            DeclaredRoute { is_prefix: true, ..route("/files", Some("files"), None) },
        ];
        for (method, path, name) in [
            (Method::GET, "/a", Some("list")),
            (Method::HEAD, "/a", Some("list")),
            (Method::POST, "/a", Some("create")),
            (Method::PUT, "/a", None),
            (Method::GET, "/a/", None),
            (Method::GET, "/a/{key}", Some("read")),
            (Method::DELETE, "/a/7", Some("read")),
            (Method::GET, "/a/self", Some("self")),
            (Method::POST, "/a/self", None),
            (Method::POST, "/a/login", None),
            (Method::GET, "/a/{id}/v{n}.json", Some("version")),
            (Method::GET, "/a/{id}/{x}", Some("part")),
            (Method::GET, "/a/{id}/x", Some("part")),
            (Method::GET, "/a/{id}/x/y", Some("rest")),
            (Method::GET, "/files", Some("files")),
            (Method::PUT, "/files/{name}/x", Some("files")),
            (Method::GET, "/filesx", None),
            (Method::GET, "/b", None),
            (Method::GET, "/{any}", None),
        ] {
            let found = find(&routes, &method, path).unwrap();
            assert_eq!(found.map(ToString::to_string).as_deref(), name, "{method} {path}");
        }
    }

    #[test]
    fn unknown_methods_matter_only_if_requirements_differ() {
        let routes = |other| [route("/a", Some("read"), None), route("/a", other, None)];
        assert!(find(&routes(Some("read")), &Method::GET, "/a").unwrap().is_some());
        for other in [Some("write"), None] {
            assert_eq!(find(&routes(other), &Method::GET, "/a"), Err(UnknownMethods));
        }
    }
}
