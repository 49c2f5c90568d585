//! Views, lists and their pages.

use super::Backend;
use super::fixtures::{AWKWARD, admin, begin, commit, event, metadata, owner, role, session, token, view};
use crate::domain::{
    Actor, AuditAction, AuditEvent, AuditOrigin, AuditTarget, Ceiling, ContentAccess, Digest, Metadata, OwnerId,
    OwnerState, PasswordHash, Permission, RoleId, Timestamp, TokenAuthority, TokenId, TokenKind,
};
use crate::store::{
    EventQuery, EventsOfActor, Filter, MetadataFilter, NewOwner, NewToken, OwnerField, OwnerQuery, OwnerSort, Paging,
    SignInPlace, TokenField, TokenQuery, TokenSort, Use,
};
use std::net::IpAddr;

pub(super) async fn view_reads_one_point_in_time<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_role(role("editor", vec![])).await.expect("a role is added");
    commit(tx).await;
    let mut early = view(store).await;
    let mut tx = begin(store).await;
    let new = tx.insert_owner(owner("new@b", &[id])).await.expect("a view does not block writers");
    tx.set_permissions(id, &[Permission::new("read")]).await.expect("permissions are set");
    let found = early.owner(new).await.expect("an owner can be queried");
    assert!(found.is_none(), "uncommitted changes are not visible");
    commit(tx).await;
    let found = early.role(id).await.expect("a role can be read").expect("it exists");
    assert!(found.permissions.is_empty(), "a view reads the state at which it was opened");
    assert!(early.is_empty().await.expect("the query succeeds"), "every read of a view is of its point in time");
    let mut late = view(store).await;
    assert!(!late.is_empty().await.expect("the query succeeds"));
    assert!(late.owner(new).await.expect("an owner can be queried").is_some(), "a later view reads the later state");
    let ceiling = late.ceiling(new).await.expect("a ceiling can be read");
    assert_eq!(ceiling, Ceiling::Of(vec![Permission::new("read")]));
    drop((early, late));
    for _ in 0..50 {
        view(store).await.now();
    }
}

pub(super) async fn store_is_empty_until_an_owner_or_token_is_added<S: Backend>(store: &S) {
    assert!(view(store).await.is_empty().await.expect("the query succeeds"), "a role does not count");
    let mut tx = begin(store).await;
    let access = ContentAccess::FullAccess;
    tx.insert_token(token("content", TokenAuthority::Content { access })).await.expect("a token is added");
    assert!(!tx.is_empty().await.expect("the query succeeds"), "a token counts");
    drop(tx);
    let mut tx = begin(store).await;
    tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    assert!(!tx.is_empty().await.expect("the query succeeds"), "an owner counts");
}

pub(super) async fn lists_are_sorted_and_complete<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let (a, b) = (tx.insert_role(role("b", vec![])).await, tx.insert_role(role("a", vec![])).await);
    let (a, b) = (a.expect("a role is added"), b.expect("a role is added"));
    let one = tx.insert_owner(owner("one@b", &[a, b])).await.expect("an owner is added");
    let two = tx.insert_owner(owner("two@b", &[b])).await.expect("an owner is added");
    let mut ids = Vec::new();
    for (name, owner) in [("b", one), ("a", two), ("Z", one), ("ä", one)] {
        ids.push(tx.insert_token(admin(name, owner)).await.expect("a token is added"));
    }
    let (s1, s2) = (tx.insert_token(session(one)).await, tx.insert_token(session(one)).await);
    let sessions = [s1.expect("a session"), s2.expect("a session")];
    commit(tx).await;
    let mut view = view(store).await;
    let roles = view.roles().await.expect("roles are listed");
    let counts: Vec<(RoleId, u64)> = roles.iter().map(|(role, members)| (role.id, *members)).collect();
    assert_eq!(
        counts,
        [(RoleId::SUPER_ADMIN, 0), (a, 1), (b, 2)],
        "roles are sorted by id, with their numbers of members"
    );
    for (role, members) in counts {
        assert_eq!(
            view.count_members(role).await.expect("members are counted"),
            members,
            "the number is that of the list"
        );
    }
    assert_eq!(roles[0].0.code.as_deref(), Some("strapi-super-admin"), "the built-in role has a code");
    let mut listed = async |kind, owner| -> Vec<TokenId> {
        let page = view.tokens(&TokenQuery { owner, ..TokenQuery::of(kind) }).await.expect("tokens are listed");
        let counted = view.count_tokens(kind, owner).await.expect("tokens are counted");
        assert_eq!((page.total, counted), (page.items.len() as u64, page.total), "{kind:?} of {owner:?}");
        page.items.iter().map(|t| t.id).collect()
    };
    assert_eq!(
        listed(TokenKind::Admin, None).await,
        [ids[1], ids[0], ids[2], ids[3]],
        "tokens are sorted by name, regardless of case"
    );
    assert_eq!(listed(TokenKind::Admin, Some(one)).await, [ids[0], ids[2], ids[3]], "tokens of one owner");
    assert_eq!(listed(TokenKind::Session, Some(one)).await, sessions, "sessions are sorted by id");
    assert_eq!(listed(TokenKind::Session, Some(two)).await, [], "another owner has no sessions");
    assert_eq!(listed(TokenKind::Content, None).await, [], "there is no content token");
    let counted = view.tokens_of_members().await.expect("they are counted");
    let expected = [(RoleId::SUPER_ADMIN, 0), (a, 3), (b, 4)];
    assert_eq!(counted, expected, "only admin tokens count, and every role is listed by id");
    let counted = view.tokens_of_owners(&[two, OwnerId(i64::MAX), one, two]).await.expect("they are counted");
    assert_eq!(counted, [(one, 3), (two, 1)], "only admin tokens count, and each existing owner is listed once, by id");
    for (owner, expected) in [(one, 3), (two, 1), (OwnerId(i64::MAX), 0)] {
        let grants = view.grants_of_owner(owner).await.expect("grants are read");
        assert!(grants.is_sorted_by_key(|(id, _)| *id), "admin tokens are listed by id");
        assert_eq!(grants.len(), expected, "only admin tokens are listed, and none of other owners");
        for (id, grants) in grants {
            let token = view.token(id).await.expect("a token is read").expect("it exists");
            assert_eq!(token.grants(), grants, "the grants are those of the token, in its order");
        }
    }
    let ceilings = view.ceilings(&[two, OwnerId(i64::MAX), one, two]).await.expect("ceilings are read");
    let ids: Vec<OwnerId> = ceilings.iter().map(|(owner, _)| owner.id).collect();
    assert_eq!(ids, [one, two], "each existing owner is listed once, by id");
}

pub(super) async fn owners_are_searched_sorted_and_paged<S: Backend>(store: &S) {
    let people = [
        ("Zoe@x.org", "b", "m", Some("")),
        ("adam@x.org", "B", "100%", None),
        ("EVE@x.org", "a_b", r"back\slash", Some("Root")),
        ("carl@x.org", "aXb", AWKWARD, None),
        ("bea@x.org", "b", "m", Some("admin")),
    ];
    let mut tx = begin(store).await;
    let mut ids = Vec::new();
    for (email, firstname, lastname, username) in people {
        let new = NewOwner { username: username.map(Into::into), ..NewOwner::new(email).named(firstname, lastname) };
        ids.push(tx.insert_owner(new).await.expect("an owner is added"));
    }
    commit(tx).await;
    let mut view = view(store).await;
    let mut found = async |search: Option<&str>, sort, descending, page, page_size| {
        let paging = Paging { page, page_size };
        let query = OwnerQuery { search: search.map(Into::into), sort, descending, ..OwnerQuery::all(paging) };
        let page = view.owners(&query).await.expect("owners are listed");
        let places = page.items.iter().map(|o| ids.iter().position(|id| *id == o.id).expect("a known record"));
        (places.collect::<Vec<usize>>(), page.total)
    };
    for (sort, order) in [
        (OwnerSort::Id, [0, 1, 2, 3, 4]),
        (OwnerSort::Email, [1, 4, 3, 2, 0]),
        (OwnerSort::Firstname, [1, 3, 2, 0, 4]),
        (OwnerSort::Lastname, [1, 2, 0, 4, 3]),
        (OwnerSort::Username, [1, 3, 0, 2, 4]),
        (OwnerSort::CreatedAt, [0, 1, 2, 3, 4]),
    ] {
        assert_eq!(found(None, sort, false, 1, 9).await, (order.to_vec(), 5), "{sort:?}, ascending");
        let reversed: Vec<usize> = order.into_iter().rev().collect();
        assert_eq!(found(None, sort, true, 1, 9).await, (reversed, 5), "{sort:?}, descending");
    }
    for (search, hits) in [
        ("EVE@", vec![2]),
        ("ROOT", vec![2]),
        ("%", vec![1, 3]),
        ("a_B", vec![2]),
        (r"K\S", vec![2]),
        (AWKWARD, vec![3]),
        ("", vec![0, 1, 2, 3, 4]),
        ("' OR 1=1", vec![]),
    ] {
        let total = hits.len() as u64;
        let answer = found(Some(search), OwnerSort::Id, false, 1, 9).await;
        assert_eq!(answer, (hits, total), "{search:?}: a search compares text literally");
    }
    let long = "x".repeat(100_000);
    assert_eq!(
        found(Some(&long), OwnerSort::Id, false, 1, 9).await,
        (vec![], 0),
        "a search text of any length is accepted"
    );
    assert_eq!(found(None, OwnerSort::Email, false, 2, 2).await, (vec![3, 2], 5), "the second page");
    assert_eq!(found(None, OwnerSort::Email, false, 3, 2).await, (vec![0], 5), "the last page");
    assert_eq!(
        found(None, OwnerSort::Email, true, u32::MAX, u32::MAX).await,
        (vec![], 5),
        "a page beyond the last one is empty"
    );
}

pub(super) async fn tokens_are_searched_sorted_and_paged<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let named = |email: &str, first: &str, last: &str, username: Option<&str>| NewOwner {
        username: username.map(Into::into),
        ..NewOwner::new(email).named(first, last)
    };
    let people = [
        named("Zoe@x.org", "Ada", "L_ve", None),
        named("eve@x.org", "", "", Some("root")),
        named("bob@x.org", "", "", None),
    ];
    let mut owners = Vec::new();
    for new in people {
        owners.push(tx.insert_owner(new).await.expect("an owner is added"));
    }
    let with_lifespan = |days: u64| Some(std::time::Duration::from_secs(days * 86_400));
    let mut ids = Vec::new();
    for (name, description, owner, lifespan) in [
        ("b", "100%", 0, None),
        ("B2", "plain", 1, with_lifespan(2)),
        ("a_b", r"back\slash", 2, with_lifespan(1)),
        ("aXb", "", 0, with_lifespan(3)),
        ("Deploy", AWKWARD, 1, None),
    ] {
        let new = NewToken { description: description.into(), lifespan, ..admin(name, owners[owner]) };
        ids.push(tx.insert_token(new).await.expect("a token is added"));
    }
    tx.insert_token(session(owners[0])).await.expect("a session is added");
    let content = |access| TokenAuthority::Content { access };
    let accesses = [ContentAccess::ReadOnly, ContentAccess::Custom(["find".into()].into()), ContentAccess::FullAccess];
    let mut contents = Vec::new();
    for (i, access) in accesses.into_iter().enumerate() {
        contents.push(tx.insert_token(token(&format!("c{i}"), content(access))).await.expect("a token is added"));
    }
    commit(tx).await;
    let at = Timestamp(5_000);
    let uses = [
        Use { token: ids[3], digest: Digest::Native([0; 27]), at, address: None, tool: None },
        Use { token: ids[0], digest: Digest::Native([0; 27]), at: Timestamp(4_000), address: None, tool: None },
    ];
    store.note_uses(&uses).await.expect("uses are noted");
    let mut view = view(store).await;
    let mut found = async |query: TokenQuery| {
        let page = view.tokens(&query).await.expect("tokens are listed");
        let places = page.items.iter().map(|t| ids.iter().position(|id| *id == t.id).expect("a known record"));
        (places.collect::<Vec<usize>>(), page.total)
    };
    let admin = TokenQuery::of(TokenKind::Admin);
    for (sort, order) in [
        (TokenSort::Id, [0, 1, 2, 3, 4]),
        (TokenSort::Name, [2, 3, 0, 1, 4]),
        (TokenSort::CreatedAt, [0, 1, 2, 3, 4]),
        (TokenSort::LastUsedAt, [1, 2, 4, 0, 3]),
        (TokenSort::ExpiresAt, [2, 1, 3, 0, 4]),
        (TokenSort::Owner, [0, 3, 2, 1, 4]),
        (TokenSort::Access, [0, 1, 2, 3, 4]),
    ] {
        let sorted = TokenQuery { sort, ..admin.clone() };
        assert_eq!(found(sorted.clone()).await, (order.to_vec(), 5), "{sort:?}, ascending");
        let reversed: Vec<usize> = order.into_iter().rev().collect();
        let descending = TokenQuery { descending: true, ..sorted };
        assert_eq!(found(descending.clone()).await, (reversed.clone(), 5), "{sort:?}, descending");
        // Of one owner, page by page: no gap and nothing twice.
        for query in [TokenQuery { descending: false, ..descending.clone() }, descending] {
            let of = |place: &usize| [0, 3].contains(place);
            let order: Vec<usize> = if query.descending { reversed.clone() } else { order.to_vec() };
            let expected: Vec<usize> = order.into_iter().filter(of).collect();
            let query = TokenQuery { owner: Some(owners[0]), ..query };
            assert_eq!(found(query.clone()).await, (expected.clone(), 2), "{sort:?}, of one owner");
            for (page, place) in (1..).zip(&expected) {
                let query = TokenQuery { paging: Paging { page, page_size: 1 }, ..query.clone() };
                assert_eq!(found(query).await, (vec![*place], 2), "{sort:?}, page {page}");
            }
        }
    }
    for (search, hits) in [
        ("DEPLOY", vec![4]),
        ("%", vec![0, 4]),
        ("a_B", vec![2]),
        (r"K\S", vec![2]),
        (AWKWARD, vec![4]),
        ("ada l_VE", vec![0, 3]),
        ("ROOT", vec![1, 4]),
        ("bob@", vec![2]),
        ("zoe@", vec![]),
        ("", vec![0, 1, 2, 3, 4]),
        ("' OR 1=1", vec![]),
    ] {
        let total = hits.len() as u64;
        let query = TokenQuery { search: Some(search.into()), sort: TokenSort::Id, ..admin.clone() };
        let what = "a search compares name, description and owner name literally";
        assert_eq!(found(query).await, (hits, total), "{search:?}: {what}");
    }
    let search = Some("x".repeat(100_000));
    assert_eq!(
        found(TokenQuery { search, ..admin.clone() }).await,
        (vec![], 0),
        "a search text of any length is accepted"
    );
    let both = TokenQuery { search: Some("b".into()), owner: Some(owners[0]), ..admin.clone() };
    assert_eq!(found(both).await, (vec![3, 0], 2), "a search among the tokens of one owner");
    let absent = TokenQuery { owner: Some(OwnerId(i64::MAX)), ..admin.clone() };
    assert_eq!(found(absent).await, (vec![], 0), "an absent owner has no tokens");
    for (page, places) in [(1, vec![2, 3]), (2, vec![0, 1]), (3, vec![4]), (4, vec![])] {
        let query = TokenQuery { paging: Paging { page, page_size: 2 }, ..admin.clone() };
        assert_eq!(found(query).await, (places, 5), "page {page}");
    }
    let last = TokenQuery { paging: Paging { page: u32::MAX, page_size: u32::MAX }, ..admin.clone() };
    assert_eq!(found(last).await, (vec![], 5), "a page beyond the last one is empty");
    let soonest = view.token(ids[2]).await.expect("it can be read").expect("it exists").expires_at;
    for (unexpired_at, names) in [
        (soonest.map(|at| Timestamp(at.0 - 1)), vec!["a_b", "aXb", "b", "B2", "Deploy"]),
        (soonest, vec!["aXb", "b", "B2", "Deploy"]),
        (Some(Timestamp(i64::MAX)), vec!["b", "Deploy"]),
    ] {
        let query = TokenQuery { unexpired_at, ..admin.clone() };
        let page = view.tokens(&query).await.expect("tokens are listed");
        assert_eq!(
            page.items.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
            names,
            "that end after {unexpired_at:?}"
        );
        assert_eq!(page.total, names.len() as u64);
    }
    let by_access = TokenQuery { sort: TokenSort::Access, ..TokenQuery::of(TokenKind::Content) };
    let page = view.tokens(&by_access).await.expect("tokens are listed");
    let listed: Vec<TokenId> = page.items.iter().map(|t| t.id).collect();
    assert_eq!(listed, [contents[1], contents[2], contents[0]], "content tokens are sorted by access");
}

pub(super) async fn events_are_filtered_and_paged<S: Backend>(store: &S) {
    let person = AuditOrigin { actor: Actor::Person(OwnerId(1)), address: None, tool: None };
    let token = AuditOrigin { actor: Actor::Token(TokenId(1)), address: None, tool: Some("publish".into()) };
    let of = AuditTarget::Owner(OwnerId(1));
    let written = [
        AuditEvent { at: Timestamp(10), ..event(AuditAction::TokenRevoked) },
        AuditEvent { at: Timestamp(20), origin: person.clone(), ..event(AuditAction::TokenIssued) },
        AuditEvent {
            at: Timestamp(30),
            origin: token,
            target: AuditTarget::Installation,
            ..event(AuditAction::TokenIssued)
        },
        AuditEvent { at: Timestamp(40), origin: person, target: of, ..event(AuditAction::OwnerCreated) },
        AuditEvent { at: Timestamp(50), target: AuditTarget::Role(RoleId(1)), ..event(AuditAction::RoleCreated) },
    ];
    let mut tx = begin(store).await;
    for event in &written {
        tx.audit(event.clone()).await.expect("an event is added");
    }
    commit(tx).await;
    let all = EventQuery::all(Paging { page: 1, page_size: 9 });
    let (at, the_first) = (|n| Some(Timestamp(n)), AuditTarget::Token(TokenId(1), TokenKind::Admin));
    let cases = [
        (all.clone(), vec![4, 3, 2, 1, 0], 5),
        (EventQuery { actions: Some(vec![AuditAction::TokenIssued]), ..all.clone() }, vec![2, 1], 2),
        (EventQuery { actions: Some(vec![]), ..all.clone() }, vec![], 0),
        (EventQuery { target: Some(the_first), ..all.clone() }, vec![1, 0], 2),
        (EventQuery { target: Some(AuditTarget::Installation), ..all.clone() }, vec![2], 1),
        (EventQuery { target: Some(AuditTarget::Role(RoleId(1))), ..all.clone() }, vec![4], 1),
        (EventQuery { person: Some(OwnerId(1)), ..all.clone() }, vec![3, 1], 2),
        (EventQuery { token: Some(TokenId(1)), ..all.clone() }, vec![2], 1),
        (EventQuery { person: Some(OwnerId(1)), token: Some(TokenId(1)), ..all.clone() }, vec![], 0),
        (EventQuery { tokens_of: Some(OwnerId(1)), ..all.clone() }, vec![4, 3, 2], 3),
        (EventQuery { tokens_of: Some(OwnerId(1)), person: Some(OwnerId(1)), ..all.clone() }, vec![3], 1),
        (EventQuery { since: at(20), until: at(40), ..all.clone() }, vec![2, 1], 2),
        (EventQuery { paging: Paging { page: 2, page_size: 2 }, ..all.clone() }, vec![2, 1], 5),
        (EventQuery { paging: Paging { page: 4, page_size: 2 }, ..all.clone() }, vec![], 5),
    ];
    for (query, places, total) in cases {
        let page = view(store).await.events(&query).await.expect("events are listed");
        let expected: Vec<&AuditEvent> = places.iter().map(|i: &usize| &written[*i]).collect();
        assert_eq!(page.items.iter().map(|(_, event)| event).collect::<Vec<_>>(), expected, "{query:?}");
        assert!(page.items.is_sorted_by(|a, b| a.0 > b.0), "{query:?}: the latest event comes first");
        assert_eq!(page.total, total, "{query:?}: the total counts all pages");
    }
    let ids: Vec<i64> =
        view(store).await.events(&all).await.expect("events are listed").items.iter().map(|e| e.0).collect();
    let of = async |query: EventQuery| {
        let page = view(store).await.events(&query).await.expect("events are listed");
        (page.items.iter().map(|(id, _)| *id).collect::<Vec<_>>(), page.total)
    };
    let reversed: Vec<i64> = ids.iter().rev().copied().collect();
    assert_eq!(of(EventQuery { ascending: true, ..all.clone() }).await, (reversed, 5));
    assert_eq!(of(EventQuery { id: Some(ids[1]), ..all.clone() }).await, (vec![ids[1]], 1));
    let two = Paging { page: 1, page_size: 2 };
    let below = EventQuery { below: Some(ids[1]), paging: two, ..all.clone() };
    assert_eq!(of(below).await, (vec![ids[2], ids[3]], 2), "the total counts only this page");
    let mut tx = begin(store).await;
    assert_eq!(
        tx.delete_events(Timestamp(30)).await.expect("events are deleted"),
        2,
        "events before the time are deleted"
    );
    tx.audit(event(AuditAction::EventsDeleted)).await.expect("an event is added");
    let page = tx.events(&all).await.expect("events are listed");
    assert_eq!(page.total, 4, "later events are kept");
    assert!(page.items.is_sorted_by(|a, b| a.0 > b.0), "ids keep rising");
}

pub(super) async fn owners_of_deleted_tokens_are_known<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let (one, two) = (tx.insert_owner(owner("one@b", &[])).await, tx.insert_owner(owner("two@b", &[])).await);
    let (one, two) = (one.expect("an owner is added"), two.expect("an owner is added"));
    let of_one = tx.insert_token(admin("of one", one)).await.expect("a token is added");
    let of_two = tx.insert_token(admin("of two", two)).await.expect("a token is added");
    let of_session = tx.insert_token(session(two)).await.expect("a session is added");
    let access = ContentAccess::FullAccess;
    let of_none =
        tx.insert_token(token("of none", TokenAuthority::Content { access })).await.expect("a token is added");
    let gone = TokenId(of_none.0 + 1);
    let about = |what, id, details| {
        let target = AuditTarget::Token(id, TokenKind::Admin);
        AuditEvent { target, details, ..event(what) }
    };
    for event in [
        about(AuditAction::TokenUpdated, of_one, serde_json::json!({"name": "x"})),
        about(AuditAction::TokenUpdated, of_two, serde_json::json!({"name": "x"})),
        about(AuditAction::TokenRevoked, gone, serde_json::json!({"name": "x", "owner": one})),
        about(AuditAction::TokenIssued, of_none, serde_json::json!({"access": "custom"})),
        event(AuditAction::RoleCreated),
    ] {
        tx.audit(event).await.expect("an event is added");
    }
    commit(tx).await;
    let mut view = view(store).await;
    let ids = [of_one, of_two, of_session, of_none, gone, TokenId(i64::MAX)];
    let mut found = view.token_owners(&ids).await.expect("owners can be queried");
    found.sort_unstable();
    assert_eq!(
        found,
        [(of_one, one), (of_two, two), (of_session, two), (gone, one)],
        "existing and deleted tokens with an owner"
    );
    assert!(view.token_owners(&[]).await.expect("owners can be queried").is_empty());
    let paging = Paging { page: 1, page_size: 9 };
    for (owner, targets) in [(one, vec![of_none, gone, of_one]), (two, vec![of_none, of_two])] {
        let query = EventQuery { tokens_of: Some(owner), ..EventQuery::all(paging) };
        let page = view.events(&query).await.expect("events are listed");
        let about = |event: &AuditEvent| match event.target {
            AuditTarget::Token(id, _) if id != TokenId(1) => Some(id),
            _ => None,
        };
        let found: Vec<TokenId> = page.items.iter().filter_map(|(_, event)| about(event)).collect();
        let own: Vec<TokenId> = targets.into_iter().filter(|id| *id != of_none && *id != TokenId(1)).collect();
        assert_eq!(found, own, "events about tokens of this owner, including deleted tokens");
    }
}

/// Rate limits use these events.
pub(super) async fn nth_latest_event_of_an_actor_is_found<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let (mine, yours) =
        (AuditTarget::Token(TokenId(71), TokenKind::Admin), AuditTarget::Token(TokenId(72), TokenKind::Admin));
    let (ada, bot) = (Actor::Person(OwnerId(81)), Actor::Token(TokenId(71)));
    let now = tx.now().0;
    let at = |ago: i64| Timestamp(now - ago);
    for (ago, what, target, actor) in [
        (50, AuditAction::TokenUpdated, mine, ada),
        (40, AuditAction::TokenUpdated, mine, ada),
        (35, AuditAction::TokenUpdated, mine, bot),
        (30, AuditAction::TokenUpdated, yours, ada),
        (25, AuditAction::TokenRegenerated, mine, ada),
        (20, AuditAction::TokenUpdated, mine, ada),
    ] {
        let origin = AuditOrigin { actor, address: None, tool: None };
        let details = serde_json::Value::Null;
        let event = AuditEvent { at: at(ago), origin, what, target, cause: None, details };
        tx.audit(event).await.expect("an event is added");
    }
    commit(tx).await;
    let mut view = view(store).await;
    let updates = EventsOfActor { what: AuditAction::TokenUpdated, target: Some(mine), actor: ada, since: at(45) };
    let cases = [
        (1, updates, Some(20)),
        (2, updates, Some(40)),
        (3, updates, None),
        (3, EventsOfActor { since: at(50), ..updates }, Some(50)),
        (1, EventsOfActor { actor: bot, ..updates }, Some(35)),
        (1, EventsOfActor { target: Some(yours), ..updates }, Some(30)),
        (2, EventsOfActor { target: None, ..updates }, Some(30)),
        (3, EventsOfActor { target: None, ..updates }, Some(40)),
        (1, EventsOfActor { target: None, actor: bot, ..updates }, Some(35)),
        (1, EventsOfActor { what: AuditAction::TokenRegenerated, ..updates }, Some(25)),
        (1, EventsOfActor { what: AuditAction::TokenRevealed, ..updates }, None),
        (u32::MAX, updates, None),
    ];
    for (nth, of, ago) in cases {
        let found = view.nth_latest_event(nth, &of).await.expect("events can be queried");
        assert_eq!(found, ago.map(at), "{nth} of {of:?}");
    }
}

pub(super) async fn sign_in_places_are_the_latest_of_each_person<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let mut people = Vec::new();
    for email in ["ada@example.test", "bob@example.test"] {
        people.push(tx.insert_owner(NewOwner::new(email)).await.expect("an owner is added"));
    }
    let now = tx.now().0;
    let signed_in = |actor: Actor, address: Option<IpAddr>, ago: i64, what: AuditAction| AuditEvent {
        at: Timestamp(now - ago),
        origin: AuditOrigin { actor, address, tool: None },
        what,
        target: AuditTarget::Token(TokenId(1), TokenKind::Session),
        cause: None,
        details: serde_json::Value::Null,
    };
    let ip = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
    let (ada, bob) = (Actor::Person(people[0]), Actor::Person(people[1]));
    // More than one person has signed in.
    let mut events: Vec<AuditEvent> =
        (0..100_u8).map(|n| signed_in(ada, ip(n), 200 - i64::from(n), AuditAction::SignedIn)).collect();
    events.push(signed_in(ada, ip(99), 500, AuditAction::SignedIn));
    events.push(signed_in(bob, ip(1), 900, AuditAction::SignedIn));
    events.push(signed_in(bob, ip(2), 1_001, AuditAction::SignedIn));
    events.push(signed_in(bob, ip(3), 900, AuditAction::SignedOut));
    events.push(signed_in(bob, None, 900, AuditAction::SignedIn));
    events.push(signed_in(Actor::Visitor, ip(4), 900, AuditAction::SignedIn));
    events.push(signed_in(Actor::Person(OwnerId(9_999)), ip(5), 900, AuditAction::SignedIn));
    for event in events {
        tx.audit(event).await.expect("an event is added");
    }
    commit(tx).await;
    let mut view = view(store).await;
    let mut places = view.sign_in_places(Timestamp(now - 1_000)).await.expect("places can be queried");
    places.sort_unstable_by_key(|place| place.last);
    let place = |owner: usize, email: &str, n: u8, ago: i64| SignInPlace {
        owner: people[owner],
        email: email.into(),
        address: IpAddr::from([192, 0, 2, n]),
        last: Timestamp(now - ago),
    };
    let latest = 100 - SignInPlace::OF_A_PERSON as u8;
    let mut expected = vec![place(1, "bob@example.test", 1, 900)];
    expected.extend((latest..100).map(|n| place(0, "ada@example.test", n, 200 - i64::from(n))));
    assert_eq!(places, expected, "only the latest places of a person are returned");
}

/// Only an active owner with a password can sign in.
pub(super) async fn sign_in_candidates_are_active_owners_with_a_password<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let hash = PasswordHash("$argon2id$".into());
    let mut ids = Vec::new();
    for (email, state, password) in [
        ("ada@example.test", OwnerState::Active, true),
        ("bob@example.test", OwnerState::Deactivated, true),
        ("eve@example.test", OwnerState::Active, false),
    ] {
        let id = tx.insert_owner(NewOwner::new(email)).await.expect("an owner is added");
        tx.set_owner_state(id, state).await.expect("a state is set");
        if password {
            tx.set_password(id, &hash).await.expect("a password is set");
        }
        ids.push(id);
    }
    commit(tx).await;
    let found = async |email: &str| store.sign_in_candidate(email).await.expect("a sign-in is answered");
    let ada = Some((ids[0], hash.clone()));
    assert_eq!((found("ada@example.test").await, found("ADA@Example.test").await), (ada.clone(), ada));
    for email in ["bob@example.test", "eve@example.test", "mallory@example.test", ""] {
        assert_eq!(found(email).await, None, "{email}");
    }
}

pub(super) async fn owners_and_tokens_are_filtered<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let mut owners = Vec::new();
    for (email, firstname, username, state) in [
        ("Ada@x.org", "Ada", None, OwnerState::Active),
        ("bob@x.org", AWKWARD, Some("100%"), OwnerState::Blocked),
        ("eve@y.org", "ada", Some("eve"), OwnerState::Deactivated),
    ] {
        let new = NewOwner { username: username.map(Into::into), ..NewOwner::new(email).named(firstname, "") };
        let id = tx.insert_owner(new).await.expect("an owner is added");
        tx.set_owner_state(id, state).await.expect("a state is set");
        owners.push(id);
    }
    let mut tokens = Vec::new();
    for (name, description, owner) in [("CI", "deploys", 0), ("ci two", AWKWARD, 1), ("agent", "Deploys too", 1)] {
        let new = NewToken { description: description.into(), ..admin(name, owners[owner]) };
        tokens.push(tx.insert_token(new).await.expect("a token is added"));
    }
    commit(tx).await;
    let mut view = view(store).await;
    let paging = Paging { page: 1, page_size: 10 };
    let text = |id: OwnerId| id.to_string();
    for (filters, hits) in [
        (vec![Filter::equals(OwnerField::Firstname, ["Ada"])], vec![0]),
        (vec![Filter::contains(OwnerField::Firstname, "ADA")], vec![0, 2]),
        (vec![Filter::equals(OwnerField::Firstname, [AWKWARD, "ada"])], vec![1, 2]),
        (vec![Filter::equals(OwnerField::Email, ["ADA@X.ORG"])], vec![0]),
        (vec![Filter::contains(OwnerField::Email, "@x.")], vec![0, 1]),
        (vec![Filter::contains(OwnerField::Username, "%")], vec![1]),
        (vec![Filter::equals(OwnerField::Username, ["eve", "none"])], vec![2]),
        (vec![Filter::equals(OwnerField::Id, [text(owners[2]), text(owners[0])])], vec![0, 2]),
        (vec![Filter::equals(OwnerField::Id, ["0"])], vec![]),
        (vec![Filter::equals(OwnerField::IsActive, ["true"])], vec![0, 1]),
        (vec![Filter::equals(OwnerField::IsActive, ["false"])], vec![2]),
        (vec![Filter::equals(OwnerField::Blocked, ["true"])], vec![1]),
        (vec![Filter::equals(OwnerField::Blocked, ["true", "false"])], vec![0, 1, 2]),
        (vec![Filter::equals(OwnerField::Blocked, ["perhaps"])], vec![]),
        (vec![Filter::contains(OwnerField::Email, "x"), Filter::contains(OwnerField::Username, "0")], vec![1]),
        (vec![Filter::contains(OwnerField::Email, "x"), Filter::contains(OwnerField::Username, "eve")], vec![]),
        (vec![Filter::equals(OwnerField::Firstname, Vec::<String>::new())], vec![]),
        (
            vec![Filter::equals(OwnerField::Firstname, ["Ada", "ada"]), Filter::equals(OwnerField::Firstname, ["ada"])],
            vec![2],
        ),
    ] {
        let query = OwnerQuery { filters: filters.clone(), ..OwnerQuery::all(paging) };
        let page = view.owners(&query).await.expect("owners are listed");
        let found = page.items.iter().map(|o| owners.iter().position(|id| *id == o.id).expect("a known record"));
        assert_eq!(found.collect::<Vec<_>>(), hits, "{filters:?}");
        assert_eq!(page.total, hits.len() as u64, "{filters:?}");
    }
    for (filters, owner, hits) in [
        (vec![Filter::contains(TokenField::Name, "ci")], None, vec![0, 1]),
        (vec![Filter::equals(TokenField::Name, ["CI"])], None, vec![0]),
        (vec![Filter::contains(TokenField::Name, "ci")], Some(owners[1]), vec![1]),
        (vec![Filter::contains(TokenField::Description, "deploys")], None, vec![0, 2]),
        (vec![Filter::equals(TokenField::Description, [AWKWARD])], None, vec![1]),
        (vec![Filter::equals(TokenField::Owner, [text(owners[1])])], None, vec![1, 2]),
        (vec![Filter::equals(TokenField::Id, [tokens[2].to_string()])], Some(owners[0]), vec![]),
        (vec![Filter::equals(TokenField::Access, ["custom"])], None, vec![]),
    ] {
        for sort in [TokenSort::Id, TokenSort::Name] {
            let query = TokenQuery { filters: filters.clone(), owner, sort, ..TokenQuery::of(TokenKind::Admin) };
            let page = view.tokens(&query).await.expect("tokens are listed");
            let place = |t: &crate::domain::Token| tokens.iter().position(|id| *id == t.id).expect("a known record");
            let mut found: Vec<usize> = page.items.iter().map(place).collect();
            found.sort_unstable();
            assert_eq!((found, page.total), (hits.clone(), hits.len() as u64), "{filters:?}");
        }
    }
}

pub(super) async fn tokens_are_filtered_by_metadata<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let mut owners = Vec::new();
    for email in ["a@b", "c@d"] {
        owners.push(tx.insert_owner(NewOwner::new(email)).await.expect("an owner is added"));
    }
    let team = |name: &str| Metadata::from_iter([("team".to_owned(), name.into())]);
    let mut tokens = Vec::new();
    for (name, owner, metadata) in [
        ("all", 0, Some(metadata())),
        ("ci", 0, Some(team("ci"))),
        ("shop", 1, Some(team("shop"))),
        ("empty", 0, Some(Metadata::from_iter([]))),
        ("none", 0, None),
    ] {
        let new = NewToken { metadata, ..admin(name, owners[owner]) };
        tokens.push(tx.insert_token(new).await.expect("a token is added"));
    }
    commit(tx).await;
    let mut view = view(store).await;
    for (member, text, owner, hits) in [
        ("team", "ci", None, vec![0, 1]),
        ("team", "CI", None, vec![]),
        ("team", "shop", None, vec![2]),
        ("team", "ci", Some(owners[1]), vec![]),
        ("team", "ci", Some(owners[0]), vec![0, 1]),
        // Names are literal.
        (AWKWARD, AWKWARD, None, vec![0]),
        ("", "", None, vec![0]),
        ("$.team", "path", None, vec![0]),
        ("$.team", "ci", None, vec![]),
        ("a.b", "dot", None, vec![0]),
        ("object.team", "inner", None, vec![]),
        ("[0]", "index", None, vec![0]),
        ("0", "digit", None, vec![0]),
        ("\"", "quote", None, vec![0]),
        // Only texts pass.
        ("number", "7", None, vec![]),
        ("flag", "true", None, vec![]),
        ("flag", "1", None, vec![]),
        ("none", "null", None, vec![]),
        ("none", "", None, vec![]),
        ("list", r#"["ci"]"#, None, vec![]),
        ("object", r#"{"team":"inner"}"#, None, vec![]),
        ("absent", "", None, vec![]),
    ] {
        let filter = Some(MetadataFilter { member: member.into(), text: text.into() });
        for sort in [TokenSort::Id, TokenSort::Name] {
            let query = TokenQuery { metadata: filter.clone(), owner, sort, ..TokenQuery::of(TokenKind::Admin) };
            let page = view.tokens(&query).await.expect("tokens are listed");
            let place = |t: &crate::domain::Token| tokens.iter().position(|id| *id == t.id).expect("a known record");
            let mut found: Vec<usize> = page.items.iter().map(place).collect();
            found.sort_unstable();
            assert_eq!((found, page.total), (hits.clone(), hits.len() as u64), "{member:?} is {text:?}");
        }
    }
    let metadata = Some(MetadataFilter { member: "team".into(), text: "ci".into() });
    let filters = vec![Filter::equals(TokenField::Name, ["ci", "shop"])];
    let both = TokenQuery { metadata, filters, ..TokenQuery::of(TokenKind::Admin) };
    let page = view.tokens(&both).await.expect("tokens are listed");
    assert_eq!(page.items.iter().map(|t| t.id).collect::<Vec<_>>(), [tokens[1]], "both filters have to pass");
}
