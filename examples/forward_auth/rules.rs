//! The rules of the example: the same for each proxy.

use keyward::action;
use keyward::forward_auth::{Rule, Rules};

pub(crate) const READ_ORDERS: &str = "orders.read";
pub(crate) const WRITE_ORDERS: &str = "orders.write";
pub(crate) const READ_REPORTS: &str = "reports.read";

/// Adds the rules of the services behind the proxy. What they do not name is refused.
pub(crate) fn add(rules: Rules) -> Rules {
    rules
        .rule(Rule::service_keys("/orders", action(READ_ORDERS)).methods([http::Method::GET]))
        .rule(Rule::service_keys("/orders", action(WRITE_ORDERS)))
        .rule(Rule::admin("/reports", action(READ_REPORTS)))
        .rule(Rule::public("/public"))
        .rule(Rule::public("/healthz").exact())
        // On these hosts every path is for admin tokens.
        .rule(Rule::admin("/", action(READ_REPORTS)).host("*.internal.test"))
}
