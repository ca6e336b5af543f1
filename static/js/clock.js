// The board's time, and the second at which everything that changes with the clock alone is drawn again.
(() => {
  "use strict";

  // The viewer's clock may be minutes off: it is set right once it is wrong by more than a page takes to come.
  const TOLERANCE = 2000;
  const skew = Date.parse(document.body.dataset.now) - Date.now();
  let stoppedAt = null;
  const boardNow = () => (stoppedAt ?? Date.now()) + (Math.abs(skew) > TOLERANCE ? skew : 0);

  // From now on everything is drawn as it was at that moment of the viewer's clock.
  const stopClock = (moment) => {
    stoppedAt ??= moment;
  };

  // `draw` is handed the board's time: now, after every swap, and every second in which the page is seen.
  const drawEverySecond = (draw) => {
    const drawIfSeen = () => {
      if (!document.hidden) draw(boardNow());
    };
    document.addEventListener("htmx:after:swap", drawIfSeen);
    document.addEventListener("visibilitychange", drawIfSeen);
    setInterval(drawIfSeen, 1000);
    drawIfSeen();
  };

  Object.assign(callboard, { drawEverySecond, stopClock });
})();
