// Lists the studies of the database, and again every ten seconds.
(() => {
  "use strict";
  const PAUSE_MS = 10000;
  const find = (id) => document.getElementById(id);
  const number = (value) => value.toLocaleString("en");
  const link = (page, name, text) => {
    const made = document.createElement("a");
    made.href = `${page}?${new URLSearchParams({ name })}`;
    made.textContent = text;
    return made;
  };
  const state = (study) => {
    const made = document.createElement("span");
    made.className = `state ${study.state}`;
    made.textContent = study.state;
    return made;
  };

  const show = (studies) => {
    find("none").hidden = studies.length > 0;
    find("studies").hidden = studies.length === 0;
    find("studies").tBodies[0].replaceChildren(...studies.map((study) => {
      const row = document.createElement("tr");
      const last = study.last_activity ? study.last_activity.replace("T", " ").replace("+00:00", " UTC") : "";
      const cells = [
        link("study", study.name, study.name), state(study), number(study.waiting), number(study.trials),
        number(study.students), number(study.failed), last, link("report", study.name, "report"),
      ];
      cells.forEach((cell, index) => {
        const place = document.createElement(index ? "td" : "th");
        place.append(cell);
        row.append(place);
      });
      return row;
    }));
    const chosen = document.querySelectorAll(".choose select");
    chosen.forEach((select) => {
      const known = new Set([...select.options].map((option) => option.value));
      studies.filter((study) => !known.has(study.name)).forEach((study) => select.add(new Option(study.name)));
    });
    document.querySelector(".choose").hidden = studies.length < 2;
  };

  const refresh = async () => {
    try {
      const answer = await fetch("studies.json", { cache: "no-store" });
      const values = await answer.json();
      if (!answer.ok) throw new Error(values.reason);
      show(values.studies);
      find("freshness").textContent = "";
    } catch (error) {
      find("freshness").textContent = `Not refreshed: ${error.message}.`;
    }
    setTimeout(refresh, PAUSE_MS);
  };
  refresh();
})();
