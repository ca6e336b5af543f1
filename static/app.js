// What the server cannot do for a page: decide when to ask again, keep ticks, ask before a cancel, and draw whatever
// changes with the clock alone. Without this file everything still works, by forms and reloads.
(() => {
  "use strict";
  const FASTEST = 3000, SLOWEST = 15000, TICK = 1000;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // --- polling: htmx ticks every second, and we let through what is due --------------------------------------------

  const polls = new Map(); // element id -> what we know of its polling
  const loaded = Date.now();
  const pollOf = (element) => {
    if (!polls.has(element.id)) {
      polls.set(element.id, {
        etag: element.dataset.etag, url: null, pace: FASTEST, due: loaded + FASTEST,
        busy: false, failures: 0, shown: loaded,
      });
    }
    return polls.get(element.id);
  };
  const isPoll = (element) => element?.matches?.("[hx-get][data-etag]") ?? false;

  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (!isPoll(ctx.sourceElement)) return;
    const poll = pollOf(ctx.sourceElement);
    const tick = ctx.sourceEvent?.type === "every";
    // A tick that comes a moment early is the one that is due: the next would be a second late.
    if (tick && (document.hidden || poll.busy || Date.now() < poll.due - TICK / 4)) return event.preventDefault();
    // A tick takes what the server has just told another browser; after a command we want to see it ourselves.
    if (tick) ctx.request.headers["Cache-Control"] = "max-age=1";
    poll.url ??= ctx.request.action;
    // Our own If-None-Match: otherwise the browser hands htmx its cached copy as a 200, and it swaps for nothing.
    if (poll.etag && poll.url === ctx.request.action) ctx.request.headers["If-None-Match"] = poll.etag;
  });
  document.addEventListener("htmx:before:request", (event) => {
    if (isPoll(event.detail.ctx.sourceElement)) pollOf(event.detail.ctx.sourceElement).busy = true;
  });
  document.addEventListener("htmx:finally:request", (event) => {
    const { ctx } = event.detail;
    const poll = polls.get(ctx.sourceElement?.id);
    if (!poll?.busy) return;
    poll.busy = false;
    const status = ctx.response?.status ?? 0;
    if (status === 200 || status === 304) {
      poll.failures = 0;
      poll.shown = Date.now();
      poll.pace = status === 200 ? FASTEST : Math.min(SLOWEST, poll.pace * 1.25);
      if (status === 200) poll.etag = ctx.response.headers.get("ETag");
    } else {
      poll.failures += 1;
      poll.pace = Math.min(SLOWEST * 2, FASTEST * 2 ** poll.failures);
    }
    poll.due = Date.now() + poll.pace;
    tellStale();
  });

  const tellStale = () => {
    const failing = [...polls.values()].find((poll) => poll.failures > 0);
    const note = $("#stale");
    if (!note) return;
    note.hidden = !failing;
    note.textContent = failing ? `The board does not answer. Showing ${clock.format(failing.shown)}, trying again.` : "";
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.dispatchEvent(new CustomEvent("jobs-changed"));
  });

  // --- ticks: kept by id, put back after every swap ---------------------------------------------------------------

  const ticked = new Set();
  const boxes = () => $$('input[name="job"][form="bulk"]');
  const showTicks = () => {
    const here = boxes();
    const present = new Set(here.map((box) => box.value));
    for (const id of ticked) if (!present.has(id)) ticked.delete(id);
    for (const box of here) box.checked = ticked.has(box.value);
    const all = $("#sel-all");
    if (all) {
      all.checked = here.length > 0 && ticked.size === here.length;
      all.indeterminate = ticked.size > 0 && ticked.size < here.length;
      all.disabled = here.length === 0;
    }
    const bulk = $("#bulk");
    if (!bulk) return;
    bulk.classList.toggle("active", ticked.size > 0);
    $("#bulk-button").disabled = ticked.size === 0;
    $("#bulk-button").textContent = ticked.size ? `Cancel ${ticked.size} ${ticked.size === 1 ? "job" : "jobs"}` : "Cancel ticked";
  };
  document.addEventListener("change", ({ target }) => {
    if (target.matches('input[name="job"][form="bulk"]')) target.checked ? ticked.add(target.value) : ticked.delete(target.value);
    else if (target.id === "sel-all") for (const box of boxes()) target.checked ? ticked.add(box.value) : ticked.delete(box.value);
    else if (target.matches("#filters > select")) return byKeyboard ? target.form.classList.add("changed") : target.form.requestSubmit();
    else return;
    showTicks();
  });

  // Arrow keys try one choice after another; only a pointer means the first one it lands on.
  let byKeyboard = false;
  document.addEventListener("keydown", () => (byKeyboard = true), true);
  document.addEventListener("pointerdown", () => (byKeyboard = false), true);
  // Back shows the page as it was sent; its filters must not keep what was chosen on the way out.
  addEventListener("pageshow", () => $("#filters")?.reset());
  // What is empty does not belong in an address.
  $("#filters")?.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });

  // --- asking before a cancel --------------------------------------------------------------------------------------

  document.addEventListener("htmx:confirm", (event) => {
    const { ctx, issueRequest, dropRequest } = event.detail;
    const pressed = document.activeElement;
    const dialog = $("#confirm");
    if (!dialog) return;
    event.preventDefault();
    if (dialog.open) return dropRequest();
    const many = ctx.sourceElement.id === "bulk";
    const names = many ? boxes().filter((box) => box.checked).map((box) => box.dataset.name) : [];
    $("#confirm-title").textContent = names.length ? `Cancel ${names.length} ${names.length === 1 ? "job" : "jobs"}?` : ctx.confirm;
    $("#confirm-yes").textContent = names.length > 1 ? `Cancel ${names.length} jobs` : "Cancel job";
    $("#confirm-no").textContent = names.length > 1 ? "Keep jobs" : "Keep job";
    const list = $("#confirm-list");
    list.hidden = names.length === 0;
    list.replaceChildren(...names.slice(0, 8).concat(names.length > 8 ? [`and ${names.length - 8} more`] : []).map((name) => {
      const item = document.createElement("li");
      item.textContent = name;
      return item;
    }));
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return dropRequest();
      handOver = pressed?.id;
      issueRequest();
    }, { once: true });
    dialog.showModal();
  });

  // A button that its own success takes away hands the focus to what stands nearest, not to the top of the page.
  let handOver = null;
  const keepFocus = () => {
    if (!handOver || document.activeElement !== document.body) return;
    const id = handOver.replace("cancel-", "");
    ($(`[id="link-${id}"]`) ?? $("#sel-all:enabled") ?? $("#job-type") ?? $("#main")).focus();
    handOver = null;
  };

  // --- news --------------------------------------------------------------------------------------------------------

  const toast = (text, kind = "done") => {
    const note = document.createElement("p");
    note.className = `toast toast-${kind}`;
    note.textContent = text;
    $("#toasts")?.append(note);
    setTimeout(() => note.remove(), kind === "problem" ? 10000 : 6000);
  };
  document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.kind));
  document.addEventListener("htmx:error", (event) => {
    const { ctx } = event.detail;
    if (ctx?.request?.method === "POST") toast("The board did not answer. Try again.", "problem");
  });

  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-copy]");
    if (button) {
      try {
        await navigator.clipboard.writeText($(button.dataset.copy).textContent);
        toast("Copied");
      } catch {
        getSelection().selectAllChildren($(button.dataset.copy));
        toast("Selected; copy it with your keyboard", "problem");
      }
    }
    for (const menu of $$("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const menu of $$("details.menu[open]")) { menu.open = false; $("summary", menu).focus(); }
  });

  // --- keys: a letter does what a pointer does, but never while somebody types --------------------------------------

  const rowOf = (id) => document.getElementById(id)?.closest("tr");
  let lastRow = null; // the row that the keys are at, though the focus has wandered off
  const hereRow = () => document.activeElement?.closest?.("#rows tr") ?? rowOf(lastRow);
  document.addEventListener("focusin", ({ target }) => {
    const row = target.closest?.("#rows tr");
    if (row) lastRow = $("[id^=link-]", row)?.id;
  });
  const step = (by) => {
    const rows = $$("#rows tr"), at = rows.indexOf(hereRow());
    const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
    const link = rows[next] && $("[id^=link-]", rows[next]);
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
  };
  const keys = {
    "/": () => { const box = $("#q"); box?.focus(); box?.select(); },
    j: () => step(1),
    k: () => step(-1),
    x: () => { const row = hereRow(); if (row) $('input[name="job"]', row)?.click(); },
    c: () => {
      if ($("#bulk") && ticked.size) return $("#bulk").requestSubmit();
      $(".c-do .cancel", hereRow() ?? document.createElement("tr"))?.click() ?? $(".job-head .cancel")?.click();
    },
    "?": () => $("#keys")?.showModal(),
  };
  const types = (element) => element?.matches?.("textarea, select, [contenteditable], input:not([type=checkbox])");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (types(document.activeElement) || $("dialog[open]") || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  $("#show-keys")?.addEventListener("click", keys["?"]);

  // --- what changes with the clock alone ---------------------------------------------------------------------------

  // Ages are told by the board's clock: the viewer's may be minutes off.
  const skew = Date.parse(document.body.dataset.now) - Date.now();
  const boardNow = () => Date.now() + (Math.abs(skew) > 2000 ? skew : 0);
  const two = (number) => String(number).padStart(2, "0");
  const span = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };
  const rough = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h`;
    return `${Math.floor(s / 86400)} d`;
  };
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const forms = {
    ago: (at, now) => (now - at < 5000 ? "just now" : now - at < 14 * 86400e3 ? `${rough(now - at)} ago` : day.format(at)),
    age: (at, now) => (now - at < 14 * 86400e3 ? rough(now - at) : day.format(at)),
    running: (at, now) => span(now - at),
    clock: (at, now) => (new Date(now).toDateString() === at.toDateString() ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`),
  };
  const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  // From what was reported and, as long as that says little, from how long this type usually takes.
  const timeLeft = ({ started, seen, progress, usual = $("#usual")?.dataset.usual }, now) => {
    if (progress >= 100) return 0;
    const byUsual = usual * 1000 - (now - new Date(started)); // Not a number where nothing is usual.
    if (progress < 1) return byUsual;
    const byReport = ((new Date(seen) - new Date(started)) * (100 - progress)) / progress - (now - new Date(seen));
    const trust = byUsual > 0 ? Math.min(1, progress / 25) : 1;
    return trust < 1 ? trust * byReport + (1 - trust) * byUsual : byReport;
  };
  const drawSlower = (now) => {
    for (const element of $$(".slower[data-slow-after]")) {
      const { started, slowAfter } = element.dataset;
      write(element, now - new Date(started) > slowAfter * 1000 ? "slower than usual" : "");
    }
    const { started, ended } = $("#panel")?.dataset ?? {};
    const { slowAfter } = $("#usual")?.dataset ?? {};
    if (!started || !slowAfter) return;
    const took = (ended ? new Date(ended) : now) - new Date(started);
    write($("#slower"), took <= slowAfter * 1000 ? "" : `; this one ${ended ? "was" : "is"} slower than usual`);
  };
  const drawTimes = () => {
    if (document.hidden) return;
    const now = boardNow();
    for (const element of $$("time[data-form]")) {
      const at = new Date(element.dateTime);
      write(element, forms[element.dataset.form](at, now));
      const exact = full.format(at);
      if (element.title !== exact) element.title = exact;
    }
    for (const element of $$(".silence")) {
      const silent = now - new Date(element.dataset.seen);
      write(element, silent >= element.dataset.patience * 500 ? `no news for ${rough(silent)} ` : "");
    }
    for (const element of $$(".left")) {
      const left = timeLeft(element.dataset, now);
      write(element, left > 0 ? `${rough(left)} left` : "");
    }
    drawSlower(now);
  };

  // --- a log: its end is followed until the reader scrolls up ------------------------------------------------------

  let following = true;
  const follow = () => {
    const lines = $("#log-lines");
    if (lines && following) lines.scrollTop = lines.scrollHeight;
  };
  document.addEventListener("scroll", ({ target }) => {
    if (target.id === "log-lines") following = target.scrollHeight - target.scrollTop - target.clientHeight < 24;
  }, true);

  const settle = () => { showTicks(); drawTimes(); keepFocus(); follow(); };
  document.addEventListener("htmx:after:swap", settle);
  document.addEventListener("visibilitychange", drawTimes);
  setInterval(drawTimes, 1000);
  settle();
  for (const here of $$(":is(.tabs, .sections) [aria-current]")) here.scrollIntoView({ inline: "center", block: "nearest" });
})();
