// The end of a log is followed until its reader scrolls up.
(() => {
  "use strict";

  const NEAR = 24; // pixels from the end that still count as its end
  let isFollowing = true;

  const follow = () => {
    const lines = callboard.find("#log-lines");
    if (lines && isFollowing) lines.scrollTop = lines.scrollHeight;
  };

  document.addEventListener("scroll", ({ target }) => {
    if (target.id === "log-lines") isFollowing = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR;
  }, true);
  document.addEventListener("htmx:after:swap", follow);
  follow();
})();
