// Buttons that copy the text of an element.
(() => {
  "use strict";

  const { find, showToast } = callboard;

  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-copy]");
    if (!button) return;
    const source = find(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      showToast("Copied");
    } catch {
      getSelection().selectAllChildren(source);
      showToast("Selected; copy it with your keyboard", "problem");
    }
  });
})();
