//! oauth-resource-server with static keys, without an authorization server.
//!
//! Included: the key is compared with each key in constant time, and its label goes into the extensions. Not included:
//! actions (a key may do everything behind the layer, scopes are for OAuth tokens), and changes of keys after the layer
//! is built. It is meant for a key and its successor; its documentation also offers one key per client.

use axum::Router;
use oauth_resource_server::StaticTokens;
use oauth_resource_server::axum::AuthLayer;

pub(crate) fn wrap(routes: Router, keys: &[String]) -> Router {
    let keys = keys.iter().enumerate().try_fold(StaticTokens::new(), |set, (i, key)| {
        let label = format!("client-{i}");
        set.with(Some(label.as_str()), key.as_str())
    });
    let layer = AuthLayer::builder().static_tokens(keys.unwrap()).build().unwrap();
    routes.route_layer(layer).with_state(())
}
