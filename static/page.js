/* The pages' script: another page of the list without a reload, and what-if.

   Without it all works but what-if: forms and links ask the server for whole pages.
*/
const TYPING = 250; // milliseconds without a key before the server is asked

function later(action) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(action, TYPING);
  };
}

/** Calls of which only the last one counts: each one gives up the one before it. */
function latest(call) {
  let running = new AbortController();
  return async (...values) => {
    running.abort();
    running = new AbortController();
    const { signal } = running;
    try {
      await call(signal, ...values);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  };
}

/* --- the list ------------------------------------------------------------------------------- */

function startList(form) {
  const show = form.querySelector("#show");
  const load = latest(async (signal, asked) => {
    // Not relative: the page's own address may hold the token, with which fetch() refuses to work.
    const answer = await fetch(`${location.origin}/clients?${asked}`, {
      headers: { Accept: "text/html" },
      signal,
    }).catch(() => null);
    if (signal.aborted) return;
    const page = answer?.ok ? parsed(await answer.text()) : null;
    if (!page) return void location.assign(`?${asked}`); // the server says what is the matter
    replaceResults(page);
    show.value = asked.get("sort") ?? "place";
    history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
  });
  const ask = (button) => load(asked(form, button));
  show.hidden = true; // what is typed is looked for at once

  form.addEventListener("input", later(() => ask(show)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(event.submitter ?? show);
  });
  document.querySelector("#clients").addEventListener("click", (event) => {
    const link = event.target.closest("a[data-list]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.id === "everybody") empty(form);
    if (link.id === "unhidden") form.elements.contacted[1].checked = true;
    load(new URL(link.href).searchParams);
  });
}

/** What the form asks for, without what is usual anyway. */
function asked(form, button) {
  const found = new URLSearchParams(new FormData(form, button));
  const usual = { q: "", moved: "", least_value: "", sort: "place", tier: form.elements.tier[0].value };
  for (const name of ["group", "contacted"]) { // where clients are held out, or rest
    if (form.elements[name]) usual[name] = form.elements[name][0].value;
  }
  for (const [name, value] of Object.entries(usual)) {
    if (found.get(name) === value) found.delete(name);
  }
  const segments = found.getAll("segment").filter(Boolean);
  found.delete("segment");
  for (const segment of segments) found.append("segment", segment);
  return found;
}

function empty(form) {
  for (const name of ["q", "moved", "least_value"]) if (form.elements[name]) form.elements[name].value = "";
  for (const segment of form.querySelectorAll("[name=segment]")) segment.value = "";
  form.elements.tier[0].checked = true;
  if (form.elements.group) form.elements.group[0].checked = true;
  if (form.elements.contacted) form.elements.contacted[1].checked = true;
}

function parsed(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  return page.querySelector("#results") ? page : null;
}

/** The results and their counts alone, so that a search field keeps what is being typed, and its place. */
function replaceResults(page) {
  const focused = document.activeElement?.id;
  const isWithin = document.querySelector("#results").contains(document.activeElement);
  document.querySelector("#results").replaceWith(page.querySelector("#results"));
  document.querySelector("#found").textContent = page.querySelector("#found").textContent;
  const counts = page.querySelectorAll("#asked small"); // of each tier, what the search leaves
  for (const [place, shown] of document.querySelectorAll("#asked small").entries()) {
    shown.textContent = counts[place].textContent;
  }
  for (const link of document.querySelectorAll("a[data-list]")) link.pathname = location.pathname;
  if (!isWithin) return;
  const again = focused && document.getElementById(focused);
  (again || document.querySelector("#q")).focus();
}

/* --- what if -------------------------------------------------------------------------------- */

function startWhatIf(form) {
  const controls = [...form.querySelectorAll("[data-kind]")];
  const ask = latest(async (signal) => {
    const wrong = controls.find((control) => !control.validity.valid);
    if (wrong) return say(form, `${label(wrong)} is not a number.`);
    const answer = await predicted(signal, [controls.map(own), controls.map(now)]);
    if (answer) tell(form, controls, answer);
    else if (!signal.aborted) say(form, "The server does not answer as it should; try again.");
  });
  const askLater = later(ask);

  form.addEventListener("input", askLater);
  form.addEventListener("reset", () => queueMicrotask(() => setTimeout(ask)));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
}

/** A control's column and the client's own value of it. */
function own(control) {
  const chosen = [...(control.options ?? [])].find((option) => option.defaultSelected);
  return [control.name, value(control, chosen ? chosen.value : control.defaultValue)];
}

/** A control's column and the value of it that is tried out. */
function now(control) {
  return [control.name, value(control, control.value)];
}

function value(control, text) {
  if (control.dataset.kind === "category") return text;
  return text.trim() === "" ? null : Number(text);
}

function label(control) {
  return control.labels[0].textContent;
}

/** The answer for these records; null where there is none. Both by one model: that of the moment. */
async function predicted(signal, records) {
  const answer = await fetch(`${location.origin}/prediction?reasons=3`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ records: records.map((record) => Object.fromEntries(record)) }),
    signal,
  }).catch(() => null);
  return answer?.ok ? answer.json() : null;
}

function tell(form, controls, answer) {
  const changed = controls.filter((control) => own(control)[1] !== now(control)[1]);
  for (const control of controls) {
    control.closest(".field")?.classList.toggle("changed", changed.includes(control));
  }
  const [before, after] = answer.probabilities;
  const newer = answer.model_version === form.dataset.release ? "" : " By the model that is live now.";
  if (changed.length) say(form, `${percent(after)}, ${tier(form, after)}`, difference(before, after) + newer);
  else say(form, `${percent(before)}, ${tier(form, before)}`, `with the client's own values.${newer}`);
  showReasons(form, changed.length ? answer.reasons[1] : null);
}

function say(form, text, rest = "") {
  const strong = document.createElement("strong");
  strong.textContent = text;
  form.querySelector("#outcome").replaceChildren(strong, ` ${rest}`);
}

function showReasons(form, reasons) {
  const box = form.querySelector("#why");
  box.hidden = !reasons;
  const items = (reasons?.length ? reasons : ["no single value stands out as raising the risk"]).map((reason) => {
    const item = document.createElement("li");
    item.textContent = reason;
    return item;
  });
  box.querySelector("ul").replaceChildren(...items);
}

function tier(form, probability) {
  if (probability >= Number(form.dataset.high)) return "high";
  return probability >= Number(form.dataset.medium) ? "medium" : "low";
}

function percent(probability) {
  const text = (100 * probability).toFixed(0);
  return { 0: "<1%", 100: ">99%" }[text] || `${text}%`;  // never as certain as no or yes
}

function difference(before, after) {
  const points = Math.abs(100 * (after - before)).toFixed(1);
  if (points === "0.0") return `as before: ${percent(before)}.`;
  return `${points} points ${after < before ? "lower" : "higher"} than the client's ${percent(before)}.`;
}

const list = document.querySelector("#asked");
if (list) startList(list);
const whatIf = document.querySelector("#what-if");
if (whatIf) startWhatIf(whatIf);
