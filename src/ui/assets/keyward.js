// Behaviour besides links and forms. All pages can be read without it; dialogs and the matrix need it.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const on = (type, selector, act) =>
    document.addEventListener(type, (event) => {
      const target = event.target.closest?.(selector);
      if (target) act(target, event);
    });

  // A page that is the response to a form gets the address of its object, so that reloading loads the object.
  const here = document.querySelector("[data-address]");
  if (here) history.replaceState(null, "", here.dataset.address);
  // Moves the focus to errors and confirmations.
  document.querySelector("[role=alert][tabindex]")?.focus();
  // The back button must not show a key again.
  addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("[data-once]")) location.reload();
  });
  addEventListener("pagehide", () => all("[data-once]").forEach((shown) => shown.remove()));

  on("click", "[data-copy]", async (button) => {
    const from = document.getElementById(button.dataset.copy);
    const text = from.value ?? from.textContent;
    const label = button.querySelector("span") ?? button;
    const before = label.textContent;
    // Screen readers announce this element.
    const status = document.querySelector("[data-copied]");
    const show = (result) => {
      label.textContent = result || before;
      status.textContent = result;
    };
    try {
      await navigator.clipboard.writeText(text);
      show("Copied");
    } catch {
      from.select?.();
      show("Press Ctrl+C");
    }
    setTimeout(() => show(""), 2000);
  });

  on("click", "[data-open]", (button, event) => {
    event.preventDefault();
    const dialog = document.getElementById(button.dataset.open);
    if (button.dataset.action) dialog.querySelector("form").action = button.dataset.action;
    if (button.dataset.version) dialog.querySelector("[name=version]").value = button.dataset.version;
    all("[data-name]", dialog).forEach((place) => { place.textContent = button.dataset.name; });
    dialog.showModal();
  });
  on("click", "[data-close]", (button) => button.closest("dialog").close());
  on("click", "dialog", (dialog, event) => { if (event.target === dialog) dialog.close(); });
  on("click", "[data-menu]", (button) => {
    const open = document.querySelector(".side").classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  });
  // A form is sent once, however often its button is clicked. Before it is sent, the script checks the session: if it has ended, the page
  // keeps the input until the user has signed in again. If the check fails, the form is sent and the server decides.
  const { session, signIn } = document.body.dataset;
  const needsSession = (form) => session && !form.matches('[action$="/auth/logout"]');
  const isSessionValid = async () => {
    try {
      return (await fetch(session, { signal: AbortSignal.timeout(3000) })).status !== 401;
    } catch {
      return true;
    }
  };
  const showEnded = (form) => {
    all("[data-ended]").forEach((notice) => notice.remove());
    const notice = document.createElement("div");
    notice.className = "notice bad";
    notice.dataset.ended = "";
    notice.setAttribute("role", "alert");
    notice.tabIndex = -1;
    const text = document.createElement("p");
    const link = Object.assign(document.createElement("a"), { href: signIn, target: "_blank", rel: "noopener", textContent: "Sign in in a new tab" });
    text.append("Your session has ended. Nothing was saved, and what you typed is still here. ", link, ", then come back to this tab and send it again.");
    notice.append(text);
    form.prepend(notice);
    notice.focus();
  };
  on("submit", "form[method=post]", async (form, event) => {
    if (form.dataset.checked) {
      delete form.dataset.checked;
      return;
    }
    if (form.dataset.sent || needsSession(form)) event.preventDefault();
    if (form.dataset.sent) return;
    form.dataset.sent = "yes";
    if (!needsSession(form)) return;
    if (!(await isSessionValid())) {
      delete form.dataset.sent;
      showEnded(form);
      return;
    }
    form.dataset.checked = "yes";
    form.requestSubmit(event.submitter);
    // The user changed the form in the meantime, and it is no longer valid.
    if (form.dataset.checked) {
      delete form.dataset.checked;
      delete form.dataset.sent;
    }
  });
  addEventListener("pageshow", () => all("form").forEach((form) => { delete form.dataset.sent; }));
  on("change", "[data-submit]", (control) => control.form.requestSubmit());

  // Tooltips show the exact time in the user's time zone.
  all("time[datetime]").forEach((time) => {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  });

  // Tabs, as in the ARIA Authoring Practices Guide.
  all("[role=tablist]").forEach((list) => {
    const tabs = all("[role=tab]", list);
    const choose = (tab) => {
      tabs.forEach((other) => {
        const chosen = other === tab;
        other.setAttribute("aria-selected", String(chosen));
        other.tabIndex = chosen ? 0 : -1;
        document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
      });
    };
    tabs.forEach((tab, i) => {
      tab.addEventListener("click", () => choose(tab));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const to = step ? tabs.at((i + step) % tabs.length) : { Home: tabs[0], End: tabs.at(-1) }[event.key];
        if (!to) return;
        event.preventDefault();
        choose(to);
        to.focus();
      });
    });
    if (tabs.length) choose(tabs.find((tab) => tab.getAttribute("aria-selected") === "true") ?? tabs[0]);
  });

  on("click", "[data-unfold]", (button) => {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    all(`[data-fold="${button.dataset.unfold}"]`).forEach((row) => { row.hidden = !open; });
  });

  on("change", "[data-conditions] input", (box) => {
    const conditions = box.closest("[data-conditions]");
    const chosen = all("input:checked", conditions).map((one) => one.parentElement.textContent.trim());
    conditions.querySelector("[data-summary]").textContent = chosen.join(", ") || conditions.dataset.conditions;
  });

  // A part of a form that applies only while a radio button is selected. The style sheet hides it.
  all("[data-only]").forEach((part) => {
    const radio = document.getElementById(part.dataset.only);
    const update = () => { part.disabled = !radio.checked || "readonly" in part.dataset; };
    radio.form.addEventListener("change", update);
    addEventListener("pageshow", update);
    update();
  });

  // The matrix. Boxes with data-box are sent. A box with data-whole means all fields, including later ones: checking it checks its
  // fields too. Boxes with data-of check a row or a column, and are never sent.
  all("[data-matrix]").forEach((matrix) => {
    const boxes = all("input[data-box]", matrix);
    const enabled = (list) => list.filter((box) => !box.disabled);
    const fieldsOf = new Map();
    boxes.filter((box) => box.dataset.field).forEach((box) => {
      const key = box.dataset.field;
      if (!fieldsOf.has(key)) fieldsOf.set(key, []);
      fieldsOf.get(key).push(box);
    });
    const wholes = all("input[data-whole]", matrix);
    const selectors = all("input[data-of]", matrix).map((box) => {
      const [kind, name] = box.dataset.of.split(" ");
      return [box, () => boxes.filter((one) => one.dataset[kind] === name && !one.dataset.field).concat(
        wholes.filter((one) => one.dataset[kind] === name && !("box" in one.dataset)))];
    });

    const updateWhole = (whole) => {
      const fields = fieldsOf.get(whole.dataset.whole) ?? [];
      const checked = fields.filter((field) => field.checked).length;
      whole.indeterminate = !whole.checked && checked > 0;
    };
    const show = () => {
      wholes.forEach(updateWhole);
      selectors.forEach(([selector, members]) => {
        const mine = members();
        const checked = mine.filter((box) => box.checked).length;
        selector.disabled = enabled(mine).length === 0;
        selector.checked = mine.length > 0 && checked === mine.length;
        selector.indeterminate = !selector.checked && mine.some((box) => box.checked || box.indeterminate);
      });
      all("[data-counts]", matrix).forEach((count) => {
        const panel = document.getElementById(count.dataset.counts);
        const chosen = all("input[data-box]", panel).filter((box) => box.checked && !box.dataset.field).length
          + all("input[data-whole]", panel).filter((box) => box.indeterminate || (!("box" in box.dataset) && box.checked)).length;
        count.textContent = chosen;
        count.classList.toggle("some", chosen > 0);
      });
    };
    const setFields = (whole, to) => enabled(fieldsOf.get(whole.dataset.whole) ?? []).forEach((field) => { field.checked = to; });

    matrix.addEventListener("change", (event) => {
      const box = event.target;
      const selector = selectors.find(([one]) => one === box);
      if (selector) {
        enabled(selector[1]()).forEach((one) => {
          one.checked = box.checked;
          if (one.dataset.whole) setFields(one, box.checked);
        });
      } else if (box.dataset.whole) {
        setFields(box, box.checked);
      } else if (box.dataset.field) {
        const whole = wholes.find((one) => one.dataset.whole === box.dataset.field);
        // Checking the last field does not check the whole box, because that includes fields that are added later.
        if (whole && !box.checked) whole.checked = false;
      }
      show();
    });
    show();
  });
})();
