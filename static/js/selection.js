// The jobs that are ticked: kept by id, put back after every swap, and counted on the button that cancels them.
(() => {
  "use strict";

  const { find, findAll, formatJobs } = callboard;
  const BOX = 'input[name="job"][form="bulk"]';
  const ticked = new Set(); // ids of jobs

  const remember = (box) => {
    if (box.checked) ticked.add(box.value);
    else ticked.delete(box.value);
  };

  const drawBoxes = () => {
    const boxes = findAll(BOX);
    const present = new Set(boxes.map((box) => box.value));
    for (const id of ticked) if (!present.has(id)) ticked.delete(id);
    for (const box of boxes) box.checked = ticked.has(box.value);
    const all = find("#sel-all");
    if (!all) return;
    all.checked = boxes.length > 0 && ticked.size === boxes.length;
    all.indeterminate = ticked.size > 0 && ticked.size < boxes.length;
    all.disabled = boxes.length === 0;
  };

  const drawButton = () => {
    const button = find("#bulk-button");
    if (!button) return;
    find("#bulk").classList.toggle("active", ticked.size > 0);
    button.disabled = ticked.size === 0;
    button.textContent = ticked.size ? `Cancel ${formatJobs(ticked.size)}` : "Cancel ticked";
  };

  const draw = () => {
    drawBoxes();
    drawButton();
  };

  document.addEventListener("change", ({ target }) => {
    if (target.id === "sel-all") {
      for (const box of findAll(BOX)) {
        box.checked = target.checked;
        remember(box);
      }
    } else if (target.matches(BOX)) {
      remember(target);
    } else {
      return;
    }
    draw();
  });
  document.addEventListener("htmx:after:swap", draw);
  draw();
})();
