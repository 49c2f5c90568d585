//! Nothing is written, unless it was asked for.

use crate::house::{House, ask};
use keyward::store::{Store, Use};
use keyward::strapi::StrapiOptions;
use keyward::time::Timestamp;
use keyward::token::TokenId;

const LAST_USE: &str = "SELECT COUNT(*) FROM strapi_api_tokens WHERE last_used_at IS NOT NULL";

#[tokio::test]
async fn uses_are_noted_only_if_asked_for() {
    for mut house in House::on_both().await {
        let secret = house.token(1, "NULL", "'full-access'").await;
        for (options, noted) in [(StrapiOptions::default(), 0), (StrapiOptions::default().note_uses(), 1)] {
            let keyward = house.keyward_on(house.store_with(options).await);
            assert_eq!(ask(&keyward, &secret).await.1, 200);
            keyward.flush().await;
            assert_eq!(house.number(LAST_USE).await, noted);
        }
    }
}

#[tokio::test]
async fn uses_are_noted_once_an_hour() {
    for mut house in House::on_both().await {
        house.token(1, "NULL", "'full-access'").await;
        let store = house.store_with(StrapiOptions::default().note_uses()).await;
        let hour = 3_600_000;
        for (at, kept) in
            [(10 * hour, 10 * hour), (11 * hour, 10 * hour), (9 * hour, 10 * hour), (11 * hour + 1, 11 * hour + 1)]
        {
            let used = |token| Use { token: TokenId(token), at: Timestamp(at), address: None };
            store.note_uses(&[used(1), used(99)]).await.unwrap();
            let found = format!("{LAST_USE} AND last_used_at = {}", house.time(kept));
            assert_eq!(house.number(&found).await, 1, "{at}");
        }
    }
}
