// How every script finds elements and writes into them; and the mark by which the stylesheets know that scripts run.
// What scripts share, they share by the name callboard. Without scripts everything works, by forms and reloads.
(() => {
  "use strict";

  document.documentElement.classList.add("js");

  const find = (selector, root = document) => root.querySelector(selector);
  const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Only what differs is written: a selection in the text survives, and nothing is announced anew.
  const setText = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  window.callboard = { find, findAll, setText };
})();
