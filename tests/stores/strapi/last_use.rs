//! The store writes the last use only on request, and nothing else.

use crate::strapi::setup::{Setup, ask};
use keyward::store::{Store, Use};
use keyward::strapi::StrapiOptions;
use keyward::time::Timestamp;
use keyward::token::TokenId;

const LAST_USE: &str = "SELECT COUNT(*) FROM strapi_api_tokens WHERE last_used_at IS NOT NULL";

#[tokio::test]
async fn last_use_is_written_only_on_request() {
    for mut setup in Setup::on_both().await {
        let secret = setup.token(1, "NULL", "'full-access'").await;
        for (options, noted) in [(StrapiOptions::default(), 0), (StrapiOptions::default().note_uses(), 1)] {
            let keyward = setup.keyward_on(setup.store_with(options).await);
            assert_eq!(ask(&keyward, &secret).await.1, 200);
            keyward.flush().await;
            assert_eq!(setup.number(LAST_USE).await, noted);
        }
    }
}

#[tokio::test]
async fn last_use_is_written_once_an_hour() {
    for mut setup in Setup::on_both().await {
        setup.token(1, "NULL", "'full-access'").await;
        let store = setup.store_with(StrapiOptions::default().note_uses()).await;
        let hour = 3_600_000;
        for (at, kept) in
            [(10 * hour, 10 * hour), (11 * hour, 10 * hour), (9 * hour, 10 * hour), (11 * hour + 1, 11 * hour + 1)]
        {
            let digest = keyward::store::Digest::Native([0; 27]);
            let used = |token| Use { token: TokenId(token), digest, at: Timestamp(at), address: None, tool: None };
            store.note_uses(&[used(1), used(99)]).await.unwrap();
            let found = format!("{LAST_USE} AND last_used_at = {}", setup.time(kept));
            assert_eq!(setup.number(&found).await, 1, "{at}");
        }
    }
}
