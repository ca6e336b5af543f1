// The filters of the list: a choice made with a pointer is taken at once.
(() => {
  "use strict";

  const form = callboard.find("#filters");
  if (!form) return;

  // Arrow keys try one choice after another; only a pointer means the first one it lands on.
  let isByKeyboard = false;
  document.addEventListener("keydown", () => { isByKeyboard = true; }, true);
  document.addEventListener("pointerdown", () => { isByKeyboard = false; }, true);

  form.addEventListener("change", ({ target }) => {
    if (!target.matches("#filters > select")) return;
    if (isByKeyboard) form.classList.add("changed");
    else form.requestSubmit();
  });

  // What is empty does not belong in an address.
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });

  // Back shows the page as it was sent; its filters must not keep what was chosen on the way out.
  addEventListener("pageshow", () => form.reset());
})();
