//! Text that would run as a script if a page treated it as markup (XSS).

use crate::pages::accessibility::pages;
use crate::pages::person::Person;
use crate::pages::scene::{EDDA, PASSWORD, ROOT, Scene};
use serde_json::{Value, json};

/// Breaks out of an attribute, a text, a script, a style and a comment; `planted` remains if that succeeded.
const EVIL: &str = r#"'"--></textarea></title></script></style><b data-planted>x</b><img src=x data-planted onerror="planted=1"><script data-planted>planted=1</script>"#;
/// The same, short enough for every field.
const SHORT: &str = r#""><i data-planted onclick=planted=1>"#;

/// Asserts that the text did not become part of the page, and that the policy blocked nothing.
async fn nothing_ran(person: &Person, what: &str) {
    let planted =
        "return document.querySelectorAll('[data-planted]').length + (typeof planted === 'undefined' ? 0 : 100)";
    assert_eq!(person.script(planted).await, 0, "{what}: {}", person.client.source().await.unwrap());
    assert_eq!(person.complaints().await, Vec::<String>::new(), "{what}");
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Fills every text field of the page's n-th form, without the browser's validation, and submits it. Returns false if there is none.
async fn fills_and_sends(person: &Person, n: usize, text: &str) -> bool {
    let script = "
        const forms = [...document.forms].filter((f) => f.querySelector('input:not([type=hidden]):not([type=checkbox]):not([type=radio]), textarea'));
        const form = forms[arguments[0]];
        if (!form) return false;
        document.querySelectorAll('dialog[open]').forEach((d) => d.close());
        form.closest('dialog')?.showModal();
        for (const field of form.querySelectorAll('input, textarea')) {
            if (['checkbox', 'radio', 'hidden'].includes(field.type)) continue;
            field.removeAttribute('maxlength'); field.removeAttribute('readonly'); field.disabled = false;
            if (field.type !== 'password') field.type = 'text';
            field.value = arguments[1];
        }
        form.noValidate = true;
        document.documentElement.dataset.before = 'yes';
        form.requestSubmit();
        return true";
    let sent = person.client.execute(script, vec![json!(n), json!(text)]).await.unwrap();
    if sent == true {
        person
            .until("the form is answered", async || {
                let before =
                    "return document.readyState !== 'complete' || document.documentElement.dataset.before === 'yes'";
                Ok(person.client.execute(before, Vec::new()).await? == false)
            })
            .await;
    }
    sent == true
}

/// The text in every field of every page.
async fn everywhere(person: &Person, paths: &[String]) {
    for path in paths {
        for text in [EVIL, SHORT] {
            for n in 0.. {
                person.goes(path).await;
                if !fills_and_sends(person, n, text).await {
                    break;
                }
                nothing_ran(person, &format!("form {n} of {path}")).await;
            }
        }
    }
}

#[tokio::test]
async fn typed_text_is_never_markup() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.open_browser().await;
    let session = scene.session(ROOT);
    everywhere(&root, &["/admin/auth/login".to_owned(), scene.invitation(&session)]).await;
    // Also in the names of the reader and of the shown records.
    let names = json!({"firstname": SHORT, "lastname": EVIL});
    scene.server.json("PUT", "/admin/users/me", &session, &names.to_string()).assert(200);
    let token = json!({"name": EVIL, "description": EVIL, "lifespan": null, "adminPermissions": []});
    scene.server.json("POST", "/admin/admin-tokens", &session, &token.to_string()).assert(201);
    let role = json!({"name": EVIL, "description": EVIL});
    scene.server.json("POST", "/admin/roles", &session, &role.to_string()).assert(201);
    root.signs_in(ROOT, PASSWORD).await;
    let all = pages(&root).await;
    everywhere(&root, &all).await;
    // Accepted text is shown verbatim.
    for path in pages(&root).await {
        root.goes(&path).await;
        nothing_ran(&root, &path).await;
    }
    root.goes("/admin/settings/admin-tokens").await;
    root.sees(EVIL).await;
    root.leaves().await;
}

#[tokio::test]
async fn query_text_is_never_markup() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.open_browser().await;
    let evil = encoded(EVIL);
    for path in
        ["/admin/auth/login?redirectTo=", "/admin/auth/register?registrationToken=", "/admin/auth/register-admin?x="]
    {
        root.goes(&format!("{path}{evil}")).await;
        nothing_ran(&root, path).await;
    }
    root.signs_in(ROOT, PASSWORD).await;
    for path in pages(&root).await {
        let place = path.split('?').next().unwrap();
        for name in ["q", "sort", "page", "done", "from", "what", "who", "x"] {
            root.goes(&format!("{place}?{name}={evil}")).await;
            nothing_ran(&root, &format!("{place}?{name}")).await;
            root.does_not_see("Saved").await;
        }
    }
    root.goes(&format!("/admin/settings/{evil}")).await;
    nothing_ran(&root, "path").await;
    root.client.close().await.unwrap();
}

#[tokio::test]
async fn sign_in_redirects_to_no_other_origin() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let edda = scene.open_browser().await;
    for back in [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "javascript:planted=1",
        "/admin/settings/../../evil",
        "/admin/settings//evil.test",
    ] {
        edda.goes(&format!("/admin/auth/login?redirectTo={}", encoded(back))).await;
        edda.types("E-mail", EDDA).await;
        edda.types("Password", PASSWORD).await;
        edda.presses("Sign in").await;
        edda.until("somewhere else is open", async || {
            Ok(edda.client.current_url().await?.path() != "/admin/auth/login")
        })
        .await;
        assert_eq!(edda.place().await, "/admin/me", "{back}");
        assert!(edda.client.current_url().await.unwrap().as_str().starts_with(&edda.origin));
        edda.client.delete_all_cookies().await.unwrap();
    }
    edda.client.close().await.unwrap();
}

/// Shows that the tests above would detect a violation.
#[tokio::test]
async fn content_security_policy_violation_is_detected() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    assert_eq!(root.complaints().await, Vec::<String>::new());
    root.client
        .execute(
            "document.querySelector('main').insertAdjacentHTML('beforeend', arguments[0])",
            vec![Value::from(EVIL)],
        )
        .await
        .unwrap();
    root.until("the browser complains", async || {
        Ok(root.complaints().await.iter().any(|c| c.contains("Content Security Policy")))
    })
    .await;
    let ran = root.script("return [document.querySelectorAll('[data-planted]').length > 0, typeof planted]").await;
    assert_eq!(ran, json!([true, "undefined"]), "the script is in the page and did not run");
    root.client.close().await.unwrap();
}
