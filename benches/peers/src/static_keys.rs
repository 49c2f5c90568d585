//! oauth-resource-server with static keys, and no authorization server behind it.
//!
//! Done: the bearer's key is compared with every key in constant time, and its label goes into the extensions. Not
//! done: a key may everything behind the layer (scopes are for OAuth's tokens); keys are fixed when the layer is built.
//! It is made for a key and its successor; "one key per client" is among what its documentation offers.

use axum::Router;
use oauth_resource_server::StaticTokens;
use oauth_resource_server::axum::AuthLayer;

pub(crate) fn around(routes: Router, keys: &[String]) -> Router {
    let keys = keys.iter().enumerate().try_fold(StaticTokens::new(), |set, (i, key)| {
        let label = format!("client-{i}");
        set.with(Some(label.as_str()), key.as_str())
    });
    let layer = AuthLayer::builder().static_tokens(keys.unwrap()).build().unwrap();
    routes.route_layer(layer).with_state(())
}
