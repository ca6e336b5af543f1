// How numbers, durations and moments read. Running durations read as filters.py writes those that have ended.
(() => {
  "use strict";

  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const inSeconds = (milliseconds) => Math.max(0, Math.floor(milliseconds / 1000));
  const twoDigits = (number) => String(number).padStart(2, "0");

  const formatDuration = (milliseconds) => {
    const seconds = inSeconds(milliseconds);
    if (seconds < MINUTE) return `${seconds} s`;
    if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ${twoDigits(seconds % MINUTE)} s`;
    if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ${twoDigits(Math.floor((seconds % HOUR) / MINUTE))} min`;
    return `${Math.floor(seconds / DAY)} d ${Math.floor((seconds % DAY) / HOUR)} h`;
  };

  const formatRoughly = (milliseconds) => {
    const seconds = inSeconds(milliseconds);
    if (seconds < MINUTE) return `${seconds} s`;
    if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
    if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h`;
    return `${Math.floor(seconds / DAY)} d`;
  };

  const formatJobs = (number) => `${number} ${number === 1 ? "job" : "jobs"}`;

  // The viewer's own language and time zone.
  const dayFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const timeFormat = new Intl.DateTimeFormat(undefined, {
    hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
  });
  const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  Object.assign(callboard, {
    formatDuration, formatRoughly, formatJobs,
    formatDay: (moment) => dayFormat.format(moment),
    formatTime: (moment) => timeFormat.format(moment),
    formatExactly: (moment) => exactFormat.format(moment),
  });
})();
