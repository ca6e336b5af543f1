// When a fragment asks again. htmx ticks every second, and only what is due is let through: sooner while something
// changes, later while nothing does, and not at all while the page is hidden.
(() => {
  "use strict";

  const { find, formatTime, isOldDocument, setBoardTime, stopClock } = callboard;
  const GONE = new Set([403, 404]);
  const TICK = 1000, FASTEST = 3000, SLOWEST = 15000; // milliseconds
  const loadedAt = Date.now();
  const polls = new Map(); // by the id of the element

  const pollOf = (element) => {
    if (!polls.has(element.id)) {
      polls.set(element.id, {
        etag: element.dataset.etag, url: null, busy: false, failures: 0, isGone: false,
        interval: FASTEST, dueAt: isOldDocument ? loadedAt : loadedAt + FASTEST, sentAt: null, shownAt: loadedAt,
      });
    }
    return polls.get(element.id);
  };
  const isPolled = (element) => element?.matches?.("[hx-get][data-etag]") ?? false;

  const showStaleNotice = () => {
    const notice = find("#stale");
    if (!notice) return;
    const gone = [...polls.values()].find((poll) => poll.isGone);
    const failing = [...polls.values()].find((poll) => poll.failures > 0);
    notice.hidden = !gone && !failing;
    if (gone) {
      notice.textContent = `This was deleted, or you no longer have access. Data from ${formatTime(gone.shownAt)}.`;
    } else if (failing) {
      notice.textContent = `Connection lost. Data from ${formatTime(failing.shownAt)}; reconnecting…`;
    }
  };

  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (!isPolled(ctx.sourceElement)) return;
    const poll = pollOf(ctx.sourceElement);
    const isTick = ctx.sourceEvent?.type === "every";
    // A tick that comes a moment early is the one that is due: the next would be a second late.
    const isDue = Date.now() >= poll.dueAt - TICK / 4;
    if (poll.isGone || (isTick && (document.hidden || poll.busy || !isDue))) return event.preventDefault();
    // A tick takes what the server has just told another browser; after a command we want to see it ourselves.
    if (isTick) ctx.request.headers["Cache-Control"] = "max-age=1";
    // What is large and stands here already is not sent again.
    const held = [...ctx.sourceElement.querySelectorAll("[data-held]")].map((element) => element.id);
    if (held.length) ctx.request.headers["Board-Holds"] = held.join(" ");
    poll.url ??= ctx.request.action;
    // Our own If-None-Match: otherwise the browser hands htmx its cached copy as a 200, and it swaps for nothing.
    if (poll.etag && poll.url === ctx.request.action) ctx.request.headers["If-None-Match"] = poll.etag;
  });

  document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
    if (isPolled(ctx.sourceElement)) Object.assign(pollOf(ctx.sourceElement), { busy: true, sentAt: Date.now() });
  });

  document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
    const poll = polls.get(ctx.sourceElement?.id);
    if (!poll?.busy) return;
    poll.busy = false;
    const status = ctx.response?.status ?? 0;
    if (status === 200 || status === 304) {
      poll.failures = 0;
      poll.shownAt = Date.now();
      setBoardTime(Date.parse(ctx.response.headers.get("Board-Time")), poll.sentAt, poll.shownAt);
      poll.interval = status === 200 ? FASTEST : Math.min(SLOWEST, poll.interval * 1.25);
      if (status === 200) poll.etag = ctx.response.headers.get("ETag");
    } else if (GONE.has(status)) {
      // The job, the workspace or the membership ended: nothing that is shown changes any more, its times included.
      poll.isGone = true;
      stopClock(poll.shownAt);
    } else {
      poll.failures += 1;
      poll.interval = Math.min(SLOWEST * 2, FASTEST * 2 ** poll.failures);
    }
    poll.dueAt = Date.now() + poll.interval;
    showStaleNotice();
  });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.dispatchEvent(new CustomEvent("jobs-changed"));
  });
})();
