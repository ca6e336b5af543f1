// Menus close when somebody clicks beside them, or presses Escape.
(() => {
  "use strict";

  const { find, findAll } = callboard;
  const openMenus = () => findAll("details.menu[open]");

  document.addEventListener("click", ({ target }) => {
    for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of openMenus()) {
      menu.open = false;
      find("summary", menu).focus();
    }
  });
})();
