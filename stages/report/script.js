"use strict";
// Filters for the questions. Without this script the page shows them all.
const form = document.querySelector(".filters");
if (form) {
  const questions = [...document.querySelectorAll("#questions .question")];
  const status = form.querySelector(".shown");
  const unfold = form.elements.unfold;
  const format = (number) => number.toLocaleString("en");

  const apply = () => {
    const outcome = form.elements.outcome.value;
    const cut = form.elements.cut.checked;
    const set = form.elements.set ? form.elements.set.value : "";
    const counts = { "": 0, cut: 0 };
    let shown = 0;
    for (const question of questions) {
      const data = question.dataset;
      const ofSet = !set || data.set === set;
      const ofCut = !cut || data.cut === "yes";
      const ofOutcome = !outcome || data.outcome === outcome;
      question.hidden = !(ofSet && ofCut && ofOutcome);
      shown += !question.hidden;
      if (ofSet && ofCut) {
        counts[""] += 1;
        counts[data.outcome] = (counts[data.outcome] || 0) + 1;
      }
      counts.cut += ofSet && ofOutcome && data.cut === "yes";
    }
    for (const count of form.querySelectorAll("[data-count]")) {
      count.textContent = format(counts[count.dataset.count] || 0);
    }
    status.textContent = `${format(shown)} of ${format(questions.length)} shown`;
    document.getElementById("none").hidden = shown > 0;
  };

  unfold.addEventListener("click", () => {
    const open = unfold.getAttribute("aria-pressed") !== "true";
    unfold.setAttribute("aria-pressed", open);
    unfold.textContent = open ? "Fold reasoning" : "Unfold reasoning";
    for (const details of document.querySelectorAll("#questions .arm details:not(.sample)")) {
      if (!open || !details.closest(".question").hidden) details.open = open;
    }
  });
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const link of document.querySelectorAll("[data-show]")) {
    link.addEventListener("click", () => {
      form.elements.outcome.value = link.dataset.show;
      apply();
    });
  }
  form.hidden = false;
  apply();
}
