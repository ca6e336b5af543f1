// News in a corner of the page, for some seconds. The server's commands send them as the event "toast".
(() => {
  "use strict";

  const { find } = callboard;
  const SHOWN = { done: 6000, problem: 10000 }; // milliseconds

  const showToast = (text, kind = "done") => {
    const toast = document.createElement("p");
    toast.className = `toast toast-${kind}`;
    toast.textContent = text;
    find("#toasts")?.append(toast);
    setTimeout(() => toast.remove(), SHOWN[kind] ?? SHOWN.done);
  };

  document.addEventListener("toast", ({ detail }) => showToast(detail.text, detail.kind));
  document.addEventListener("htmx:error", ({ detail }) => {
    if (detail.ctx?.request?.method === "POST") showToast("The board did not answer. Try again.", "problem");
  });

  Object.assign(callboard, { showToast });
})();
