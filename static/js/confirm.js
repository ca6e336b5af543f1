// The question before a cancel; and where the focus goes when a cancel has taken away the button that was pressed.
(() => {
  "use strict";

  const { find, findAll, formatJobs } = callboard;
  const NAMED = 8; // jobs that the question names, if it is about several

  const namesOfTicked = () =>
    findAll('input[name="job"][form="bulk"]:checked').map((box) => box.dataset.name);

  const listItem = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  };

  // The dialog in the words of one job, or of several by name.
  const fill = (question, names) => {
    const many = names.length > 1;
    find("#confirm-title").textContent = names.length ? `Cancel ${formatJobs(names.length)}?` : question;
    find("#confirm-yes").textContent = many ? `Cancel ${formatJobs(names.length)}` : "Cancel job";
    find("#confirm-no").textContent = many ? "Keep jobs" : "Keep job";
    const lines = names.slice(0, NAMED);
    if (names.length > NAMED) lines.push(`and ${names.length - NAMED} more`);
    const list = find("#confirm-list");
    list.hidden = names.length === 0;
    list.replaceChildren(...lines.map(listItem));
  };

  let handOver = null; // the cancel under way: its request, and the id of the button that was pressed

  document.addEventListener("htmx:confirm", (event) => {
    const { ctx, issueRequest, dropRequest } = event.detail;
    const pressed = document.activeElement;
    const dialog = find("#confirm");
    if (!dialog) return;
    event.preventDefault();
    if (dialog.open) return dropRequest();
    fill(ctx.confirm, ctx.sourceElement.id === "bulk" ? namesOfTicked() : []);
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return dropRequest();
      handOver = { ctx, id: pressed?.id };
      issueRequest();
    }, { once: true });
    dialog.showModal();
  });

  // A cancel that failed takes no button away. One that came too late does: 409 says that the job has ended.
  document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
    const status = ctx.response?.status ?? 0;
    const isButtonGoing = (status >= 200 && status < 300) || status === 409;
    if (ctx === handOver?.ctx && !isButtonGoing) handOver = null;
  });

  document.addEventListener("htmx:after:swap", () => {
    if (!handOver?.id || document.activeElement !== document.body) return;
    const id = handOver.id.replace("cancel-", "");
    (find(`[id="link-${id}"]`) ?? find("#sel-all:enabled") ?? find("#job-type") ?? find("#main")).focus();
    handOver = null;
  });
})();
