//! The routes that a guarded router declares, and the mistakes in them that can be found at the start.

use super::groups::Groups;
use crate::domain::{Catalogue, Requirement};
use axum::routing::{MethodFilter, MethodRouter};
use http::Method;
use std::collections::BTreeSet;

/// A declared route. Without a requirement it is for public groups.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(not(feature = "api"), allow(dead_code, reason = "only OpenAPI documents tell methods apart"))]
pub(crate) struct DeclaredRoute {
    pub(super) path: String,
    pub(super) requirement: Option<Requirement>,
    /// The methods, unless a method router or a service selects them.
    pub(super) methods: Option<MethodFilter>,
    /// The methods that a method router serves, as far as it tells.
    pub(super) served: Option<MethodFilter>,
    /// Whether it stands for calls in the bodies of a route that is declared too.
    pub(super) is_call: bool,
    /// Whether the route has everything below its path.
    pub(super) is_prefix: bool,
}

/// The mistakes in declared routes, a sentence each.
#[derive(Debug, Default)]
pub(crate) struct RouteMistakes {
    /// A requirement names what does not exist.
    pub(crate) unknown: BTreeSet<String>,
    /// The route and its group do not fit, if the gate sees the paths that the router declares. Behind another router
    /// that nests it, it sees longer ones.
    pub(crate) unfit: BTreeSet<String>,
}

impl DeclaredRoute {
    pub(super) fn new(path: &str, requirement: Option<&Requirement>) -> Self {
        let (path, requirement) = (path.to_owned(), requirement.cloned());
        Self { path, requirement, methods: None, served: None, is_call: false, is_prefix: false }
    }

    pub(super) fn below(&self, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        // A nested router serves its root without a slash.
        let path = if self.path == "/" { "" } else { &self.path };
        Self { path: format!("{prefix}{path}"), ..self.clone() }
    }
}

/// Returns whether methods include this one. `GET` includes `HEAD`.
pub(super) fn has_method(methods: MethodFilter, method: &Method) -> bool {
    let holds = |method: Method| MethodFilter::try_from(method).is_ok_and(|method| methods.or(method) == methods);
    holds(method.clone()) || (*method == Method::HEAD && holds(Method::GET))
}

/// Returns the methods that a method router serves. `None` if it serves every method, or does not tell.
///
/// axum has no accessor for them: they are read from its `Debug` text, where the value of its `Allow` header is. If that
/// text is another one, an explanation says that it does not know the requirement.
pub(super) fn served_methods<S>(router: &MethodRouter<S>) -> Option<MethodFilter> {
    let text = format!("{router:?}");
    // With a fallback of its own it serves every method.
    let (_, allowed) = text.contains("fallback: Default(").then(|| text.split_once("allow_header: Bytes(b\""))??;
    let mut methods = allowed
        .split_once('"')?
        .0
        .split(',')
        .map(|name| MethodFilter::try_from(Method::from_bytes(name.as_bytes()).ok()?).ok());
    let first = methods.next()??;
    methods.try_fold(first, |all, method| Some(all.or(method?)))
}

impl RouteMistakes {
    /// Finds the mistakes in these routes. Without a catalogue, every name may be right.
    pub(super) fn find(routes: &[DeclaredRoute], groups: &Groups, catalogue: Option<&Catalogue>) -> Self {
        let mut mistakes = Self::default();
        for DeclaredRoute { path, requirement, .. } in routes {
            if let Some(requirement) = requirement {
                let unknown = unknown_names(path, requirement, catalogue).into_iter();
                mistakes.unknown.extend(unknown.map(|name| format!("{path}: there is no {name}")));
            }
            let covering = groups.covering(path);
            let unfit = match (&covering[..], requirement) {
                // Its first segments may turn out to be those of a group.
                ([], _) if path.contains('{') && groups.begin_like(path.split('{').next().unwrap_or_default()) => {
                    continue;
                }
                ([], _) => "it is in no group, so every request is a 404",
                (groups, Some(_)) if groups.iter().all(|group| !group.is_protected()) => {
                    "it has a requirement, and is in a public group: without a caller every request fails"
                }
                (groups, None) if groups.iter().all(|group| group.is_protected()) => {
                    "it is public, and in a protected group, which rejects every request"
                }
                _ => continue,
            };
            mistakes.unfit.insert(format!("{path}: {unfit}"));
        }
        mistakes
    }
}

/// Returns the names without which nothing meets a requirement, and that do not exist.
pub(crate) fn unknown_names(path: &str, requirement: &Requirement, catalogue: Option<&Catalogue>) -> Vec<String> {
    requirement.unknown(&|part| {
        let mut unknown = Vec::new();
        if let Some(catalogue) = catalogue {
            let listed = catalogue.actions().iter().any(|entry| entry.id == *part.action);
            if !listed && !catalogue.content_actions().contains(part.action) {
                unknown.push(format!("action {} in the catalogue", part.action));
            }
            let resource = part.resource.filter(|r| !catalogue.resources().iter().any(|entry| entry.id == **r));
            unknown.extend(resource.map(|resource| format!("resource {resource} in the catalogue")));
        }
        let parameter = part.parameter.filter(|name| !has_param(path, name));
        unknown.extend(parameter.map(|name| format!("parameter {{{name}}} in the path")));
        unknown
    })
}

/// Returns whether the path has the parameter `{name}` or `{*name}`, which may be a part of a segment.
fn has_param(path: &str, name: &str) -> bool {
    let parts = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    parts.map(|(param, _)| param.strip_prefix('*').unwrap_or(param)).any(|param| param == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ActionEntry, ResourceEntry, action, all_of, any_of, authenticated};
    use crate::guard::Group;
    use crate::guard::base::Base;

    fn find(routes: &[(&str, Option<Requirement>)], catalogue: Option<&Catalogue>) -> RouteMistakes {
        let groups = vec![
            Group::admin("/admin"),
            Group::public("/admin/login").exact(http::Method::POST),
            Group::public("/healthz"),
        ];
        let groups = Groups::new(groups, &Base::default()).unwrap();
        let routes: Vec<_> = routes.iter().map(|(path, asked)| DeclaredRoute::new(path, asked.as_ref())).collect();
        RouteMistakes::find(&routes, &groups, catalogue)
    }

    #[test]
    fn names_that_do_not_exist_are_found() {
        let catalogue = Catalogue::default()
            .action(ActionEntry::on_resources("read", "Read", ["article"]))
            .resource(ResourceEntry::collection("article", "Article"))
            .content_action("find");
        let of = |path: &str, asked: Requirement| find(&[(path, Some(asked))], Some(&catalogue)).unknown;
        for (path, asked) in [
            ("/admin/x", action("read").on("article")),
            ("/admin/{uid}", action("read").on_param("uid")),
            ("/admin/{*uid}", action("read").on_param("uid")),
            ("/admin/x", all_of([authenticated(), any_of([action("find").whole(), action("x")])])),
        ] {
            assert!(of(path, asked).is_empty(), "{path}");
        }
        for (path, asked, mistake) in [
            ("/admin/x", action("raed"), "there is no action raed in the catalogue"),
            (
                "/admin/x",
                all_of([authenticated(), any_of([action("x").whole()])]),
                "there is no action x in the catalogue",
            ),
            ("/admin/x", action("read").on("artikel"), "there is no resource artikel in the catalogue"),
            ("/admin/{uid}", action("read").on_param("id"), "there is no parameter {id} in the path"),
        ] {
            assert_eq!(of(path, asked).into_iter().collect::<Vec<_>>(), [format!("{path}: {mistake}")]);
        }
        // Without a catalogue only the path counts.
        let any = |asked| find(&[("/admin/{uid}", Some(asked))], None).unknown.len();
        assert_eq!((any(action("raed").on("artikel")), any(action("raed").on_param("id"))), (0, 1));
    }

    #[test]
    fn routes_that_do_not_fit_their_group_are_found() {
        for (path, asked, fits) in [
            ("/admin/x", Some(authenticated()), true),
            ("/admin/login", None, true),
            ("/admin/login", Some(authenticated()), true),
            ("/healthz", None, true),
            ("/admin/x", None, false),
            ("/healthz", Some(authenticated()), false),
            ("/login", None, false),
            ("/{any}", Some(authenticated()), true),
            ("/adm{rest}", Some(authenticated()), true),
            ("/other/{any}", Some(authenticated()), false),
        ] {
            assert_eq!(find(&[(path, asked)], None).unfit.is_empty(), fits, "{path}");
        }
    }

    /// A release of axum with another `Debug` text fails here.
    #[test]
    fn a_method_router_tells_its_methods() {
        use axum::routing::{any, get, post};
        let served = |router: MethodRouter| served_methods(&router);
        let (get_only, both) = (MethodFilter::GET.or(MethodFilter::HEAD), MethodFilter::GET.or(MethodFilter::POST));
        assert_eq!(served(get(|| async {})), Some(get_only));
        assert_eq!(served(post(|| async {}).get(|| async {})), Some(both.or(MethodFilter::HEAD)));
        assert_eq!(served(post(|| async {})), Some(MethodFilter::POST));
        for every in [any(|| async {}), any(|| async {}).get(|| async {}), get(|| async {}).fallback(|| async {})] {
            assert_eq!(served(every), None);
        }
        assert_eq!(served(MethodRouter::new()), None);
    }

    #[test]
    fn a_nested_route_has_the_whole_path() {
        let below = |path: &str| DeclaredRoute::new(path, None).below("/admin/{id}/").path;
        assert_eq!((below("/"), below("/x/{y}")), ("/admin/{id}".to_owned(), "/admin/{id}/x/{y}".to_owned()));
    }
}
