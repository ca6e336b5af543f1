// How much time a job has left, and whether it is slower than its type usually is.
(() => {
  "use strict";

  const { drawEverySecond, find, findAll, formatRoughly, setText } = callboard;

  // In milliseconds: from what was reported and, as long as that says little, from how long this type usually takes.
  const timeLeft = ({ started, seen, progress, usual = find("#usual")?.dataset.usual }, now) => {
    if (progress >= 100) return 0;
    const byUsual = usual * 1000 - (now - new Date(started)); // Not a number where nothing is usual.
    if (progress < 1) return byUsual;
    const byReport = ((new Date(seen) - new Date(started)) * (100 - progress)) / progress - (now - new Date(seen));
    const trust = byUsual > 0 ? Math.min(1, progress / 25) : 1;
    return trust < 1 ? trust * byReport + (1 - trust) * byUsual : byReport;
  };

  const drawTimesLeft = (now) => {
    for (const element of findAll(".left")) {
      const left = timeLeft(element.dataset, now);
      setText(element, left > 0 ? `${formatRoughly(left)} left` : "");
    }
  };

  // The jobs of the overview that run longest.
  const drawSlowRuns = (now) => {
    for (const element of findAll(".slower[data-slow-after]")) {
      const { started, slowAfter } = element.dataset;
      setText(element, now - new Date(started) > slowAfter * 1000 ? "slower than usual" : "");
    }
  };

  // The job of this page, beside the earlier runs of its type.
  const drawWhetherSlow = (now) => {
    const { started, ended } = find("#panel")?.dataset ?? {};
    const { slowAfter } = find("#usual")?.dataset ?? {};
    if (!started || !slowAfter) return;
    const duration = (ended ? new Date(ended) : now) - new Date(started);
    const isSlow = duration > slowAfter * 1000;
    setText(find("#slower"), isSlow ? `; this one ${ended ? "was" : "is"} slower than usual` : "");
  };

  drawEverySecond((now) => {
    drawTimesLeft(now);
    drawSlowRuns(now);
    drawWhetherSlow(now);
  });
})();
