// The board's time, and the second at which everything that changes with the clock alone is drawn again.
(() => {
  "use strict";

  // A document that comes back with Back, or in a tab that was restored, duplicated or discarded, is as old as it was:
  // it says no later time than this tab has heard already. The difference of the clocks is then the one measured last.
  const KEY = "callboard-clock";
  const recall = () => {
    try {
      return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
    } catch {
      return {};
    }
  };
  const remember = (value) => {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(value));
    } catch {
      // Storage may be forbidden; the next answer tells the time.
    }
  };

  const drawnAt = Date.parse(document.body.dataset.now);
  const { heard = -Infinity, skew: measured = 0 } = recall();
  const isOldDocument = drawnAt <= heard;
  let skew = isOldDocument ? measured : 0; // milliseconds by which the board's clock is ahead of the viewer's
  let stoppedAt = null;
  const boardNow = () => (stoppedAt ?? Date.now()) + skew;

  // The board wrote its time between two moments of the viewer's clock: where that cannot be, the clocks differ.
  const setBoardTime = (time, sentAt, answeredAt) => {
    if (Number.isNaN(time)) return;
    if (time < sentAt + skew || time > answeredAt + skew) skew = time - (sentAt + answeredAt) / 2;
    remember({ heard: time, skew });
  };
  if (!isOldDocument) setBoardTime(drawnAt, Date.now() - performance.now(), Date.now());

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

  Object.assign(callboard, { drawEverySecond, isOldDocument, setBoardTime, stopClock });
})();
