// Letters that do what a pointer does, but never while somebody types.
(() => {
  "use strict";

  const { find, findAll } = callboard;

  let lastLink = null; // the id of the link in the row that the keys are at, though the focus has wandered off
  const linkOf = (row) => find("[id^=link-]", row);
  const currentRow = () =>
    document.activeElement?.closest?.("#rows tr") ?? document.getElementById(lastLink)?.closest("tr");
  document.addEventListener("focusin", ({ target }) => {
    const row = target.closest?.("#rows tr");
    if (row) lastLink = linkOf(row)?.id;
  });

  const step = (by) => {
    const rows = findAll("#rows tr");
    const at = rows.indexOf(currentRow());
    const from = at >= 0 ? at : by > 0 ? -1 : rows.length;
    const row = rows[Math.min(rows.length - 1, Math.max(0, from + by))];
    const link = row && linkOf(row);
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
  };

  const search = () => {
    find("#q")?.focus();
    find("#q")?.select();
  };
  const tick = () => {
    const row = currentRow();
    if (row) find('input[name="job"]', row)?.click();
  };
  const cancel = () => {
    if (find("#bulk.active")) return find("#bulk").requestSubmit();
    const row = currentRow();
    const button = (row && find(".c-do .cancel", row)) ?? find(".job-head .cancel");
    button?.click();
  };
  const showKeys = () => find("#keys")?.showModal();

  const actions = new Map([
    ["/", search],
    ["j", () => step(1)],
    ["k", () => step(-1)],
    ["x", tick],
    ["c", cancel],
    ["?", showKeys],
  ]);
  const isTypedInto = (element) =>
    element?.matches?.("textarea, select, [contenteditable], input:not([type=checkbox])");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTypedInto(document.activeElement) || find("dialog[open]") || !actions.has(event.key)) return;
    event.preventDefault();
    actions.get(event.key)();
  });
  find("#show-keys")?.addEventListener("click", showKeys);
})();
