// The links of what failed lately look back from now, on a page that asks for nothing new as well.
(() => {
  "use strict";

  const { drawEverySecond, findAll } = callboard;

  drawEverySecond((now) => {
    for (const link of findAll("a[data-look-back]")) {
      const since = new Date(now - link.dataset.lookBack * 1000).toISOString().slice(0, "2026-11-24T14:02".length);
      const url = new URL(link.href);
      if (url.searchParams.get("failed_since") === since) continue;
      url.searchParams.set("failed_since", since);
      link.href = url.href;
    }
  });
})();
