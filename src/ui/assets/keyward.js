// What the pages do besides links and forms. Without it everything can be read; confirmations and the matrix need it.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const on = (type, selector, act) =>
    document.addEventListener(type, (event) => {
      const target = event.target.closest?.(selector);
      if (target) act(target, event);
    });

  // A page that shows a key is the answer to a form. Coming back to it, or loading it again, asks for the thing itself.
  const here = document.querySelector("[data-address]");
  if (here) history.replaceState(null, "", here.dataset.address);
  // What went wrong with a form, or is asked before it counts, is where reading begins.
  document.querySelector("[role=alert][tabindex]")?.focus();
  // Nothing that was shown once is to be brought back by the back button.
  addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("[data-once]")) location.reload();
  });
  addEventListener("pagehide", () => all("[data-once]").forEach((shown) => shown.remove()));

  on("click", "[data-copy]", async (button) => {
    const from = document.getElementById(button.dataset.copy);
    const text = from.value ?? from.textContent;
    const shown = button.querySelector("span") ?? button;
    const before = shown.textContent;
    // Who does not see the button hears it from here.
    const heard = document.querySelector("[data-copied]");
    const say = (result) => {
      shown.textContent = result || before;
      heard.textContent = result;
    };
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      from.select?.();
      say("Press Ctrl+C");
    }
    setTimeout(() => say(""), 2000);
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
  // A form is sent once, however often its button is clicked, and only while the session lives: what was typed stays on the page until
  // the reader has signed in again. Where the answer is not known, the server judges the form as always.
  const { session, signIn } = document.body.dataset;
  const asks = (form) => session && !form.matches('[action$="/auth/logout"]');
  const lives = async () => {
    try {
      return (await fetch(session, { signal: AbortSignal.timeout(3000) })).status !== 401;
    } catch {
      return true;
    }
  };
  const ended = (form) => {
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
    if (form.dataset.lives) {
      delete form.dataset.lives;
      return;
    }
    if (form.dataset.sent || asks(form)) event.preventDefault();
    if (form.dataset.sent) return;
    form.dataset.sent = "yes";
    if (!asks(form)) return;
    if (!(await lives())) {
      delete form.dataset.sent;
      ended(form);
      return;
    }
    form.dataset.lives = "yes";
    form.requestSubmit(event.submitter);
    // It was changed in the meantime, and cannot be sent as it is now.
    if (form.dataset.lives) {
      delete form.dataset.lives;
      delete form.dataset.sent;
    }
  });
  addEventListener("pageshow", () => all("form").forEach((form) => { delete form.dataset.sent; }));
  on("change", "[data-submit]", (control) => control.form.requestSubmit());

  // Times in the reader's own zone, exact where the pointer rests.
  all("time[datetime]").forEach((time) => {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  });

  // Tabs, by the pattern of the ARIA guide.
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
    conditions.querySelector("[data-said]").textContent = chosen.join(", ") || conditions.dataset.conditions;
  });

  // A part of a form that counts only while a radio button is chosen. The stylesheet folds it.
  all("[data-only]").forEach((part) => {
    const radio = document.getElementById(part.dataset.only);
    const settle = () => { part.disabled = !radio.checked || "readonly" in part.dataset; };
    radio.form.addEventListener("change", settle);
    addEventListener("pageshow", settle);
    settle();
  });

  // The matrix. A box is what the form sends. Boxes with data-whole stand for all fields, also later ones: while one is set, its
  // fields are set too and add nothing. Boxes with data-of gather others (a row, a column) and are never sent.
  all("[data-matrix]").forEach((matrix) => {
    const boxes = all("input[data-box]", matrix);
    const open = (list) => list.filter((box) => !box.disabled);
    const fieldsOf = new Map();
    boxes.filter((box) => box.dataset.field).forEach((box) => {
      const key = box.dataset.field;
      if (!fieldsOf.has(key)) fieldsOf.set(key, []);
      fieldsOf.get(key).push(box);
    });
    const wholes = all("input[data-whole]", matrix);
    const gatherers = all("input[data-of]", matrix).map((box) => {
      const [kind, name] = box.dataset.of.split(" ");
      return [box, () => boxes.filter((one) => one.dataset[kind] === name && !one.dataset.field).concat(
        wholes.filter((one) => one.dataset[kind] === name && !("box" in one.dataset)))];
    });

    const settleWhole = (whole) => {
      const fields = fieldsOf.get(whole.dataset.whole) ?? [];
      const set = fields.filter((field) => field.checked).length;
      whole.indeterminate = !whole.checked && set > 0;
    };
    const show = () => {
      wholes.forEach(settleWhole);
      gatherers.forEach(([gatherer, members]) => {
        const mine = members();
        const free = open(mine);
        const set = mine.filter((box) => box.checked).length;
        gatherer.disabled = free.length === 0;
        gatherer.checked = mine.length > 0 && set === mine.length;
        gatherer.indeterminate = !gatherer.checked && mine.some((box) => box.checked || box.indeterminate);
      });
      all("[data-counts]", matrix).forEach((count) => {
        const panel = document.getElementById(count.dataset.counts);
        const chosen = all("input[data-box]", panel).filter((box) => box.checked && !box.dataset.field).length
          + all("input[data-whole]", panel).filter((box) => box.indeterminate || (!("box" in box.dataset) && box.checked)).length;
        count.textContent = chosen;
        count.classList.toggle("some", chosen > 0);
      });
    };
    const setFields = (whole, to) => open(fieldsOf.get(whole.dataset.whole) ?? []).forEach((field) => { field.checked = to; });

    matrix.addEventListener("change", (event) => {
      const box = event.target;
      const gatherer = gatherers.find(([one]) => one === box);
      if (gatherer) {
        open(gatherer[1]()).forEach((one) => {
          one.checked = box.checked;
          if (one.dataset.whole) setFields(one, box.checked);
        });
      } else if (box.dataset.whole) {
        setFields(box, box.checked);
      } else if (box.dataset.field) {
        const whole = wholes.find((one) => one.dataset.whole === box.dataset.field);
        // All fields is more than each of them: also those that are added later. Nobody says that by ticking the last one.
        if (whole && !box.checked) whole.checked = false;
      }
      show();
    });
    show();
  });
})();
