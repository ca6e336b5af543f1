// On a narrow window, where a row of tabs or sections scrolls, the one that is shown is brought into sight.
(() => {
  "use strict";

  for (const current of callboard.findAll(":is(.tabs, .sections) [aria-current]")) {
    current.scrollIntoView({ inline: "center", block: "nearest" });
  }
})();
