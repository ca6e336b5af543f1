// How long ago something was, for how long it has run, and for how long nothing has been heard of it.
(() => {
  "use strict";

  const { drawEverySecond, findAll, formatDay, formatDuration, formatExactly, formatRoughly, formatTime, setText } =
    callboard;
  const RECENT = 14 * 86400e3, NOW = 5000; // milliseconds

  const isToday = (moment, now) => new Date(now).toDateString() === moment.toDateString();
  const forms = {
    ago: (moment, now) => {
      if (now - moment < NOW) return "just now";
      return now - moment < RECENT ? `${formatRoughly(now - moment)} ago` : formatDay(moment);
    },
    age: (moment, now) => (now - moment < RECENT ? formatRoughly(now - moment) : formatDay(moment)),
    running: (moment, now) => formatDuration(now - moment),
    clock: (moment, now) =>
      isToday(moment, now) ? formatTime(moment) : `${formatDay(moment)} ${formatTime(moment)}`,
  };

  drawEverySecond((now) => {
    for (const element of findAll("time[data-form]")) {
      const moment = new Date(element.dateTime);
      setText(element, forms[element.dataset.form](moment, now));
      const exact = formatExactly(moment);
      if (element.title !== exact) element.title = exact;
    }
    // From half of its patience on, a runner's silence is told.
    for (const element of findAll(".silence")) {
      const silence = now - new Date(element.dataset.seen);
      const isLong = silence >= element.dataset.patience * 500;
      setText(element, isLong ? `no news for ${formatRoughly(silence)} ` : "");
    }
  });
})();
